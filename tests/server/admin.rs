//! Administration: accounts, registration, limits, and the server's figures.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Account, Call, Desk, Launch, PATIENCE, Server, Socket, Upstream, check_shape, until};

fn account_shape() -> Value {
    json!({"id": "<uuid>", "username": "<string>", "email": "<string>", "external_id": null, "display_name": null,
        "role": "user", "disabled": false, "created_at": "<time>", "conversation_count": 0, "attachment_bytes": 0,
        "messages_per_day": null, "budget_usd_month": null, "upload_quota_mib": null})
}

/// A server with an administrator (the desk's account) and a user.
struct Office {
    desk: Desk,
    user: Account,
}

impl Office {
    fn new() -> Office {
        let desk = Desk::new();
        let user = desk.server.account("user");
        Office { desk, user }
    }

    fn change(&self, id: &str, body: &Value) -> crate::rig::Reply {
        self.desk.call("PATCH", &format!("/admin/users/{id}")).json(body).send()
    }

    fn me(&self, token: &str) -> u16 {
        self.desk.server.get("/users/me").bearer(token).send().status
    }

    fn admin_id(&self) -> String {
        let me = self.desk.call("GET", "/users/me").send().json();
        me["id"].as_str().expect("an id").to_owned()
    }
}

#[test]
fn accounts_are_listed_made_and_changed() {
    let office = Office::new();
    let desk = &office.desk;
    let new = json!({"email": "new@example.com", "password": "a new password"});
    let made = desk.call("POST", "/admin/users").json(&new).send();
    check_shape(&made, 201, &account_shape());
    assert_eq!(desk.call("POST", "/admin/users").json(&new).send().status, 409);
    let page = desk.call("GET", "/admin/users?limit=2&offset=1").send().json();
    let emails: Vec<&Value> = page["users"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| &user["email"])
        .collect();
    assert_eq!(emails, ["user@example.com", "new@example.com"]);
    assert_eq!(page["total"], 3);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let changed = office.change(&id, &json!({"role": "admin", "display_name": "Newton"}));
    assert_eq!((changed.status, &changed.json()["role"]), (200, &json!("admin")));
    let body = json!({"email": "new@example.com", "password": "a new password"});
    let login = desk.server.post("/auth/login").json(&body).send();
    let token = login.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(desk.server.get("/admin/users").bearer(&token).send().status, 200);
    // A new password ends what was signed in with the old one.
    assert_eq!(office.change(&id, &json!({"password": "another one"})).status, 200);
    assert_eq!(office.me(&token), 401);
    assert_eq!(desk.server.post("/auth/login").json(&body).send().status, 401);
    for unknown in ["00000000-0000-4000-8000-000000000000", "1", "x"] {
        assert_eq!(office.change(unknown, &json!({})).status, 404);
        assert_eq!(
            desk.call("DELETE", &format!("/admin/users/{unknown}")).send().status,
            404
        );
    }
    assert_eq!(office.change(&id, &json!({"role": "king"})).status, 422);
}

#[test]
fn a_disabled_user_is_out_within_a_second() {
    let office = Office::new();
    let server = &office.desk.server;
    let mut socket = Socket::open(server, &office.user.token);
    assert_eq!(office.me(&office.user.token), 200);
    assert_eq!(office.change(&office.user.id, &json!({"disabled": true})).status, 200);
    assert_eq!(office.me(&office.user.token), 401);
    let login = json!({"email": office.user.email, "password": office.user.password});
    assert_eq!(server.post("/auth/login").json(&login).send().status, 401);
    // Tenfold slack.
    assert_eq!(socket.close_code(Duration::from_secs(10)), 1008);
    let changed = office.change(&office.user.id, &json!({"disabled": false})).json();
    assert_eq!(changed["disabled"], false);
    // The old session stays over.
    assert_eq!(office.me(&office.user.token), 401);
    assert_eq!(server.post("/auth/login").json(&login).send().status, 200);
}

