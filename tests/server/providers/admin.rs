//! Providers and names that administrators set while the server runs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Nobody, ran};
use crate::rig::{Account, Launch, Reply, Server, Upstream, check_shape, until};

/// A server, its administrator and somebody else.
struct Office {
    server: Server,
    admin: Account,
    user: Account,
}

impl Office {
    fn at(launch: &Launch) -> Office {
        let server = launch.start();
        let admin = server.account("admin");
        let user = server.account("user");
        Office { server, admin, user }
    }

    fn new() -> Office {
        Office::at(&Launch::new().args(&["--log", "trace"]))
    }

    fn call(&self, method: &str, target: &str, body: Option<Value>) -> Reply {
        let call = self.server.call(method, target).bearer(&self.admin.token);
        body.iter().fold(call, |call, body| call.json(body)).send()
    }

    #[track_caller]
    fn check(&self, method: &str, target: &str, body: Value, status: u16) -> Reply {
        let reply = self.call(method, target, Some(body));
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
        assert!(!reply.text().contains(Upstream::KEY), "{}", reply.text());
        reply
    }

    /// Adds a provider with the canary for a key.
    #[track_caller]
    fn add(&self, name: &str, url: &str) -> Value {
        let body = json!({"name": name, "base_url": url, "api_key": Upstream::KEY});
        self.check("POST", "/admin/providers", body, 201).json()
    }

    fn provider(&self, name: &str) -> Option<Value> {
        let list = self.call("GET", "/admin/providers", None).json();
        let mut rows = list.as_array().expect("a list").iter();
        rows.find(|row| row["name"] == name).cloned()
    }

    fn ask(&self, model: &str) -> Reply {
        super::ask(&self.server, &self.user, model)
    }
}

fn shape(provider: &Value) -> Value {
    let known = json!({
        "id": "<int>", "protocol": "openai", "has_key": true, "source": "stored", "is_enabled": true,
        "since": "<time>", "reason": null,
    });
    let mut shape = known;
    for (key, value) in provider.as_object().expect("an object") {
        shape[key] = value.clone();
    }
    shape
}

#[test]
fn a_provider_is_added_listed_asked_and_seen_down() {
    let office = Office::new();
    let upstream = Upstream::start();
    let added = office.call(
        "POST",
        "/admin/providers",
        Some(json!({"name": "box", "base_url": format!("{}/", upstream.url()), "api_key": Upstream::KEY})),
    );
    let up = shape(&json!({"name": "box", "base_url": upstream.url(), "state": "up", "models": ["fake"]}));
    check_shape(&added, 201, &up);
    check_shape(&office.call("GET", "/admin/providers", None), 200, &json!([up]));
    assert_eq!(ran(&office.server, &office.user, "box/fake-n2"), json!("fake-n2"));
    // What it lists is known by its own name, and offered.
    assert_eq!(ran(&office.server, &office.user, "fake"), json!("fake"));
    let key = format!("Bearer {}", Upstream::KEY);
    for request in upstream.completions() {
        assert_eq!(request.header("Authorization"), Some(key.as_str()));
    }
    let models = office.server.get("/models").bearer(&office.user.token).send();
    let expected = json!([{"name": "box", "state": "up", "reason": null, "models": ["fake"]}]);
    assert_eq!(models.json()["providers"], expected);
    assert_eq!(models.json()["available"][0], json!("fake"));
    assert!(office.server.get("/models").send().json().get("providers").is_none());

    drop(upstream);
    let reply = office.ask("box/fake");
    assert_eq!(reply.status, 503, "{}", reply.text());
    let down = office.provider("box").expect("it is listed");
    assert_eq!(down["state"], "down");
    let reason = down["reason"].as_str().expect("a reason");
    assert!(reason.contains("cannot be reached"), "{reason}");
    assert_eq!(down["models"], json!(["fake"]), "what it had");
    for target in ["/models", "/health?verbose", "/health?verbose=true"] {
        let seen = office.server.get(target).bearer(&office.user.token).send();
        assert_eq!(seen.status, 200);
        assert_eq!(seen.json()["providers"][0]["state"], "down", "{target}");
        assert_eq!(seen.json()["providers"][0]["reason"], reason, "{target}");
    }
    let exit = office.server.stop();
    assert!(!exit.stderr.contains(Upstream::KEY) && !exit.stdout.contains(Upstream::KEY));
}

