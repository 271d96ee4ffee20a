//! Whose requests these are: the Host allow-list (against DNS rebinding) and the rules for requests that come from
//! other sites' pages.

use std::net::IpAddr;

use tiny_http::Method;

use super::request::Request;
use crate::error::{Error, Kind};

/// The names this server answers to, and the address people see it under.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Lower case, without ports.
    names: Vec<String>,
    /// Scheme and authority of the address that people open, if it is another than the one requests arrive at.
    public: Option<String>,
}

impl Origins {
    /// These names besides `localhost` and its subdomains and every IP literal (rebinding needs a name).
    /// `public_url` is the address that people open: pages from there are ours, whatever Host a proxy passes on.
    pub fn new(names: impl IntoIterator<Item = String>, public_url: Option<&str>) -> Origins {
        let public = public_url.and_then(|url| {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest.split('/').next()?;
            Some(format!("{scheme}://{authority}").to_ascii_lowercase())
        });
        Origins {
            public,
            names: names.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether a `Host` (with or without port) is one of ours.
    pub fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.names.iter().any(|ours| ours == name)
    }

    /// Refuses a request that may change something and that another site's page has sent.
    ///
    /// # Errors
    /// [`Kind::Forbidden`].
    pub fn check(&self, request: &Request) -> Result<(), Error> {
        if matches!(request.method(), Method::Get | Method::Head | Method::Options) {
            return Ok(());
        }
        self.check_site(request)
    }

    /// Refuses a request that another site's page has sent, whatever its method: a WebSocket begins with a GET.
    ///
    /// # Errors
    /// [`Kind::Forbidden`].
    pub fn check_site(&self, request: &Request) -> Result<(), Error> {
        let is_foreign = match request.header("Origin") {
            Some(origin) => !self.is_own(request, origin),
            None => request
                .header("Sec-Fetch-Site")
                .is_some_and(|site| site.eq_ignore_ascii_case("cross-site")),
        };
        if is_foreign {
            return Err(Error::new(Kind::Forbidden, "Requests from other sites are refused"));
        }
        Ok(())
    }

    /// Whether a request comes from a page of this server (or from the address bar): only then does a cookie count.
    pub fn is_same_origin(&self, request: &Request) -> bool {
        let site = request.header("Sec-Fetch-Site");
        let is_own = request
            .header("Origin")
            .is_none_or(|origin| self.is_own(request, origin));
        is_own && site.is_none_or(|site| matches!(site, "same-origin" | "none"))
    }

    fn is_own(&self, request: &Request, origin: &str) -> bool {
        self.public
            .as_deref()
            .is_some_and(|public| public.eq_ignore_ascii_case(origin))
            || is_own_origin(request, origin)
    }
}

/// An origin is ours when it names the host and port that the request was sent to. The scheme may differ: behind a
/// proxy the page came by https and the request reaches us by http.
fn is_own_origin(request: &Request, origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default = if scheme == "https" { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
    request.header("Host").is_some_and(|host| bare(host) == bare(authority))
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let origins = Origins::new(["Pi.local".to_owned(), "chat.example.com".to_owned()], None);
        for ours in [
            "localhost",
            "LOCALHOST:8000",
            "a.localhost:80",
            "127.0.0.1:8000",
            "[::1]:8000",
            "[::1]",
            "192.168.1.7",
            "pi.local:8000",
            "chat.example.com",
            "localhost.",
        ] {
            assert!(origins.knows_host(ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "chat.example.com.evil",
            "local host",
            "evil.example:80",
            "localhost:80:80",
            "[::1",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!origins.knows_host(foreign) || foreign == "[::1", "{foreign}");
        }
    }
}
