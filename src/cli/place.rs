//! Where people find the server: the address they open and the path in it, of which one may follow from the other.

use super::given::Given;
use crate::error::Error;

/// Where people find the server: the address they open, if it is another than the socket's, and the path in it.
pub(super) fn read(given: &Given<'_>) -> Result<(Option<String>, String), Error> {
    let url = given.parsed("public-url", "a URL such as https://chat.example.com", |text| {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split('/').next()?;
        let is_url = matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('@');
        is_url.then(|| text.trim_end_matches('/').to_owned())
    })?;
    let own = |url: &str| url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    match given.parsed("base-path", "a path such as /fire", base_path)? {
        // An address without a path is where the proxy is; with one, it says all there is to say.
        Some(path) => {
            let whole = |url: String| if own(&url).is_empty() { url + &path } else { url };
            Ok((url.map(whole), path))
        }
        None => {
            let path = url.as_deref().and_then(|url| base_path(&own(url)));
            Ok((url, path.unwrap_or_default()))
        }
    }
}

/// A path as it is taken off requests and put into cookies: `/fire`, whether or not it was given with slashes around it.
fn base_path(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    let is_plain = |part: &str| {
        let mut chars = part.chars();
        !matches!(part, "" | "." | "..") && chars.all(|char| char.is_ascii_alphanumeric() || "-._~".contains(char))
    };
    match path {
        "" => Some(String::new()),
        path => path.split('/').all(is_plain).then(|| format!("/{path}")),
    }
}
