//! The log of what administrators do. Every route that lets them change something leaves an entry: the table of routes says
//! which there are, so that one that is added without an entry, or without a request here, fails.

use fireside::api;
use fireside::http::Auth;
use serde_json::{Value, json};

use crate::rig::{Account, Call, Desk};

/// Stands in everything that must stay secret.
const SECRET: &str = "between-me-and-the-server";

/// A server with an administrator (the desk's account), a user, a provider and an alias.
struct Office {
    desk: Desk,
    user: Account,
}

impl Office {
    fn new() -> Office {
        let desk = Desk::new();
        let user = desk.server.account("user");
        let office = Office { desk, user };
        let provider =
            json!({"name": "den", "protocol": "openai", "base_url": "http://127.0.0.1:9", "api_key": SECRET});
        let made = office.call("POST", "/admin/providers").json(&provider).send();
        assert_eq!(made.status, 201, "{}", made.text());
        let named = office
            .call("PUT", "/admin/models/quick")
            .json(&json!({"models": ["echo"]}))
            .send();
        assert_eq!(named.status, 200, "{}", named.text());
        office
    }

    fn call(&self, method: &str, path: &str) -> Call {
        self.desk.call(method, path)
    }

    fn log(&self, query: &str) -> Value {
        let reply = self.call("GET", &format!("/admin/audit{query}")).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// A request that succeeds at an administrators' route, and the act that it is.
    fn act(&self, method: &str, path: &str) -> (Call, &'static str) {
        let user = path.replace("{user_id}", &self.user.id);
        let user = |body: &Value| self.call(method, &user).json(body);
        let provider = path.replace("{provider_id}", "den");
        let provider = |body: &Value| self.call(method, &provider).json(body);
        let alias = path.replace("{alias}", "quick");
        match (method, path) {
            ("POST", "/admin/users") => {
                let new = json!({"email": "new@example.com", "password": SECRET, "role": "admin"});
                (self.call(method, path).json(&new), "user.create")
            }
            ("PATCH", "/admin/users/{user_id}") => {
                let change = json!({"password": SECRET, "display_name": "Una", "messages_per_day": 5});
                (user(&change), "user.update")
            }
            ("DELETE", "/admin/users/{user_id}") => (user(&json!({})), "user.delete"),
            ("PUT", "/admin/signup") => (
                self.call(method, path).json(&json!({"signup": "closed"})),
                "signup.update",
            ),
            ("PUT", "/admin/limits") => (
                self.call(method, path).json(&json!({"budget_usd_month": 2.5})),
                "limits.update",
            ),
            ("POST", "/admin/providers") => {
                let new = json!({"name": "attic", "protocol": "openai", "base_url": "http://127.0.0.1:9",
                    "api_key": SECRET});
                (self.call(method, path).json(&new), "provider.create")
            }
            ("PATCH", "/admin/providers/{provider_id}") => (
                provider(&json!({"is_enabled": false, "api_key": format!("{SECRET} too")})),
                "provider.update",
            ),
            ("DELETE", "/admin/providers/{provider_id}") => (provider(&json!({})), "provider.delete"),
            ("POST", "/admin/providers/{provider_id}/test") => (provider(&json!({})), "provider.test"),
            ("PUT", "/admin/models") => (
                self.call(method, path).json(&json!({"default_model": "echo"})),
                "model.update",
            ),
            ("PUT", "/admin/models/{alias}") => (
                self.call(method, &alias).json(&json!({"models": ["echo", "library"]})),
                "alias.update",
            ),
            ("DELETE", "/admin/models/{alias}") => (self.call(method, &alias), "alias.delete"),
            // It changes nothing, but whoever has it has what everybody keeps here.
            ("GET" | "POST", "/admin/backup") => (self.call(method, path), "backup.create"),
            _ => panic!("{method} {path}: which request makes it change something, and which entry does that leave?"),
        }
    }
}

#[test]
fn every_act_of_an_administrator_leaves_one_entry() {
    let office = Office::new();
    let changes = api::routes().filter(|route| {
        let is_about_server = route.auth == Auth::Admin || route.path.starts_with("/admin");
        is_about_server && (route.method != "GET" || route.path == "/admin/backup")
    });
    let mut routes: Vec<_> = changes.collect();
    // What is deleted is there until all others have been at it.
    routes.sort_by_key(|route| route.method == "DELETE");
    assert!(routes.len() >= 13, "only {} routes", routes.len());
    for route in routes {
        let (call, act) = office.act(route.method, route.path);
        let before = office.log("")["total"].as_i64().expect("a number");
        let reply = call.send();
        let at = format!("{} {}: {} {}", route.method, route.path, reply.status, act);
        assert!((200..300).contains(&reply.status), "{at} {}", reply.text());
        let log = office.log("");
        assert_eq!(log["total"].as_i64(), Some(before + 1), "{at}");
        let entry = &log["entries"][0];
        assert_eq!(entry["act"], act, "{at}");
        assert_eq!(
            (&entry["means"], &entry["address"]),
            (&json!("session"), &json!("127.0.0.1")),
            "{at}"
        );
        assert_eq!(entry["user_name"], "ann@example.com", "{at}");
        assert!(!log.to_string().contains(SECRET), "{at}: {log}");
    }
}

#[test]
fn an_entry_says_who_did_what_to_whom() {
    let office = Office::new();
    let (update, _) = office.act("PATCH", "/admin/users/{user_id}");
    assert_eq!(update.send().status, 200);
    let (limit, _) = office.act("PUT", "/admin/limits");
    assert_eq!(limit.send().status, 200);
    let log = office.log("?limit=2");
    let me = office.call("GET", "/users/me").send().json();
    let entry = &log["entries"][1];
    assert_eq!(
        (&entry["user_id"], &entry["subject_id"]),
        (&me["id"], &json!(office.user.id))
    );
    assert_eq!(
        (&entry["user_name"], &entry["subject"]),
        (&me["email"], &json!("user@example.com"))
    );
    assert_eq!(
        entry["changes"],
        json!([{"field": "display_name", "from": null, "to": "Una"},
            {"field": "messages_per_day", "from": null, "to": 5}, {"field": "password"}])
    );
    assert_eq!(
        log["entries"][0]["changes"],
        json!([{"field": "budget_usd_month", "from": null, "to": 2.5}])
    );
    // What is refused leaves none.
    let path = format!("/admin/users/{}", me["id"].as_str().expect("an id"));
    assert_eq!(office.call("DELETE", &path).send().status, 409);
    assert_eq!(office.log("")["total"], log["total"]);
    let other = office.desk.server.account("other");
    // Nobody but an administrator reads it, and nobody at all changes it.
    assert_eq!(
        office
            .desk
            .server
            .get("/admin/audit")
            .bearer(&other.token)
            .send()
            .status,
        403
    );
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(office.call(method, "/admin/audit").send().status, 405);
        assert!(matches!(
            office
                .call(method, &format!("/admin/audit/{}", entry["id"]))
                .send()
                .status,
            404 | 405
        ));
    }
}

