//! Files: uploaded, sent with messages, got back by their owner alone, never run by a browser, and bounded in size,
//! number and memory.

mod hostile;
mod reading;
mod room;
mod sending;

use serde_json::{Value, json};

use crate::rig::{Account, Dice, Launch, Multipart, PATIENCE, Reply, Server, until};

const MIB: usize = 1024 * 1024;

/// Uploads one file and returns its address.
#[track_caller]
fn upload(server: &Server, token: &str, filename: &str, kind: &str, bytes: &[u8]) -> String {
    let form = Multipart::new().file("file", filename, kind, bytes);
    let reply = form.on(server.post("/upload/").bearer(token)).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body.as_object().expect("an object").len(), 1, "{body}");
    body["url"].as_str().expect("an address").to_string()
}

/// Bytes that do not repeat, so that no two files of a test are the same by accident.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&dice.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The files that a server keeps, counted where they are kept: attachments, blobs, parts.
fn kept(server: &Server) -> (i64, i64, i64) {
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, (), |row| row.get(0)).expect("a number")
    };
    (count("attachments"), count("blobs"), count("blob_parts"))
}

/// The temporary files of a server.
fn spooled(server: &Server) -> usize {
    std::fs::read_dir(server.launch().data().join("tmp"))
        .expect("the folder of temporary files")
        .count()
}

#[test]
fn a_file_comes_back_as_it_was() {
    let server = Server::start();
    let ann = server.account("ann");
    for (length, filename, kind, served) in [
        (0, "empty.txt", "text/plain", "text/plain; charset=utf-8"),
        (3, "a.PNG", "image/png", "image/png"),
        (70_000, "b.pdf", "application/pdf", "application/pdf"),
        (600_000, "noending", "application/x-thing", "application/octet-stream"),
    ] {
        let bytes = noise(7, length);
        let url = upload(&server, &ann.token, filename, kind, &bytes);
        let (start, ending) = url.split_once('.').expect("an ending");
        assert!(
            start.len() == "/media/".len() + 36 && start.starts_with("/media/"),
            "{url}"
        );
        let wanted = filename
            .rsplit_once('.')
            .map_or("bin".to_string(), |(_, ending)| ending.to_lowercase());
        assert_eq!(ending, wanted);
        let reply = server.get(&url).bearer(&ann.token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.body == bytes, "{filename}");
        assert_eq!(reply.header("Content-Type"), Some(served));
        let head = server.call("HEAD", &url).bearer(&ann.token).send();
        assert_eq!(
            (head.status, head.header("Content-Length")),
            (200, Some(length.to_string().as_str()))
        );
        let tag = reply.header("ETag").expect("an ETag").to_string();
        let again = server.get(&url).bearer(&ann.token).header("If-None-Match", &tag).send();
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(reply.header("Cache-Control"), Some("private"));
    }
}

#[test]
fn a_part_of_a_file() {
    let server = Server::start();
    let ann = server.account("ann");
    let bytes = noise(3, 600_000);
    let url = upload(&server, &ann.token, "a.mp4", "video/mp4", &bytes);
    let get = |range: &str| server.get(&url).bearer(&ann.token).header("Range", range).send();
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=262143-262144", 262_143, 262_144),
        ("bytes=-10", 599_990, 599_999),
        ("bytes=300000-", 300_000, 599_999),
    ] {
        let reply = get(range);
        assert_eq!(reply.status, 206, "{range}");
        let said = format!("bytes {first}-{last}/600000");
        assert_eq!(reply.header("Content-Range"), Some(said.as_str()));
        assert!(reply.body == bytes[first..=last], "{range}");
    }
    let beyond = get("bytes=600000-");
    assert_eq!(
        (beyond.status, beyond.header("Content-Range")),
        (416, Some("bytes */600000"))
    );
    assert_eq!(beyond.detail(), "The file ends before that");
}

#[test]
fn only_its_owner_gets_a_file() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let url = upload(&server, &ann.token, "a.png", "image/png", b"PNG");
    let id = attach(&server, &ann, "a.txt", "text/plain", b"AAA");
    let attachment = format!("/attachments/{id}");
    let missing = json!({"detail": "Attachment not found"});
    for target in [url.as_str(), attachment.as_str()] {
        assert_eq!(server.get(target).bearer(&ann.token).send().status, 200);
        assert_eq!(server.get(target).send().status, 401);
        let foreign = server.get(target).bearer(&bob.token).send();
        assert_eq!((foreign.status, foreign.json()), (404, missing.clone()));
    }
    for nowhere in [
        "/attachments/99999".to_string(),
        "/media/a.png".to_string(),
        format!("{}.svg", url.trim_end_matches(".png")),
        format!("{url}/.."),
    ] {
        let reply = server.get(&nowhere).bearer(&ann.token).send();
        assert_eq!(reply.status, 404, "{nowhere}");
    }
    let reply = server.get("/attachments/abc").bearer(&ann.token).send();
    assert_eq!(reply.status, 422);
    assert_eq!(reply.json()["detail"][0]["type"], "int_parsing");
}

/// Sends a message with one file and returns the attachment's id.
#[track_caller]
fn attach(server: &Server, account: &Account, filename: &str, kind: &str, bytes: &[u8]) -> i64 {
    let form = Multipart::new()
        .field("text", "see this")
        .file("files", filename, kind, bytes);
    let reply = form.on(server.post("/chat/").bearer(&account.token)).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    let message = reply.json()["request_message_id"].as_i64().expect("an id");
    let sql = "SELECT attachment_id FROM message_attachments WHERE message_id = ?1";
    database
        .query_row(sql, [message], |row| row.get(0))
        .expect("an attachment")
}

