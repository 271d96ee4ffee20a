//! Below a path of another site: whether the proxy in front takes that path off or passes it on, and what the server then
//! says about where it is.

use serde_json::json;

use crate::rig::{Account, Launch, PATIENCE, Server, Socket, until};

fn below_fire() -> Server {
    Launch::new().args(&["--base-path", "/fire"]).start()
}

fn page(server: &Server, path: &str) -> String {
    let reply = server.get(path).header("Accept", "text/html").send();
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.text()
}

#[test]
fn requests_are_taken_with_the_path_and_without() {
    let server = below_fire();
    for (path, status) in [
        ("/health", 200),
        ("/fire/health", 200),
        ("/fire/", 200),
        ("/fire/ui/", 200),
        ("/firefly/health", 404),
        ("/fire/fire/health", 404),
        ("/FIRE/health", 404),
    ] {
        assert_eq!(server.get(path).send().status, status, "{path}");
    }
    let account: Account = server.account("ann");
    let body = json!({ "title": "Below" });
    let made = server.post("/fire/chats").bearer(&account.token).json(&body).send();
    assert_eq!(made.status, 201, "{}", made.text());
    let (mut socket, _) = Socket::open_with(&server, &format!("/fire/ws?token={}", account.token), &[]);
    socket.send(&json!({ "type": "ping" }));
    socket.receive_type("pong");
}

/// Without a slash at its end the page would look for its files one folder too high.
#[test]
fn the_path_itself_leads_to_the_page() {
    let server = below_fire();
    let reply = server.get("/fire").header("Accept", "text/html").send();
    assert_eq!((reply.status, reply.header("Location")), (308, Some("/fire/")));
    // Whichever way the request comes, the page finds its files from where the browser believes to be.
    for (path, way) in [
        ("/fire/", "\"./assets/"),
        ("/", "\"./assets/"),
        ("/fire/ui/", "\"../assets/"),
        ("/ui/c/1", "\"../../assets/"),
        ("/fire/ui/c/1", "\"../../assets/"),
        ("/fire/docs", "\"./assets/"),
    ] {
        assert!(page(&server, path).contains(way), "{path}");
    }
}

#[test]
fn the_cookie_is_for_the_path_alone() {
    for (args, path) in [
        (&["--base-path", "fire/side/"][..], "/fire/side"),
        (
            &["--public-url", "https://example.org/fire/", "--signup", "open"],
            "/fire",
        ),
        (&["--public-url", "https://example.org", "--signup", "open"], "/"),
    ] {
        let server = Launch::new().args(args).start();
        let account = server.account("ann");
        let body = json!({ "email": account.email, "password": account.password });
        let reply = server.post("/auth/session").json(&body).send();
        let cookie = reply.header("Set-Cookie").unwrap_or_default();
        assert!(cookie.contains(&format!("; Path={path}; ")), "{args:?}: {cookie}");
    }
}

#[test]
fn what_is_printed_leads_there() {
    let server = below_fire();
    let own = format!("{}/fire/", server.origin());
    assert!(server.stdout().contains(&own), "{}", server.stdout());
    let args = ["--public-url", "https://example.org", "--base-path", "/fire"];
    let server = Launch::new().args(&args).start();
    let is_said = || server.stdout().contains("https://example.org/fire/").then_some(());
    until(PATIENCE, "the address that people open", is_said);
}
