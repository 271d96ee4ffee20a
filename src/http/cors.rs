//! Cross-origin sharing: which other sites' pages may read replies, and the header fields that tell their browsers.
//!
//! Whether an origin is shared with is decided by the [`super::Handler`]. What follows from it is put onto every reply on
//! its way out (`respond`), so that refusals and errors can be read by those pages too.

use tiny_http::Method;

use super::reply::Reply;
use super::request::Request;

/// Seconds for which a browser may keep the answer to a preflight.
const MAX_AGE_S: &str = "600";

/// Every method there is a route for; the one that is asked about need not be looked up.
const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// Which other origin's pages may read a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Sharing is not configured.
    Off,
    /// It is, but not for this request.
    Nobody,
    /// Pages of this origin, as the request names it.
    With(String),
}

impl Sharing {
    /// The header fields that the reply gets.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Sharing::Off => Vec::new(),
            // What is kept of one answer must not serve another origin.
            Sharing::Nobody => vec![("Vary", "Origin")],
            Sharing::With(origin) => vec![
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Vary", "Origin"),
            ],
        }
    }

    /// The answer to a browser that asks before it sends another site's request; `None` if this is no such question.
    pub fn answer_preflight(&self, request: &Request) -> Option<Reply> {
        let is_question = *request.method() == Method::Options && request.header("Origin").is_some();
        if *self == Sharing::Off || !is_question {
            return None;
        }
        request.header("Access-Control-Request-Method")?;
        if *self == Sharing::Nobody {
            let body = serde_json::json!({ "detail": "Disallowed CORS origin" });
            return Some(Reply::detail(400, &body));
        }
        let mut reply = Reply::bytes(200, "text/plain; charset=utf-8", b"OK".to_vec())
            .header("Access-Control-Allow-Methods", METHODS)
            .header("Access-Control-Max-Age", MAX_AGE_S)
            .header("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
        if let Some(headers) = request.header("Access-Control-Request-Headers") {
            reply = reply.header("Access-Control-Allow-Headers", headers);
        }
        Some(reply)
    }
}

/// An origin in the form that browsers send: `scheme://host[:port]` in lower case, without the scheme's own port.
/// `None` for anything else, `null` included, which every sandboxed page is.
pub fn parse_origin(text: &str) -> Option<String> {
    let (scheme, authority) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !host.is_empty() && host.bytes().all(is_letter)
        }
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'));
    if !(is_scheme && is_host && is_port) {
        return None;
    }
    let origin = text.to_ascii_lowercase();
    let default = if origin.starts_with("https://") { ":443" } else { ":80" };
    let is_web = origin.starts_with("http://") || origin.starts_with("https://");
    Some(match origin.strip_suffix(default).filter(|_| is_web) {
        Some(bare) => bare.to_owned(),
        None => origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (text, origin) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTPS://App.Example.com", "https://app.example.com"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("tauri://localhost", "tauri://localhost"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Some(origin), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "localhost:3000",
            "http://",
            "http://a.example/",
            "http://a.example/path",
            "http://u@a.example",
            "http://a.example:",
            "http://a.example:99999",
            "http://a.example:+80",
            "http://[::1",
            "http://a b",
            "http://a,http://b",
            "://a",
            "1http://a",
            "http://*.example.com",
        ] {
            assert_eq!(parse_origin(text), None, "{text}");
        }
    }
}