#[test]
fn the_log_is_paged_and_filtered() {
    let office = Office::new();
    for name in ["one", "two", "three"] {
        let path = format!("/admin/users/{}", office.user.id);
        assert_eq!(
            office
                .call("PATCH", &path)
                .json(&json!({"display_name": name}))
                .send()
                .status,
            200
        );
    }
    let names = |query: &str| -> Vec<Value> {
        let log = office.log(query);
        let entries = log["entries"].as_array().expect("a list").iter();
        entries.map(|entry| entry["changes"][0]["to"].clone()).collect()
    };
    assert_eq!(names("?limit=2"), ["three", "two"]);
    let newest = office.log("?limit=1");
    let before = &newest["entries"][0]["id"];
    assert_eq!(
        names(&format!("?act=user.update&limit=2&before={before}")),
        ["two", "one"]
    );
    assert_eq!(
        office.log(&format!("?act=user.update&limit=1&before={before}"))["total"],
        2
    );
    assert_eq!(office.call("GET", "/admin/audit?before=0").send().status, 422);
    assert_eq!(names(&format!("?user={}", office.user.id)), ["three", "two", "one"]);
    assert_eq!(office.log("?act=user.delete"), json!({"entries": [], "total": 0}));
    assert_eq!(office.log("?user=nobody")["total"], 0);
    let others = office.log("?act=provider.create");
    assert_eq!(
        (&others["total"], &others["entries"][0]["subject"]),
        (&json!(1), &json!("den"))
    );
    assert_eq!(office.call("GET", "/admin/audit?limit=0").send().status, 422);
}

/// A log full of nothing would push out what matters.
#[test]
fn what_changes_nothing_leaves_no_entry() {
    let office = Office::new();
    let user = format!("/admin/users/{}", office.user.id);
    let before = office.log("")["total"].clone();
    for (method, path, body) in [
        ("PATCH", user.as_str(), json!({})),
        (
            "PATCH",
            user.as_str(),
            json!({"role": "user", "messages_per_day": null}),
        ),
        ("PATCH", "/admin/providers/den", json!({})),
        ("PATCH", "/admin/providers/den", json!({"api_key": SECRET})),
        ("PUT", "/admin/signup", json!({"signup": null})),
        ("PUT", "/admin/limits", json!({})),
        ("PUT", "/admin/models/quick", json!({"models": ["echo"]})),
    ] {
        let reply = office.call(method, path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(office.log("")["total"], before, "{method} {path} {body}");
    }
}

#[test]
fn the_first_administrator_is_in_it() {
    let desk = Desk::new();
    let log = desk.call("GET", "/admin/audit").send().json();
    let entry = &log["entries"][0];
    let how = (&entry["act"], &entry["means"], &log["total"]);
    assert_eq!(how, (&json!("user.create"), &json!("setup"), &json!(1)));
    assert_eq!(entry["subject"], "ann@example.com");
    assert_eq!(
        entry["changes"],
        json!([{"field": "role", "from": null, "to": "admin"}])
    );
    // Others who sign up are no administrator's act.
    desk.server.account("user");
    assert_eq!(desk.call("GET", "/admin/audit").send().json()["total"], 1);
}

#[test]
fn a_trusted_proxy_says_whose_address_it_is() {
    let Desk { server, token } = Desk::new();
    let launch = server.launch().clone().args(&["--trusted-proxy", "127.0.0.1"]);
    drop(server);
    let server = launch.start();
    let close = server
        .put("/admin/signup")
        .bearer(&token)
        .json(&json!({"signup": "closed"}));
    let from = close.header("X-Forwarded-For", "192.0.2.7, 203.0.113.9").send();
    assert_eq!(from.status, 200, "{}", from.text());
    let log = server.get("/admin/audit").bearer(&token).send().json();
    assert_eq!(log["entries"][0]["address"], "203.0.113.9");
}