#[test]
fn a_provider_that_does_not_answer_is_stored_and_shown_as_down() {
    let (office, nobody) = (Office::new(), Nobody::new());
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}/v1", deaf.local_addr().expect("an address"));
    for (name, url) in [("gone", nobody.url()), ("silent", silent)] {
        let began = Instant::now();
        let added = office.add(name, &url);
        assert_eq!((&added["state"], &added["models"]), (&json!("down"), &json!([])));
        assert!(
            added["reason"].as_str().is_some_and(|reason| reason.contains(name)),
            "{added}"
        );
        assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    }
    // Nobody waits for it.
    for target in ["/models", "/health?verbose", "/"] {
        let reply = office.server.get(target).bearer(&office.user.token).send();
        assert_eq!(reply.status, 200);
    }
    assert_eq!(office.ask("gone/x").status, 503);
    assert_eq!(office.ask("echo").status, 200);
}

#[test]
fn a_provider_comes_up_once_it_is_tested_again() {
    let office = Office::new();
    let (upstream, nobody) = (Upstream::start(), Nobody::new());
    let added = office.add("box", &nobody.url());
    let path = format!("/admin/providers/{}", added["id"]);
    for target in [path.clone(), "/admin/providers/box".to_owned()] {
        let tested = office.call("POST", &format!("{target}/test"), None);
        assert_eq!((tested.status, &tested.json()["state"]), (200, &json!("down")));
    }
    let body = json!({"base_url": upstream.url(), "api_key": Upstream::KEY});
    let moved = office.check("PATCH", &path, body, 200).json();
    assert_eq!((&moved["state"], &moved["has_key"]), (&json!("up"), &json!(true)));
    let off = office.check("PATCH", &path, json!({"is_enabled": false}), 200).json();
    assert_eq!((&off["state"], &off["has_key"]), (&json!("off"), &json!(true)));
    assert_eq!(office.ask("box/fake").status, 422);
    let on = office
        .check("PATCH", &path, json!({"is_enabled": true, "name": "bax"}), 200)
        .json();
    assert_eq!(on["state"], "up");
    assert_eq!(office.ask("bax/fake").status, 200);
    assert_eq!(office.call("DELETE", &path, None).status, 204);
    assert_eq!(office.call("DELETE", &path, None).status, 404);
    assert_eq!(office.ask("bax/fake").status, 422);
    assert!(office.provider("bax").is_none());
}

/// A key is never sent to another server than the one it was entered for.
#[test]
fn another_address_leaves_the_key_behind() {
    let office = Office::new();
    let (mine, thief) = (Upstream::start(), Upstream::start());
    let path = format!("/admin/providers/{}", office.add("box", &mine.url())["id"]);
    assert_eq!(office.ask("box/fake").status, 200);
    let moved = office
        .check("PATCH", &path, json!({"base_url": thief.url()}), 200)
        .json();
    assert_eq!(
        (&moved["has_key"], &moved["base_url"]),
        (&json!(false), &json!(thief.url()))
    );
    assert_eq!(office.ask("box/fake").status, 200);
    let back = office
        .check("PATCH", &path, json!({"base_url": mine.url()}), 200)
        .json();
    assert_eq!(back["has_key"], false, "it does not come back either");
    for request in thief.completions() {
        assert_eq!(request.header("Authorization"), None);
    }
    let taken = json!({"api_key": Upstream::KEY});
    assert_eq!(office.check("PATCH", &path, taken, 200).json()["has_key"], true);
    let gone = json!({"api_key": ""});
    assert_eq!(office.check("PATCH", &path, gone, 200).json()["has_key"], false);
}