/// What is being written to a disabled user comes to its end, whoever reads along.
#[test]
fn a_disabled_users_streams_end() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-hangmid", &[]);
    let user = desk.server.account("user");
    let mut stream = desk.server.connect();
    let call = desk
        .server
        .post("/chat")
        .bearer(&user.token)
        .header("Accept", "text/event-stream");
    stream.send(&call.json(&json!({"message": "hello"})).bytes());
    upstream.wait_for(1);
    assert!(desk.server.get("/metrics").send().text().contains("fireside_turns 1\n"));
    let path = format!("/admin/users/{}", user.id);
    assert_eq!(
        desk.call("PATCH", &path).json(&json!({"disabled": true})).send().status,
        200
    );
    // Tenfold slack.
    until(Duration::from_secs(10), "no reply is being written", || {
        let page = desk.server.get("/metrics").send().text();
        page.lines().any(|line| line == "fireside_turns 0").then_some(())
    });
}

#[test]
fn the_last_administrator_stays() {
    let office = Office::new();
    let admin = office.admin_id();
    for body in [
        json!({"role": "user"}),
        json!({"disabled": true}),
        json!({"role": "user", "disabled": true}),
    ] {
        let reply = office.change(&admin, &body);
        assert_eq!(reply.status, 409, "{body}: {}", reply.text());
    }
    assert_eq!(
        office
            .desk
            .call("DELETE", &format!("/admin/users/{admin}"))
            .send()
            .status,
        409
    );
    assert_eq!(
        office.change(&admin, &json!({"display_name": "Still here"})).status,
        200
    );
    // One who cannot sign in is none.
    assert_eq!(
        office
            .change(&office.user.id, &json!({"role": "admin", "disabled": true}))
            .status,
        200
    );
    assert_eq!(office.change(&admin, &json!({"role": "user"})).status, 409);
    assert_eq!(office.change(&office.user.id, &json!({"disabled": false})).status, 200);
    assert_eq!(office.change(&admin, &json!({"role": "user"})).status, 200);
    assert_eq!(office.desk.call("GET", "/admin/users").send().status, 403);
}

#[test]
fn a_deleted_user_leaves_nothing_behind() {
    let office = Office::new();
    let server = &office.desk.server;
    let token = &office.user.token;
    for number in 0..5 {
        let body = json!({"message": format!("narwhal {number}")});
        assert_eq!(server.post("/chat").bearer(token).json(&body).send().status, 200);
    }
    let document = json!({"title": "Narwhals", "content": "They live in the north."});
    assert_eq!(
        server.post("/documents").bearer(token).json(&document).send().status,
        201
    );
    let path = format!("/admin/users/{}", office.user.id);
    assert_eq!(office.desk.call("DELETE", &path).send().status, 204);
    assert_eq!(office.me(token), 401);
    assert_eq!(office.desk.call("DELETE", &path).send().status, 404);
    let users = office.desk.call("GET", "/admin/users").send().json();
    assert_eq!(users["total"], 1);
    // The address is free, and whoever takes it finds an empty house.
    let again = server.account("user");
    assert_ne!(again.id, office.user.id);
    let chats = server.get("/chats").bearer(&again.token).send().json();
    assert_eq!(chats["total"], 0);
    // Not a word of it stays in the file, once the batches have run.
    let usage = format!("/usage?user={}", office.user.id);
    until(PATIENCE, "the account is gone", || {
        (office.desk.call("GET", &usage).send().status == 404).then_some(())
    });
}

#[test]
fn registration_opens_and_closes_at_run_time() {
    let mut office = Office::new();
    let register = |server: &Server, name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "password": "a password"});
        server.post("/auth/register").json(&body).send().status
    };
    let read = |desk: &Desk| desk.call("GET", "/admin/signup").send().json();
    assert_eq!(read(&office.desk), json!({"signup": "open", "source": "default"}));
    let closed = office
        .desk
        .call("PUT", "/admin/signup")
        .json(&json!({"signup": "closed"}))
        .send();
    assert_eq!(closed.json(), json!({"signup": "closed", "source": "stored"}));
    assert_eq!(register(&office.desk.server, "late"), 403);
    office.desk.server.restart();
    assert_eq!(register(&office.desk.server, "late"), 403);
    let default = office
        .desk
        .call("PUT", "/admin/signup")
        .json(&json!({"signup": null}))
        .send();
    assert_eq!(default.json()["source"], "default");
    assert_eq!(register(&office.desk.server, "late"), 201);
    assert_eq!(
        office
            .desk
            .call("PUT", "/admin/signup")
            .json(&json!({"signup": "ajar"}))
            .send()
            .status,
        422
    );
}

