//! Forms as no honest client sends them, uploads that break off, and a server that is killed in the middle of one.

use super::{MIB, Multipart, kept, noise, spooled, upload};
use crate::rig::{Account, PATIENCE, Reply, Server, until};

/// Sends exactly this body to `/upload/`.
fn send(server: &Server, account: &Account, kind: &str, body: &[u8]) -> Reply {
    let call = server.post("/upload/").bearer(&account.token);
    call.header("Content-Type", kind).body(body).send()
}

#[track_caller]
fn check_nothing_is_kept(server: &Server) {
    assert_eq!(kept(server), (0, 0, 0));
    until(PATIENCE, "no temporary file is left", || {
        (spooled(server) == 0).then_some(())
    });
}

const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"";

/// A body of one part with this head.
fn one(head: &str) -> String {
    format!("--B\r\n{head}\r\n\r\ncontent\r\n--B--\r\n")
}

#[test]
fn malformed_forms_are_refused() {
    let server = Server::start();
    let ann = server.account("ann");
    let bodies = [
        String::new(),
        "no form at all".to_owned(),
        "--B".to_owned(),
        "--B\r\n".to_owned(),
        format!("--B\r\n{FILE}\r\n\r\ncontent"),
        format!("--B\r\n{FILE}\r\n\r\ncontent\r\n--B"),
        format!("--B\r\n{FILE}\r\n\r\ncontent\r\n--b--\r\n"),
        format!("--B\r\n{FILE}\r\n\r\ncontent\r\n--BB--\r\n"),
        format!("--B\n{FILE}\n\ncontent\n--B--\n"),
        one("Content-Type: text/plain"),
        one("Content-Disposition: form-data"),
        one("Content-Disposition: form-data; filename=\"a.txt\""),
        one("Content-Disposition: form-data; name=\"file\"; filename=\"a"),
        one("Content-Disposition: form-data; name=\"file\"; filename=\"a\0b\""),
        one("Content-Disposition: form-data; name=\"file\"; filename=\"a\r\nX: y\""),
        one("Content-Disposition: form-data; name=\"file\"; filename=\"a\rX: y\""),
        one("Content-Disposition: form-data; name=\"fi\0le\"; filename=\"a\""),
        one("Content-Disposition: form-data; name=\"file\"x; filename=\"a\""),
        one(&format!("{FILE}\r\nX-Long: {}", "x".repeat(9 * 1024))),
        one(&format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{}\"",
            "x".repeat(100_000)
        )),
        format!("--B\r\n{FILE}\r\n\r\nx\r\n").repeat(101) + "--B--\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(10_001) + "--B--\r\n",
    ];
    for body in &bodies {
        let reply = send(&server, &ann, "multipart/form-data; boundary=B", body.as_bytes());
        assert!([400, 413].contains(&reply.status), "{} for {body:.100}", reply.status);
        assert!(!reply.detail().is_empty());
    }
    let good = one(FILE);
    for boundary in [
        "",
        "boundary=",
        "boundary=\"\"",
        "boundary=\u{e4}",
        &format!("boundary={}", "B".repeat(71)),
        "boundary=C",
    ] {
        let kind = format!("multipart/form-data; {boundary}");
        let reply = send(&server, &ann, &kind, good.as_bytes());
        assert!([400, 422].contains(&reply.status), "{} for {kind}", reply.status);
    }
    check_nothing_is_kept(&server);
    assert_eq!(
        send(&server, &ann, "multipart/form-data; boundary=B", good.as_bytes()).status,
        200
    );
    server.check_alive();
}

#[test]
fn names_are_only_names() {
    let server = Server::start();
    let ann = server.account("ann");
    for (sent, shown) in [
        ("../../../../etc/passwd", "filename=\"passwd\""),
        ("..\\\\..\\\\boot.ini", "filename=\"boot.ini\""),
        ("/etc/shadow", "filename=\"shadow\""),
        ("..", "filename=\"file\""),
        (
            "a%0d%0aSet-Cookie: x=y",
            "filename=\"a_0d_0aSet-Cookie: x=y\"; filename*=UTF-8''a%250d%250aSet-Cookie%3A%20x%3Dy",
        ),
        ("\u{202e}gpj.exe", "filename=\"gpj.exe\""),
        (
            "na\u{ef}ve.txt",
            "filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt",
        ),
    ] {
        let url = upload(&server, &ann.token, sent, "text/plain", b"x");
        let reply = server.get(&url).bearer(&ann.token).send();
        let wanted = format!("attachment; {shown}");
        assert_eq!(reply.header("Content-Disposition"), Some(wanted.as_str()), "{sent}");
        assert_eq!(reply.count("Set-Cookie"), 0);
    }
    let long = format!("{}.txt", "\u{e9}".repeat(1000));
    let url = upload(&server, &ann.token, &long, "text/plain", b"x");
    assert!(url.ends_with(".txt"), "{url}");
    // Nothing has come to be outside the data folder: beside it there is what the rig has made.
    let mut beside: Vec<_> = std::fs::read_dir(server.launch().home())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["data", "home", "work"]);
}

#[test]
fn an_upload_that_breaks_off_is_never_stored() {
    let server = Server::start();
    let ann = server.account("ann");
    let bytes = noise(5, 2 * MIB);
    let call = server.post("/upload/").bearer(&ann.token);
    let whole = Multipart::new().file("file", "a.bin", "x/y", &bytes).on(call).bytes();
    for sent in [whole.len() / 3, whole.len() - 10] {
        let mut connection = server.connect();
        connection.send(&whole[..sent]);
        connection.finish_sending();
        let reply = connection.reply("POST");
        assert_eq!(reply.status, 400, "{}", reply.text());
        let mut connection = server.connect();
        connection.send(&whole[..sent]);
        connection.reset();
    }
    check_nothing_is_kept(&server);
    server.check_alive();
}

#[test]
fn a_form_with_less_than_its_boundary_promises_is_never_stored() {
    let server = Server::start();
    let ann = server.account("ann");
    // The length is right, the form has no end.
    let mut body = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".to_vec();
    body.extend_from_slice(&noise(6, MIB));
    assert_eq!(
        send(&server, &ann, "multipart/form-data; boundary=B", &body).status,
        400
    );
    check_nothing_is_kept(&server);
}

#[test]
fn a_server_that_is_killed_in_an_upload_has_kept_all_or_nothing() {
    let mut server = Server::start();
    let ann = server.account("ann");
    let bytes = noise(8, 25 * MIB);
    let call = server.post("/upload/").bearer(&ann.token);
    let whole = Multipart::new().file("file", "a.bin", "x/y", &bytes).on(call).bytes();
    // Killed while the body arrives, and once more while its parts are written.
    let mut connection = server.connect();
    connection.send(&whole[..whole.len() / 2]);
    server.kill();
    server.restart();
    assert_eq!((kept(&server), spooled(&server)), ((0, 0, 0), 0));
    let mut connection = server.connect();
    connection.send(&whole);
    until(PATIENCE, "some parts are written", || {
        (kept(&server).2 > 3).then_some(())
    });
    server.kill();
    let left = kept(&server);
    println!("killed at {} of 100 parts", left.2);
    server.restart();
    if left.0 == 0 {
        until(PATIENCE, "what is left goes", || {
            (kept(&server) == (0, 0, 0)).then_some(())
        });
    }
    assert_eq!(spooled(&server), 0);
    let url = upload(&server, &ann.token, "a.bin", "x/y", &bytes);
    assert!(server.get(&url).bearer(&ann.token).send().body == bytes);
}
