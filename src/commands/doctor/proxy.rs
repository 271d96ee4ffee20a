//! The way from the address that people open to the server: whether what stands between lets everything through.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::Failed;
use super::super::client::{Client, Mute, Seen, Sent, is_loopback};
use super::super::reach::Reach;
use super::{Finding, Findings};

/// What is looked at first.
const PUBLIC: &str = "public address";

/// Whether words come as they are written.
const STREAMS: &str = "streams";

/// Whether a stream lasts while nothing is written.
const SILENCES: &str = "silent streams";

/// What has a proxy pass words on at once.
const UNBUFFERED: &str = "nginx: proxy_buffering off; Caddy: flush_interval -1";

/// Of an answer that should come at once.
const DEADLINE: Duration = Duration::from_secs(15);

/// Less than the second that the stream pauses for, and more than a net takes.
const HELD_BACK: Duration = Duration::from_millis(700);

/// nginx takes 1 MB of a body unless it is told otherwise.
const BODY_BYTES: u64 = 3 * 1024 * 1024;

/// Of a WebSocket that opens, and a frame there and back.
const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// Of a stream that is watched until its sign of life, which comes after 15 seconds.
const STREAM_TIME: Duration = Duration::from_secs(25);

/// Bytes of that stream that are read: it has a few hundred.
const STREAM_BYTES_MAX: usize = 64 * 1024;

/// Tries the address. The server behind it must be the one that `reach` has reached.
pub(super) fn check(reach: &Reach, url: &str, findings: &mut Findings) {
    let mut client = Client::new(url, Some(DEADLINE));
    if let Err(finding) = is_same(reach, &client) {
        return findings.add(finding);
    }
    let mut patient = Client::new(url, Some(STREAM_TIME));
    if let Some(token) = reach.client().token() {
        client.sign_in(token);
        patient.sign_in(token);
    }
    let first = reachable(&client);
    let is_there = first.advice.is_none();
    findings.add(first);
    if is_there {
        if let Some(finding) = security(url) {
            findings.add(finding);
        }
        findings.add(sockets(&client));
        findings.add(bodies(&client));
        // Last, as it takes the longest.
        watch_stream(&patient, findings);
    }
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

/// Watches a stream until its sign of life, and says what it shows as soon as that is seen.
fn watch_stream(client: &Client, findings: &mut Findings) {
    let begun = Instant::now();
    let mut seen = match client.fetch("/admin/pace") {
        Ok((reply, _)) => Watched {
            reply,
            text: String::new(),
        },
        Err(failed) => return findings.add(Finding::fail(STREAMS, failed.error, UNBUFFERED)),
    };
    let mut moment_of = |event: &str| seen.wait_for(event, "\n\n").map(|()| begun.elapsed());
    let moments = moment_of("event: first").and_then(|first| Ok((first, moment_of("event: second")?)));
    let (first, second) = match moments {
        Ok(moments) => moments,
        Err(error) => return findings.add(Finding::fail(STREAMS, format!("they break off: {error}"), UNBUFFERED)),
    };
    if second.saturating_sub(first) < HELD_BACK {
        let says = "words are held back until the reply is whole";
        findings.add(Finding::fail(STREAMS, says, UNBUFFERED));
    } else {
        let says = format!("words come at once, {} ms away", first.as_millis());
        findings.add(Finding::ok(STREAMS, says));
    }
    findings.add(asker(&seen.text));
    findings.add(match seen.wait_for(": ping", "\n") {
        Ok(()) => Finding::ok(
            SILENCES,
            "a stream that is silent is kept open, and its signs of life arrive",
        ),
        Err(error) => {
            let advice = "nginx: proxy_read_timeout 75s; Caddy: no read_timeout below 75s in transport http";
            Finding::fail(SILENCES, format!("a stream that is silent breaks off: {error}"), advice)
        }
    });
}

/// A stream, and what has come of it.
struct Watched {
    reply: Box<dyn Read>,
    text: String,
}

impl Watched {
    /// Reads on until this has come, and its end after it.
    fn wait_for(&mut self, wanted: &str, end: &str) -> std::io::Result<()> {
        let is_there = |text: &str| text.find(wanted).is_some_and(|at| text[at..].contains(end));
        while !is_there(&self.text) {
            if self.text.len() > STREAM_BYTES_MAX {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            let mut piece = [0; 256];
            match self.reply.read(&mut piece)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => self.text += &String::from_utf8_lossy(&piece[..count]),
            }
        }
        Ok(())
    }
}

/// Whether the server can tell who asks, by what the stream says of its request.
fn asker(stream: &str) -> Finding {
    let what = "X-Forwarded-For";
    let told = stream.lines().find_map(|line| line.strip_prefix("data: "));
    let told: Value = told
        .and_then(|told| serde_json::from_str(told).ok())
        .unwrap_or_default();
    let peer = told["peer"].as_str().unwrap_or("?");
    match (told["is_forwarded"] == true, told["is_trusted"] == true) {
        (true, true) => Finding::ok(what, format!("it comes from {peer}, which is trusted")),
        (true, false) => Finding::warn(
            what,
            format!("it comes from {peer}, which is not trusted: all who come that way count as one client"),
            format!("if that is your proxy, start the server with --trusted-proxy {peer}"),
        ),
        (false, true) => Finding::warn(
            what,
            format!("the proxy {peer} does not say who asks: all its clients count as one"),
            "nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; Caddy does it by itself",
        ),
        (false, false) => Finding::ok(what, format!("{peer} asks without it, as one who comes directly does")),
    }
}

/// A handshake, a frame to the server and one back. Nothing is stored.
fn sockets(client: &Client) -> Finding {
    let what = "WebSockets";
    let advice = "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
                  \"upgrade\"; Caddy does it by itself";
    match client.exchange("/ws", r#"{"type":"ping"}"#, r#"{"type":"pong"}"#, EXCHANGE_TIME) {
        Ok(()) => Finding::ok(what, "they open, and frames come and go"),
        Err(Mute::Refused(why)) => Finding::fail(what, format!("they do not open ({why})"), advice),
        Err(Mute::Silent(why)) => Finding::fail(what, format!("they open, but no frame comes back ({why})"), advice),
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
