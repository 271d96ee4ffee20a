//! The page and its files: what the shell may load, how files are cached and compressed, the headers that keep model
//! output from calling home.

use std::collections::BTreeSet;
use std::io::Read;

use crate::rig::{Reply, Server};

fn shell(server: &Server) -> Reply {
    let reply = server
        .get("/")
        .header("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .send();
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("Content-Type")
            .is_some_and(|kind| kind.starts_with("text/html")),
        "{:?}",
        reply.headers
    );
    reply
}

/// The files under `/assets/` that the shell names, be it from the root or by ways from where it is, which is the root here.
fn assets(server: &Server) -> BTreeSet<String> {
    let named = |text: &str| -> Vec<String> {
        let paths = text
            .split(['"', '\'', '(', ')', '`'])
            .map(|word| word.strip_prefix('.').unwrap_or(word))
            .filter(|word| word.starts_with("/assets/"));
        paths
            .map(|path| path.split(['?', '#']).next().unwrap_or_default().to_string())
            .collect()
    };
    let found: BTreeSet<String> = named(&shell(server).text()).into_iter().collect();
    assert!(found.len() >= 2, "the shell names no files: {found:?}");
    found
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .expect("gzip");
    plain
}

#[test]
fn files_are_immutable_and_compressed() {
    let server = Server::start();
    for path in assets(&server) {
        let plain = server.get(&path).send();
        assert_eq!(plain.status, 200, "{path}");
        assert!(
            plain
                .header("Cache-Control")
                .is_some_and(|value| value.contains("immutable") && value.contains("max-age=")),
            "{path}: {:?}",
            plain.headers
        );
        assert_eq!(plain.header("Content-Encoding"), None, "{path}");
        let squeezed = server.get(&path).header("Accept-Encoding", "gzip, deflate").send();
        match squeezed.header("Content-Encoding") {
            Some("gzip") => assert_eq!(gunzip(&squeezed.body), plain.body, "{path}"),
            other => assert!(other.is_none() && squeezed.body == plain.body, "{path}: {other:?}"),
        }
        if path.ends_with(".js") || path.ends_with(".css") {
            assert_eq!(squeezed.header("Content-Encoding"), Some("gzip"), "{path}");
            assert!(
                squeezed
                    .header("Vary")
                    .is_some_and(|vary| vary.to_ascii_lowercase().contains("accept-encoding")),
                "{path}"
            );
        }
        assert_eq!(
            server
                .get(&path)
                .header("Accept-Encoding", "gzip;q=0")
                .send()
                .header("Content-Encoding"),
            None,
            "{path}"
        );
    }
}

#[test]
fn files_are_revalidated() {
    let server = Server::start();
    for path in assets(&server) {
        let plain = server.get(&path).send();
        let etag = plain
            .header("ETag")
            .unwrap_or_else(|| panic!("{path}: no ETag"))
            .to_string();
        for tags in [
            etag.as_str(),
            "*",
            &format!("\"other\", {etag}"),
            &format!("W/{}", etag.trim_start_matches("W/")),
        ] {
            let fresh = server.get(&path).header("If-None-Match", tags).send();
            assert_eq!(
                (fresh.status, fresh.body.len()),
                (304, 0),
                "{path}: If-None-Match: {tags}"
            );
            assert!(fresh.header("ETag").is_some(), "{path}");
        }
        assert_eq!(
            server.get(&path).header("If-None-Match", "\"other\"").send().status,
            200,
            "{path}"
        );
        assert_eq!(server.call("PUT", &path).send().status, 405, "{path}");
    }
}

/// A cache that takes one for the other would hand out bytes that their reader cannot read.
#[test]
fn each_encoding_of_a_file_has_a_tag_of_its_own() {
    let server = Server::start();
    for path in assets(&server) {
        let get = |encoding| server.get(&path).header("Accept-Encoding", encoding);
        let (plain, squeezed) = (get("identity").send(), get("gzip").send());
        let tag = |reply: &Reply| {
            reply
                .header("ETag")
                .unwrap_or_else(|| panic!("{path}: no ETag"))
                .to_string()
        };
        if squeezed.header("Content-Encoding").is_none() {
            assert_eq!(tag(&plain), tag(&squeezed), "{path}");
            continue;
        }
        assert_ne!(tag(&plain), tag(&squeezed), "{path}");
        for (encoding, held, status) in [
            ("identity", &plain, 304),
            ("gzip", &squeezed, 304),
            ("identity", &squeezed, 200),
            ("gzip", &plain, 200),
        ] {
            let again = get(encoding).header("If-None-Match", &tag(held)).send();
            assert_eq!(again.status, status, "{path} as {encoding}");
        }
    }
}

#[test]
fn nothing_outside_the_files_is_served() {
    let server = Server::start();
    let real = assets(&server).into_iter().next().expect("a file");
    let folder = real.rsplit_once('/').expect("a folder").0.to_string();
    let missing = [
        "/assets/",
        "/assets/0000/app.js",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/assets//etc/passwd",
    ];
    let beside = [
        format!("{folder}/"),
        folder.clone(),
        format!("{folder}/nothing.js"),
        format!("{folder}/../../Cargo.toml"),
        format!("{real}%00"),
        format!("{folder}/%2e%2e%2fCargo.toml"),
    ];
    for path in missing.iter().map(ToString::to_string).chain(beside) {
        let reply = server.get(&path).send();
        assert_eq!(reply.status / 100, 4, "{path}: {}", reply.status);
        assert!(
            !reply.text().contains("root:") && !reply.text().contains("[package]"),
            "{path}"
        );
    }
}

#[test]
fn the_page_cannot_call_home() {
    let server = Server::start();
    let reply = shell(&server);
    let policy = reply.header("Content-Security-Policy").expect("a policy").to_string();
    let directives: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
    for wanted in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(directives.contains(wanted), "no {wanted} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(reply.header("Referrer-Policy"), Some("no-referrer"));
    let html = reply.text().to_ascii_lowercase();
    assert!(
        !html.contains(" style=")
            && !html.contains("<style")
            && !html.contains(" onclick=")
            && !html.contains(" onload="),
        "inline style or script"
    );
    assert!(
        html.split("<script")
            .skip(1)
            .all(|tag| tag.split('>').next().is_some_and(|open| open.contains("src="))),
        "an inline script"
    );
    let foreign = html
        .split(['"', '\''])
        .filter(|word| word.starts_with("//") || word.starts_with("http"))
        .find(|word| !word.starts_with("http://www.w3.org/"));
    assert_eq!(foreign, None, "the shell names another host");
}

#[test]
fn every_reply_forbids_sniffing_and_sends_no_referrer() {
    let server = Server::start();
    let asset = assets(&server).into_iter().next().expect("a file");
    for path in ["/", "/health", "/nothing", "/chats", &asset] {
        let reply = server
            .get(path)
            .header("Accept", if path == "/" { "text/html" } else { "*/*" })
            .send();
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("Referrer-Policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.count("Content-Type"), 1, "{path}");
    }
}
