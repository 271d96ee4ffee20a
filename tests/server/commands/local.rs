//! The door of the machine's owner: `POST /auth/local`, and the secret in the lock file.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::Tool;
use crate::rig::{Launch, Reply, Server};

/// What the running server has written into its lock file.
fn lock_file(server: &Server) -> Value {
    let text = std::fs::read_to_string(server.launch().data().join("fireside.lock")).expect("a lock file");
    serde_json::from_str(&text).expect("JSON")
}

fn secret(server: &Server) -> String {
    lock_file(server)["secret"].as_str().expect("a secret").to_owned()
}

fn sign_in(server: &Server, body: &Value) -> Reply {
    server.post("/auth/local").json(body).send()
}

#[test]
fn the_secret_signs_in_and_nothing_else_does() {
    let server = Server::start();
    let secret = secret(&server);
    let none = sign_in(&server, &json!({ "secret": secret }));
    assert_eq!(none.status, 404, "{}", none.text());
    let ann = server.account("ann");
    let bob = server.account("bob");
    let reply = sign_in(&server, &json!({ "secret": secret }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["email"], json!(ann.email));
    let token = reply.json()["access_token"].as_str().expect("a token").to_owned();
    let sessions = server.get("/sessions").bearer(&token).send().json();
    assert_eq!(sessions[0]["user_agent"], json!("command line"));
    assert_eq!(server.post("/auth/logout").bearer(&token).send().status, 200);
    assert_eq!(server.get("/users/me").bearer(&token).send().status, 401);
    let reply = sign_in(&server, &json!({ "secret": secret, "account": "BOB@example.com" }));
    assert_eq!(reply.json()["id"], json!(bob.id));
    assert_eq!(
        sign_in(&server, &json!({ "secret": secret, "account": "cleo" })).status,
        404
    );
    assert_eq!(sign_in(&server, &json!({})).status, 422);
    for wrong in ["", &secret[1..], &secret.to_uppercase(), "x"] {
        let reply = sign_in(&server, &json!({ "secret": wrong, "account": "nobody" }));
        assert_eq!(
            (reply.status, reply.header("WWW-Authenticate")),
            (401, Some("Bearer")),
            "{wrong}"
        );
        assert!(!reply.text().contains("nobody"), "{}", reply.text());
    }
}

#[test]
fn guesses_are_counted_and_do_not_shut_the_owner_out() {
    let server = Server::start();
    server.account("ann");
    let guess = || sign_in(&server, &json!({ "secret": "a guess" }));
    for _ in 0..10 {
        assert_eq!(guess().status, 401);
    }
    let refused = guess();
    assert_eq!(refused.status, 429);
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(sign_in(&server, &json!({ "secret": secret(&server) })).status, 200);
}

#[test]
fn disabled_accounts_are_refused() {
    let server = Server::start();
    let ann = server.account("ann");
    let bob = server.account("bob");
    let target = format!("/admin/users/{}", bob.id);
    let disabled = server
        .patch(&target)
        .bearer(&ann.token)
        .json(&json!({"disabled": true}))
        .send();
    assert_eq!(disabled.status, 200);
    let reply = sign_in(&server, &json!({ "secret": secret(&server), "account": bob.email }));
    assert_eq!(reply.status, 403, "{}", reply.text());
}

/// Nobody but the owner reads it; it is in no answer, no copy, no log; it ends with the server.
#[test]
fn the_secret_stays_in_the_lock_file() {
    let launch = Launch::new().prelude("umask 000").args(&["--log", "trace"]);
    std::fs::create_dir(launch.data()).expect("a folder");
    let path = launch.data().join("fireside.lock");
    std::fs::write(&path, "").expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("a mode");
    let mut server = launch.start();
    let before = secret(&server);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ann = server.account("ann");
    Tool::beside(server.launch()).does(&["ask", "hi"]);
    let export = server.get("/export").bearer(&ann.token).send();
    let backup = server.post("/admin/backup").bearer(&ann.token).send();
    assert_eq!((export.status, backup.status), (200, 200));
    let held = |bytes: &[u8]| bytes.windows(before.len()).any(|part| part == before.as_bytes());
    assert!(!held(&export.body) && !held(&backup.body));
    for target in [
        "/fireside.lock",
        "/assets/x/fireside.lock",
        "/ui/fireside.lock",
        "/media/fireside.lock",
    ] {
        assert!(!held(&server.get(target).bearer(&ann.token).send().body), "{target}");
    }
    for name in ["fireside.db", "fireside.db-wal"] {
        assert!(
            !held(&std::fs::read(server.launch().data().join(name)).unwrap_or_default()),
            "{name}"
        );
    }
    server.restart();
    let after = secret(&server);
    assert_ne!(before, after);
    assert_eq!(sign_in(&server, &json!({ "secret": before })).status, 401);
    let exit = server.stop();
    assert!(!held(exit.stderr.as_bytes()) && !exit.stderr.contains(&after) && !exit.stdout.contains(&after));
    assert_eq!(
        std::fs::read(&path).expect("a file"),
        b"",
        "a server that ended leaves no secret"
    );
}

/// What a page on another site could send.
#[test]
fn pages_of_other_sites_are_refused() {
    let server = Server::start();
    server.account("ann");
    let body = json!({ "secret": secret(&server) });
    let reply = server
        .post("/auth/local")
        .header("Origin", "https://evil.example")
        .json(&body)
        .send();
    assert_eq!(reply.status, 403);
}

/// The owner's commands leave no session behind.
#[test]
fn commands_log_out() {
    let server = Server::start();
    let ann = server.account("ann");
    let tool = Tool::beside(server.launch());
    tool.does(&["ask", "hi"]);
    tool.does(&["user", "list"]);
    tool.refuses(&["key", "revoke", "none"], 1, &["There is no key"]);
    let sessions = server.get("/sessions").bearer(&ann.token).send().json();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
}