#[test]
fn addresses_that_hand_out_credentials_are_refused_in_every_spelling() {
    let office = Office::new();
    let fine = office.add("fine", "http://127.0.0.1:9/v1");
    let path = format!("/admin/providers/{}", fine["id"]);
    for url in [
        "http://169.254.169.254/v1",
        "http://169.254.169.254./v1",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://0251.0376.0251.0376/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[::ffff:a9fe:a9fe]/v1",
        "http://[fe80::1]/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://100.100.100.200/v1",
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://user:secret@example.com/v1",
        "http://example.com/v1?x=y",
        "not a url",
    ] {
        let refused = office.check("POST", "/admin/providers", json!({"name": "box", "base_url": url}), 400);
        assert!(!refused.text().contains("secret"), "{}", refused.text());
        office.check("PATCH", &path, json!({"base_url": url}), 400);
    }
    assert!(office.provider("box").is_none());
    assert_eq!(
        office.provider("fine").expect("it")["base_url"],
        "http://127.0.0.1:9/v1"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let office = Office::new();
    office.add("box", "http://127.0.0.1:9/v1");
    for (body, status) in [
        (json!({"name": "box", "base_url": "http://127.0.0.1:9/v1"}), 409),
        (json!({"name": "Box", "base_url": "http://127.0.0.1:9/v1"}), 400),
        (json!({"name": "echo", "base_url": "http://127.0.0.1:9/v1"}), 400),
        (json!({"name": "a/b", "base_url": "http://127.0.0.1:9/v1"}), 400),
        (json!({"name": "nowhere"}), 400),
        (
            json!({"name": "bax", "base_url": "http://127.0.0.1:9/v1", "protocol": "gopher"}),
            422,
        ),
        (
            json!({"name": "bax", "base_url": "http://127.0.0.1:9/v1", "api_key": "a\nb"}),
            400,
        ),
        (json!({"name": "", "base_url": "http://127.0.0.1:9/v1"}), 422),
        (json!({"base_url": "http://127.0.0.1:9/v1"}), 422),
    ] {
        office.check("POST", "/admin/providers", body, status);
    }
    for (method, path) in [("PATCH", ""), ("DELETE", ""), ("POST", "/test")] {
        for id in ["77", "nobody", "0", "-1"] {
            let reply = office.call(method, &format!("/admin/providers/{id}{path}"), Some(json!({})));
            assert_eq!(reply.status, 404, "{method} {id}: {}", reply.text());
        }
    }
}

#[test]
fn what_the_environment_sets_is_changed_there() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    let office = Office::at(
        &Launch::new()
            .env("OPENAI_BASE_URL", &upstream.url())
            .env("OPENAI_API_KEY", Upstream::KEY)
            .args(&["--default-model", "openai/fake", "--alias", "fast=openai/fake-n2"]),
    );
    let listed = until(Duration::from_secs(20), "it is asked for its models", || {
        office.provider("openai").filter(|row| row["state"] == "up")
    });
    assert_eq!(
        (&listed["id"], &listed["source"]),
        (&Value::Null, &json!("environment"))
    );
    assert_eq!(
        (&listed["has_key"], &listed["models"]),
        (&json!(true), &json!(["fake"]))
    );
    office.check(
        "PATCH",
        "/admin/providers/openai",
        json!({"base_url": other.url()}),
        409,
    );
    assert_eq!(office.call("DELETE", "/admin/providers/openai", None).status, 409);
    assert_eq!(office.call("POST", "/admin/providers/openai/test", None).status, 200);
    office.check(
        "POST",
        "/admin/providers",
        json!({"name": "openai", "base_url": other.url()}),
        409,
    );
    office.check("PUT", "/admin/models", json!({"default_model": "echo"}), 409);
    office.check("PUT", "/admin/models/fast", json!({"models": ["echo"]}), 409);
    assert_eq!(office.call("DELETE", "/admin/models/fast", None).status, 409);
    assert_eq!(ran(&office.server, &office.user, "fast"), json!("fake-n2"));
}