/// What must stand on every file that is served, whatever it is.
#[track_caller]
fn check_harmless(reply: &Reply, what: &str) {
    assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"), "{what}");
    assert_eq!(
        reply.header("Content-Security-Policy"),
        Some("sandbox; default-src 'none'"),
        "{what}"
    );
}

/// What a browser would run, frame, style a page with, or guess at; and ways to say so in other words.
const RUNNABLE: &[&str] = &[
    "text/html",
    "text/html; charset=utf-7",
    "TEXT/HTML",
    " text/html ",
    "text/html, image/png",
    "text/html;image/png",
    "application/xhtml+xml",
    "application/xml",
    "text/xml",
    "text/xsl",
    "application/xslt+xml",
    "application/rss+xml",
    "application/mathml+xml",
    "image/svg+xml",
    "image/svg+xml;charset=utf-8",
    "IMAGE/SVG+XML",
    "image/svg",
    "image/x-icon+xml",
    "text/javascript",
    "application/javascript",
    "application/ecmascript",
    "text/jscript",
    "application/wasm",
    "text/css",
    "text/vtt",
    "text/cache-manifest",
    "application/manifest+json",
    "multipart/related",
    "multipart/x-mixed-replace; boundary=x",
    "message/rfc822",
    "application/x-mimearchive",
    "application/x-shockwave-flash",
    "application/java-archive",
    "application/hta",
    "application/x-msdownload",
    "application/vnd.ms-htmlhelp",
    "text/x-server-parsed-html",
    "unknown/unknown",
    "application/unknown",
    "*/*",
    "html",
    "nonsense",
    "/",
    "",
];

#[test]
fn no_file_is_run_by_a_browser() {
    let server = Server::start();
    let ann = server.account("ann");
    let page = b"<html><script>alert(1)</script>".as_slice();
    for kind in RUNNABLE {
        let filename = format!("a.{}", kind.split(['/', '+', ';', ' ']).nth(1).unwrap_or("html"));
        let url = upload(&server, &ann.token, &filename, kind, page);
        let id = attach(&server, &ann, &filename, kind, page);
        for target in [url, format!("/attachments/{id}")] {
            for query in ["", "?download=0", "?inline=1&type=text/html"] {
                let reply = server.get(&format!("{target}{query}")).bearer(&ann.token).send();
                assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
                check_harmless(&reply, kind);
                assert_eq!(reply.header("Content-Type"), Some("application/octet-stream"), "{kind}");
                assert_eq!(reply.count("Content-Type"), 1, "{kind}");
                let disposition = reply.header("Content-Disposition").expect("a disposition");
                assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
            }
        }
    }
    // A picture may be shown where it is; a page under a picture's name stays a picture to the browser.
    let url = upload(&server, &ann.token, "a.png", "image/png", page);
    let reply = server.get(&url).bearer(&ann.token).send();
    check_harmless(&reply, "a picture");
    assert_eq!(reply.header("Content-Type"), Some("image/png"));
    assert_eq!(reply.header("Content-Disposition"), Some("inline; filename=\"a.png\""));
}

#[test]
fn the_same_file_is_kept_once() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let bytes = noise(1, 300_000);
    let first = upload(&server, &ann.token, "a.bin", "x/y", &bytes);
    let second = upload(&server, &bob.token, "b.bin", "x/z", &bytes);
    assert_ne!(first, second);
    assert_eq!(kept(&server), (2, 1, 2));
    assert_eq!(server.get(&first).bearer(&bob.token).send().status, 404);
}

#[test]
fn a_large_file_costs_little_memory() {
    let server = Server::start();
    let ann = server.account("ann");
    let bytes = noise(2, 25 * MIB);
    upload(&server, &ann.token, "small.bin", "x/y", &bytes[..MIB]);
    let before = server.rss_kib();
    let peak = std::sync::atomic::AtomicU64::new(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let url = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                peak.fetch_max(server.rss_kib(), std::sync::atomic::Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let url = upload(&server, &ann.token, "large.bin", "x/y", &bytes);
        assert!(server.get(&url).bearer(&ann.token).send().body == bytes);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        url
    });
    let grown = peak.into_inner().saturating_sub(before);
    println!("25 MiB up and down: + {grown} KiB at the most");
    assert!(grown <= 8 * 1024, "+ {grown} KiB for {url}");
    until(PATIENCE, "the temporary file goes", || {
        (spooled(&server) == 0).then_some(())
    });
}

/// The head of a form of so many bytes.
fn head(server: &Server, account: &Account, target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; \
         boundary=x\r\nContent-Length: {length}\r\n\r\n",
        server.address, account.token
    )
}

#[test]
fn a_file_is_required_and_messages_are_limited() {
    let server = Launch::new().args(&["--messages-per-minute", "2"]).start();
    let ann = server.account("ann");
    let missing: Value =
        json!({"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": null}]});
    let call = || server.post("/upload/").bearer(&ann.token);
    for call in [
        call(),
        call().form(&[("file", "x")]),
        Multipart::new().field("file", "x").on(call()),
        Multipart::new().file("files", "a", "x/y", b"x").on(call()),
        Multipart::new()
            .file("file", "", "application/octet-stream", b"")
            .on(call()),
    ] {
        let reply = call.send();
        assert_eq!((reply.status, reply.json()), (422, missing.clone()));
    }
    for _ in 0..2 {
        upload(&server, &ann.token, "a", "x/y", b"x");
    }
    let limited = Multipart::new().file("file", "a", "x/y", b"x").on(call()).send();
    assert_eq!(limited.status, 429);
    assert!(limited.header("Retry-After").is_some());
}
