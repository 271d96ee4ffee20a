//! `fireside health`: a line, and an exit code for supervisors.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Client;
use super::serve::reachable;
use super::{FAILED, lock, terminal};
use crate::cli::Settings;

/// Supervisors ask every few seconds, and take a server that does not answer by then for a broken one.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

/// Asks the server at this address, or the one that runs on the data folder, or, where its lock file says nothing (it may
/// be another user's), whoever listens where `serve` would.
pub(super) fn health(settings: &Settings, url: Option<&str>) -> u8 {
    let base = url.map(str::to_owned).unwrap_or_else(|| own_address(settings));
    match Client::new(&base, Some(DEADLINE)).call("GET", "/health") {
        Ok(health) if health["status"] == "healthy" => {
            let version = health["version"].as_str().unwrap_or("?");
            terminal::print(&format!("healthy: Fireside {version} at {base}\n"));
            0
        }
        Ok(_) => {
            terminal::print(&format!("failing: what answers at {base} is no Fireside server\n"));
            FAILED
        }
        Err(failed) => {
            terminal::print(&format!("failing: {}\n", terminal::harmless(&failed.error.to_string())));
            FAILED
        }
    }
}

fn own_address(settings: &Settings) -> String {
    match lock::peek(settings) {
        Some(running) => running.local_url,
        None => format!("http://{}", reachable(SocketAddr::new(settings.host, settings.port))),
    }
}