#[test]
fn what_was_given_at_start_decides() {
    let launch = Launch::new().args(&["--signup", "open", "--messages-per-minute", "2"]);
    let desk = Desk::at(launch.start());
    let reply = desk
        .call("PUT", "/admin/signup")
        .json(&json!({"signup": "closed"}))
        .send();
    assert_eq!(reply.status, 409);
    assert!(reply.detail().contains("--signup"), "{}", reply.detail());
    assert_eq!(desk.call("GET", "/admin/signup").send().json()["source"], "flag");
    let limits = json!({"messages_per_minute": 9});
    assert_eq!(desk.call("PUT", "/admin/limits").json(&limits).send().status, 409);
    let limits = desk.call("GET", "/admin/limits").send().json();
    assert_eq!(
        limits,
        json!({"messages_per_minute": 2, "messages_per_day": null, "budget_usd_month": null, "upload_quota_mib": null,
            "default_upload_quota_mib": 1024, "given": ["messages_per_minute"]})
    );
}

#[test]
fn limits_change_at_run_time() {
    let office = Office::new();
    let desk = &office.desk;
    let say = || {
        let call: Call = desk.server.post("/chat").bearer(&office.user.token);
        call.json(&json!({"message": "hello"})).send().status
    };
    let unset = json!({"messages_per_minute": null, "messages_per_day": null, "budget_usd_month": null,
        "upload_quota_mib": null, "default_upload_quota_mib": 1024, "given": []});
    assert_eq!(desk.call("GET", "/admin/limits").send().json(), unset);
    let set = |body: &Value| desk.call("PUT", "/admin/limits").json(body).send();
    assert_eq!(
        set(&json!({"messages_per_minute": 2, "upload_quota_mib": 1})).status,
        200
    );
    assert_eq!([say(), say(), say()], [200, 200, 429]);
    let form = |bytes: usize| {
        let form = crate::rig::Multipart::new().file("file", "a.bin", "application/octet-stream", &vec![7; bytes]);
        form.on(desk.server.post("/upload/").bearer(&desk.token)).send().status
    };
    assert_eq!([form(2 << 20), form(1000)], [413, 200]);
    assert_eq!(set(&json!({})).json(), unset);
    assert_eq!(say(), 200);
    for body in [
        json!({"messages_per_minute": -1}),
        json!({"messages_per_day": 0.5}),
        json!({"budget_usd_month": -0.01}),
        json!({"budget_usd_month": "much"}),
        json!({"upload_quota_mib": 0}),
        json!({"upload_quota_mib": "x"}),
    ] {
        assert_eq!(set(&body).status, 422, "{body}");
    }
}

#[test]
fn figures_for_prometheus() {
    let desk = Desk::new();
    let value = |page: &str, name: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().expect("a number")
    };
    let page = || {
        let reply = desk.server.get("/metrics").send();
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("Content-Type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        reply.text()
    };
    let before = page();
    for _ in 0..5 {
        desk.server.get("/nowhere").send();
    }
    assert_eq!(
        desk.call("POST", "/chats").json(&json!({"title": "a"})).send().status,
        201
    );
    let after = page();
    let grown = |name: &str| value(&after, name) - value(&before, name);
    assert!((grown("fireside_requests_total{class=\"4xx\"}") - 5.0).abs() < 0.1);
    assert!(grown("fireside_store_commits_total") >= 1.0);
    assert!(value(&after, "fireside_connections") >= 1.0);
    assert!((value(&after, "fireside_turns")).abs() < 0.1);
    assert!(value(&after, "process_resident_memory_bytes") > 1e6);
    for line in after.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').expect("a name and a number");
        assert!(
            number.parse::<f64>().is_ok() && name.starts_with(char::is_alphabetic),
            "{line}"
        );
    }
}

#[test]
fn figures_are_for_administrators_where_others_are() {
    let launch = Launch::new().args(&["--allowed-host", "example.com", "--signup", "open"]);
    let server = launch.start();
    assert_eq!(server.get("/metrics").send().status, 401);
    let user = server.account("user");
    assert_eq!(server.get("/metrics").bearer(&user.token).send().status, 403);
}
