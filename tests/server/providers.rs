//! Who is asked: providers and aliases of the environment here, those of administrators in the module
//! below. A key is sent to its own provider, and shown to nobody.

mod admin;

use serde_json::{Value, json};

use crate::durability::layer::Disk;
use crate::rig::{Account, Launch, Multipart, Reply, Server, Upstream};

/// A port that nobody listens on, and that nobody else is given meanwhile.
struct Nobody(socket2::Socket);

impl Nobody {
    fn new() -> Nobody {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a port");
        Nobody(socket)
    }

    fn url(&self) -> String {
        let address = self
            .0
            .local_addr()
            .expect("an address")
            .as_socket()
            .expect("an address");
        format!("http://{address}/v1")
    }
}

fn ask(server: &Server, account: &Account, model: &str) -> Reply {
    let body = json!({"message": "hello?", "model": model});
    server.post("/chat").bearer(&account.token).json(&body).send()
}

/// The model that the reply's row names.
#[track_caller]
fn ran(server: &Server, account: &Account, model: &str) -> Value {
    let reply = ask(server, account, model);
    assert_eq!(reply.status, 200, "{model}: {}", reply.text());
    let chat = reply.json()["chat_id"].as_str().expect("an id").to_owned();
    let path = format!("/chats/{chat}/messages");
    let rows = server.get(&path).bearer(&account.token).send().json();
    rows[1]["model"].clone()
}

#[test]
fn providers_and_aliases_come_from_flags_and_variables() {
    let (one, two, nobody) = (Upstream::start(), Upstream::start(), Nobody::new());
    let server = Launch::new()
        .env("FIRESIDE_PROVIDER", &format!("one={},my-box={}", one.url(), two.url()))
        .env("FIRESIDE_PROVIDER_MY_BOX_KEY", Upstream::KEY)
        .env("OPENAI_BASE_URL", &nobody.url())
        .args(&[
            "--alias",
            "fast=openai/gone,my-box/fake-n2",
            "--alias",
            "own=one/fake-n3",
        ])
        .args(&["--log", "trace"])
        .start();
    let ann = server.account("ann");
    assert_eq!(ran(&server, &ann, "one/fake"), json!("fake"));
    assert_eq!(ran(&server, &ann, "own"), json!("fake-n3"));
    assert_eq!((one.completions().len(), two.completions().len()), (2, 0));
    // The first of the alias is not there: the second one answers, and is named.
    assert_eq!(ran(&server, &ann, "fast"), json!("fake-n2"));
    let asked = two.completions();
    assert_eq!(asked.len(), 1);
    let bearer = format!("Bearer {}", Upstream::KEY);
    assert_eq!(asked[0].header("Authorization"), Some(bearer.as_str()));
    for request in one.completions() {
        assert_eq!(request.header("Authorization"), None, "a key went to another provider");
    }
    let exit = server.stop();
    assert!(!exit.stderr.contains(Upstream::KEY) && !exit.stdout.contains(Upstream::KEY));
}

#[test]
fn an_alias_is_passed_on_before_the_first_word_only() {
    let (upstream, nobody) = (Upstream::start(), Nobody::new());
    let server = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("FIRESIDE_PROVIDER", &format!("gone={}", nobody.url()))
        .args(&["--alias", "late=openai/fake-cut,openai/fake"])
        .args(&["--alias", "none=gone/a,openai/unheard-of,gone/b"])
        .args(&["--alias", "wrong=openai/fake-e401,openai/fake"])
        .start();
    let ann = server.account("ann");
    let cut = ask(&server, &ann, "late");
    assert_eq!(cut.status, 503, "{}", cut.text());
    assert_eq!(
        upstream.completions().len(),
        1,
        "somebody else was asked after the first word"
    );
    assert_eq!(ran(&server, &ann, "wrong"), json!("fake"));
    let none = ask(&server, &ann, "none");
    assert_eq!(none.status, 503, "{}", none.text());
    assert!(none.detail().contains("gone"), "{}", none.detail());
}

#[test]
fn a_key_without_its_provider_is_a_mistake() {
    for (variable, value) in [
        ("FIRESIDE_PROVIDER_NOBODY_KEY", "sk-canary"),
        ("FIRESIDE_PROVIDER", "Box=http://127.0.0.1:1/v1"),
        ("FIRESIDE_PROVIDER", "box"),
        ("FIRESIDE_PROVIDER", "box=http://169.254.169.254/v1"),
        ("FIRESIDE_PROVIDER", "box=ftp://127.0.0.1/v1"),
        ("FIRESIDE_PROVIDER", "echo=http://127.0.0.1:1/v1"),
        ("FIRESIDE_ALIAS", "fast"),
        ("FIRESIDE_ALIAS", "a/b=echo"),
        ("FIRESIDE_DEFAULT_MODEL", "box/nothing"),
    ] {
        let exit = Launch::new().env(variable, value).run();
        assert!(exit.code.is_some_and(|code| code != 0), "{variable}={value}");
        assert!(!exit.stderr.contains("canary"), "{}", exit.stderr);
        assert!(exit.stderr.lines().count() <= 2, "{}", exit.stderr);
    }
}

/// Whatever is asked of it: it connects to the provider that was configured, and to nobody else.
#[test]
fn it_connects_to_nobody_but_its_providers() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    let Some(disk) = Disk::below(&launch) else {
        return;
    };
    let server = disk.launch(&[]).start();
    let ann = server.account("ann");
    // What other servers fetch: a picture, a page that is cited, whatever a document names.
    let lure = "![](http://127.0.0.1:9/a.png) <img src=http://127.0.0.1:9/b> http://nothing.invalid/c";
    let body = json!({"title": "a document", "content": lure});
    assert_eq!(
        server.post("/documents").bearer(&ann.token).json(&body).send().status,
        201
    );
    let form = Multipart::new()
        .field("text", lure)
        .file("files", "a.html", "text/html", lure.as_bytes());
    assert_eq!(form.on(server.post("/chat/").bearer(&ann.token)).send().status, 200);
    for model in ["fake", "echo", "library", "fake-redirect"] {
        ask(&server, &ann, model);
    }
    for path in [
        "/",
        "/docs",
        "/models",
        "/health?verbose",
        "/search?q=document",
        "/usage",
    ] {
        server.get(path).bearer(&ann.token).send();
    }
    let expected = upstream.url().replace("http://", "").replace("/v1", "");
    server.stop();
    assert_eq!(disk.connections().into_iter().collect::<Vec<_>>(), [expected]);
}
