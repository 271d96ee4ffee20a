//! The way from the address that people open to the server: whether what stands between lets everything through.

use std::io::Read;
use std::time::{Duration, Instant};

use super::super::Failed;
use super::super::client::{Client, Seen, Sent, is_loopback};
use super::super::reach::Reach;
use super::Finding;

/// What is looked at first.
const PUBLIC: &str = "public address";

/// Of an answer that should come at once.
const DEADLINE: Duration = Duration::from_secs(15);

/// Less than the second that the stream pauses for, and more than a net takes.
const HELD_BACK: Duration = Duration::from_millis(700);

/// nginx takes 1 MB of a body unless it is told otherwise.
const BODY_BYTES: u64 = 3 * 1024 * 1024;

/// A handshake of a WebSocket, with a token that opens none: the server's refusal says that the handshake has arrived.
const HANDSHAKE: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Tries the address. The server behind it must be the one that `reach` has reached.
pub(super) fn check(reach: &Reach, url: &str) -> Vec<Finding> {
    let mut client = Client::new(url, Some(DEADLINE));
    if let Err(finding) = is_same(reach, &client) {
        return vec![finding];
    }
    if let Some(token) = reach.client().token() {
        client.sign_in(token);
    }
    let first = reachable(&client);
    let is_there = first.advice.is_none();
    let mut findings = vec![first];
    if is_there {
        findings.extend(security(url));
        findings.extend([streams(&client), sockets(&client), bodies(&client)]);
    }
    findings
}

/// Whoever answers must be known before an administrator's token is sent there.
fn is_same(reach: &Reach, client: &Client) -> Result<(), Finding> {
    let look = |client: &Client| client.try_out("GET", "/health", &[], None);
    let lost = |failed: Failed| {
        let advice = "check its name, its certificate and the proxy's address for this server";
        Finding::fail(PUBLIC, failed.error, advice)
    };
    let (seen, own) = (look(client).map_err(lost)?, look(reach.client()).map_err(lost)?);
    if !seen.is_ours {
        let says = format!("what answers is no Fireside server (status {})", seen.status);
        let advice = "Caddy: reverse_proxy 127.0.0.1:8000; nginx: proxy_pass http://127.0.0.1:8000;";
        return Err(Finding::fail(PUBLIC, says, advice));
    }
    if seen.run != own.run {
        let advice = "let the proxy point at this server";
        return Err(Finding::fail(PUBLIC, "it reaches another Fireside server", advice));
    }
    Ok(())
}

fn reachable(client: &Client) -> Finding {
    let what = PUBLIC;
    match client.try_out("GET", "/users/me", &[], None) {
        Err(failed) => Finding::fail(what, failed.error, "see the server's log"),
        Ok(Seen { status: 421, .. }) => {
            let advice = format!("start the server with --public-url {}", client.base());
            Finding::fail(what, "the server does not know this name", advice)
        }
        Ok(Seen { status: 200, .. }) => Finding::ok(what, format!("{} reaches this server", client.base())),
        Ok(Seen { status: 401, .. }) => {
            let advice = "let the proxy pass Authorization on";
            Finding::fail(what, "it loses who asks", advice)
        }
        Ok(seen) => Finding::fail(what, format!("status {}", seen.status), "see the server's log"),
    }
}

fn security(url: &str) -> Option<Finding> {
    let advice = "use https: Caddy does it by itself, nginx with a certificate";
    let is_open = url.starts_with("http://") && !is_loopback(url);
    is_open.then(|| Finding::warn("encryption", "passwords go over the net as they are typed", advice))
}

/// The first event must come while the second is still a second away.
fn streams(client: &Client) -> Finding {
    let what = "streams";
    let advice = "nginx: proxy_buffering off; Caddy: flush_interval -1";
    let begun = Instant::now();
    let mut reply = match client.fetch("/admin/pace") {
        Ok((reply, _)) => reply,
        Err(failed) => return Finding::fail(what, failed.error, advice),
    };
    let mut piece = [0; 256];
    let first = match reply.read(&mut piece) {
        Ok(count) if count > 0 => begun.elapsed(),
        Ok(_) => return Finding::fail(what, "they end before they begin", advice),
        Err(error) => return Finding::fail(what, error, advice),
    };
    let rest = reply.read_to_end(&mut Vec::new()).map(|_| begun.elapsed());
    match rest {
        Err(error) => Finding::fail(what, format!("they break off: {error}"), advice),
        Ok(whole) if whole.saturating_sub(first) < HELD_BACK => {
            Finding::fail(what, "words are held back until the reply is whole", advice)
        }
        Ok(_) => Finding::ok(what, format!("words come at once, {} ms away", first.as_millis())),
    }
}

fn sockets(client: &Client) -> Finding {
    let what = "WebSockets";
    let advice = "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
                  \"upgrade\"; Caddy does it by itself";
    match client.try_out("GET", "/ws?token=none", HANDSHAKE, None) {
        Ok(Seen {
            status: 403,
            is_ours: true,
            ..
        }) => Finding::ok(what, "handshakes arrive"),
        Ok(Seen { status, .. }) => Finding::fail(what, format!("handshakes do not arrive (status {status})"), advice),
        Err(failed) => Finding::fail(what, failed.error, advice),
    }
}

/// Our own refusal of a body without a form says that all of it has arrived.
fn bodies(client: &Client) -> Finding {
    let what = "uploads";
    let advice = "nginx: client_max_body_size 30m, and 260m in location = /import; Caddy: request_body { max_size 30MB }, \
                  and max_size 260MiB for /import";
    let mut body = std::io::repeat(b'x').take(BODY_BYTES);
    let sent = Sent {
        media_type: "multipart/form-data; boundary=none",
        bytes: Some(BODY_BYTES),
        body: &mut body,
    };
    match client.try_out("POST", "/upload/", &[], Some(sent)) {
        Ok(seen) if seen.is_ours && seen.status != 413 => {
            Finding::ok(what, format!("bodies of {} MiB arrive", BODY_BYTES / (1024 * 1024)))
        }
        Ok(Seen { status, .. }) => {
            Finding::fail(what, format!("bodies of 3 MiB do not arrive (status {status})"), advice)
        }
        Err(failed) => Finding::fail(what, failed.error, advice),
    }
}
