//! The ureq agent of one server: its connection pool, its limits and its timeouts.
//!
//! One per server, so that a key and a connection never meet another server's.

use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;

use super::Timeouts;
use super::address::{BaseUrl, GuardedResolver};
use super::transport::WatchedConnector;

/// Real heads have 1 to 3 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// ureq's buffers, per connection and again per TLS layer. Its default of 128 KiB each would be 128 MiB for 256 turns.
/// A whole head must fit into the first.
const INPUT_BUFFER_BYTES: usize = HEAD_BYTES_MAX + 4 * 1024;
const OUTPUT_BUFFER_BYTES: usize = 8 * 1024;
/// Most servers keep idle connections for a minute or more; one that does not is found out by the retry.
pub(super) const IDLE_AGE_MAX: Duration = Duration::from_secs(60);

/// An agent for this server with the given timeouts that keeps up to `connections_max` idle connections.
pub(super) fn agent(base_url: &BaseUrl, timeouts: &Timeouts, connections_max: usize) -> Agent {
    let &Timeouts {
        connect,
        first_byte,
        between_bytes,
        whole,
    } = timeouts;
    let mut config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("fireside/", env!("CARGO_PKG_VERSION")))
        // Compression would hold tokens back until a block is full.
        .accept_encoding("identity")
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .timeout_recv_response(Some(first_byte))
        .timeout_per_read(Some(between_bytes))
        .timeout_per_write(Some(between_bytes))
        .timeout_global(Some(whole))
        .max_response_header_size(HEAD_BYTES_MAX)
        .input_buffer_size(INPUT_BUFFER_BYTES)
        .output_buffer_size(OUTPUT_BUFFER_BYTES)
        .max_idle_connections(connections_max)
        .max_idle_connections_per_host(connections_max)
        .max_idle_age(IDLE_AGE_MAX);
    if base_url.is_loopback() {
        // A proxy from the environment cannot reach this machine's own loopback.
        config = config.proxy(None);
    }
    Agent::with_parts(config.build(), WatchedConnector::default(), GuardedResolver::default())
}