#[test]
fn names_and_the_default_are_set_and_survive() {
    let (upstream, nobody) = (Upstream::start(), Nobody::new());
    let office = Office::new();
    assert_eq!(ran(&office.server, &office.user, "smart"), json!("echo"));
    office.add("gone", &nobody.url());
    office.add("box", &upstream.url());
    office.check(
        "PUT",
        "/admin/models/smart",
        json!({"models": ["gone/x", "box/fake-n2"]}),
        200,
    );
    office.check("PUT", "/admin/models/own.name", json!({"models": ["echo"]}), 200);
    let set = office.check("PUT", "/admin/models", json!({"default_model": "box/fake-n3"}), 200);
    check_shape(
        &set,
        200,
        &json!({
            "default_model": {"name": "box/fake-n3", "source": "stored", "runs": "fake-n3"},
            "aliases": [
                {"name": "smart", "models": ["gone/x", "box/fake-n2"], "source": "stored"},
                {"name": "own.name", "models": ["echo"], "source": "stored"},
            ],
            "available": ["fake-n3", "fake", "echo", "library"],
        }),
    );
    for (body, status) in [
        (json!({"models": []}), 400),
        (json!({"models": ["nobody/x"]}), 400),
        (json!({"models": ["box/fake", "smart"]}), 400),
        (json!({"models": [""]}), 400),
        (json!({"models": "echo"}), 422),
        (json!({}), 422),
        (json!({"models": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}), 422),
    ] {
        office.check("PUT", "/admin/models/other", body, status);
    }
    office.check("PUT", "/admin/models/echo", json!({"models": ["box/fake"]}), 400);
    office.check("PUT", "/admin/models", json!({"default_model": "nobody/x"}), 400);
    assert_eq!(office.call("DELETE", "/admin/models/other", None).status, 404);
    let launch = office.server.launch().clone();
    let user = office.user.clone();
    drop(office);
    let server = launch.start();
    assert_eq!(ran(&server, &user, "smart"), json!("fake-n2"));
    assert_eq!(ran(&server, &user, ""), json!("fake-n3"));
    assert_eq!(ran(&server, &user, "own.name"), json!("echo"));
}

#[test]
fn only_administrators_see_or_change_any_of_it() {
    let office = Office::new();
    office.add("box", "http://127.0.0.1:9/v1");
    let provider = json!({"name": "bax", "base_url": "http://127.0.0.1:9/v1"});
    for (method, target, body) in [
        ("GET", "/admin/providers", json!(null)),
        ("POST", "/admin/providers", provider),
        ("PATCH", "/admin/providers/box", json!({"name": "bax"})),
        ("DELETE", "/admin/providers/box", json!(null)),
        ("POST", "/admin/providers/box/test", json!(null)),
        ("GET", "/admin/models", json!(null)),
        ("PUT", "/admin/models", json!({"default_model": "echo"})),
        ("PUT", "/admin/models/fast", json!({"models": ["echo"]})),
        ("DELETE", "/admin/models/fast", json!(null)),
    ] {
        let call = office
            .server
            .call(method, target)
            .bearer(&office.user.token)
            .json(&body);
        let reply = call.send();
        check_shape(&reply, 403, &json!({"detail": "<filled>"}));
        assert_eq!(office.server.call(method, target).json(&body).send().status, 401);
    }
    assert!(office.provider("box").is_some() && office.provider("bax").is_none());
}

#[test]
fn health_says_more_to_those_who_are_signed_in_and_ask() {
    let office = Office::new();
    let plain = json!({"status": "healthy", "version": "<any>"});
    for target in ["/health", "/health?verbose", "/health?verbose=1"] {
        check_shape(&office.server.get(target).send(), 200, &plain);
        check_shape(&office.server.get(target).bearer("nonsense").send(), 200, &plain);
    }
    for target in ["/health", "/health?verbose=0", "/health?verbose=false"] {
        check_shape(
            &office.server.get(target).bearer(&office.user.token).send(),
            200,
            &plain,
        );
    }
    let verbose = json!({
        "status": "healthy", "version": "<any>",
        "store": {"state": "healthy", "reason": null},
        "turns": {"running": 0, "max": 256},
        "providers": [],
        "backups": null,
    });
    check_shape(
        &office.server.get("/health?verbose").bearer(&office.user.token).send(),
        200,
        &verbose,
    );
}
