//! Model servers on this machine that nobody has named: where they listen unless told otherwise.
//!
//! Their ports may be anybody's, so what answers there is believed to be one only when its list of models says so
//! (`member`). Nothing but that list is asked for before.

use std::sync::Arc;

use super::address::BaseUrl;
use super::config::{NamedProvider, Origin};
use super::member::{Making, Member};
use crate::error::Error;

/// Those that are looked for. vLLM's port is our own.
const FINDABLE: [&str; 3] = ["ollama", "llamacpp", "lmstudio"];

/// The servers that may be there.
///
/// # Errors
/// None that a test would not have found.
pub(super) fn candidates(making: &Making) -> Result<Vec<Arc<Member>>, Error> {
    let named = FINDABLE.iter().map(|name| NamedProvider {
        name: (*name).to_owned(),
        protocol: None,
        base_url: None,
        key: None,
    });
    named
        .map(|named| Member::new(named.complete(Origin::Found)?, making).map(Arc::new))
        .collect()
}

/// Whether two base URLs are of one server, as far as spelling tells.
pub(super) fn is_same_server(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let url = BaseUrl::parse(url).ok()?;
        let authority = url.authority().to_ascii_lowercase();
        let port = authority.rsplit_once(':').map(|(_, port)| port.to_owned());
        Some(if url.is_loopback() {
            (String::new(), port)
        } else {
            (authority, port)
        })
    };
    place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_the_same_however_loopback_is_spelt() {
        for other in [
            "http://127.0.0.1:11434/v1",
            "http://localhost:11434",
            "http://[::1]:11434/v1",
            "http://127.1:11434/",
        ] {
            assert!(is_same_server("http://127.0.0.1:11434/v1", other), "{other}");
        }
        for other in ["http://127.0.0.1:8080/v1", "http://10.0.0.1:11434/v1", "nonsense"] {
            assert!(!is_same_server("http://127.0.0.1:11434/v1", other), "{other}");
        }
    }
}
