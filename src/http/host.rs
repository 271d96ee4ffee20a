//! Whose requests these are: the Host allow-list (against DNS rebinding) and the rules for requests that come from
//! other sites' pages.

use std::net::IpAddr;

use tiny_http::Method;

use super::cors::Sharing;
use super::request::Request;
use crate::error::{Error, Kind};

/// The names this server answers to, and the address people see it under.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Lower case, without ports.
    names: Vec<String>,
    /// Scheme and authority of the address that people open, if it is another than the one requests arrive at.
    public: Option<String>,
    /// Other sites whose pages may use this server, as browsers name them; `*` for all.
    shared: Vec<String>,
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
            shared: Vec::new(),
            names: names.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// The same, and pages of these origins (as [`super::parse_origin`] makes them, or `*`) may use this server too. They
    /// sign in with a token of their own: the cookie of our pages never counts for theirs.
    #[must_use]
    pub fn shared_with(self, shared: Vec<String>) -> Origins {
        Origins { shared, ..self }
    }

    /// Which other origin's pages may read the reply to a request.
    pub fn sharing(&self, request: &Request) -> Sharing {
        if self.shared.is_empty() {
            return Sharing::Off;
        }
        match request.header("Origin") {
            Some(origin) if self.shares_with(origin) => Sharing::With(origin.to_owned()),
            _ => Sharing::Nobody,
        }
    }

    fn shares_with(&self, origin: &str) -> bool {
        self.shared
            .iter()
            .any(|shared| shared == "*" || shared.eq_ignore_ascii_case(origin))
    }

    /// Whether a request comes from a page that only `*` lets in: anybody's. Nobody vouched for it, so that it must not
    /// enjoy what this machine's own user does. Pages of a server on this machine are its user's.
    pub fn is_from_anybody(&self, request: &Request) -> bool {
        let is_known = |origin: &str| {
            let here = origin
                .split_once("://")
                .is_some_and(|(_, authority)| is_here(authority));
            here || self.is_own(request, origin) || self.shared.iter().any(|shared| shared.eq_ignore_ascii_case(origin))
        };
        request.header("Origin").is_some_and(|origin| !is_known(origin))
    }

    /// Whether a `Host` (with or without port) is one of ours.
    pub fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        literal(name).is_some()
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
            Some(origin) => !self.is_own(request, origin) && !self.shares_with(origin),
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

/// Whether an authority is this machine under a name that no other machine has.
fn is_here(authority: &str) -> bool {
    let name = without_port(authority).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || literal(&name).is_some_and(|address| address.is_loopback())
}

/// The address that a name is: an IPv6 address stands in brackets, an IPv4 address in none (RFC 3986, 3.2.2).
fn literal(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    }
}

/// A port is a colon and digits, behind the brackets if there are any; what else stands there belongs to the name, which
/// is then nobody's.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are no port's.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_open(name) => name,
        _ => host,
    }
}

fn is_open(name: &str) -> bool {
    name.starts_with('[') && !name.ends_with(']')
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
            "localhost:",
            "[::1]:",
            "[::ffff:127.0.0.1]",
            "[1:2:3:4:5:6:7:8]:80",
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
            "0177.0.0.1",
            "[::1].evil.example",
            "[::1]evil.example:80",
            "[[::1]]",
            "[127.0.0.1]",
            "127.0.0.1]",
            "::1",
            "::1:80",
            "[::1%25eth0]",
            "[]",
        ] {
            assert!(!origins.knows_host(foreign), "{foreign}");
        }
    }
}
