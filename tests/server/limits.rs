//! What users may send and keep: for everybody and for single users, at every door, and what they see of it.

use std::thread;

use fireside::api;
use fireside::error::Kind;
use serde_json::{Value, json};

use crate::rig::{Account, Call, Desk, Launch, Multipart, Reply, Stream, Upstream, check_shape};

/// A server with an administrator (the desk's account), a user, and a model that makes vectors, too.
struct Office {
    desk: Desk,
    user: Account,
    _upstream: Upstream,
}

impl Office {
    fn new() -> Office {
        Office::with(&[])
    }

    fn with(args: &[&str]) -> Office {
        let upstream = Upstream::start();
        let desk = Desk::with_upstream(&upstream, "fake", args);
        let user = desk.server.account("user");
        Office {
            desk,
            user,
            _upstream: upstream,
        }
    }

    #[track_caller]
    fn set(&self, limits: &Value) {
        let reply = self.desk.call("PUT", "/admin/limits").json(limits).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    #[track_caller]
    fn set_own(&self, limits: &Value) {
        let path = format!("/admin/users/{}", self.user.id);
        let reply = self.desk.call("PATCH", &path).json(limits).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    fn post(&self, path: &str) -> Call {
        self.desk.server.post(path).bearer(&self.user.token)
    }

    fn say(&self) -> Reply {
        self.post("/chat").json(&json!({"message": "hello"})).send()
    }

    fn get(&self, path: &str) -> Value {
        self.desk.server.get(path).bearer(&self.user.token).send().json()
    }

    fn change(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.desk.server.launch().database()).expect("a database");
        let changed = database.execute(sql, ()).expect("an update");
        assert!(changed > 0, "{sql}: there is nothing yet");
    }

    /// As if replies had cost so much this month.
    fn spend(&self, usd: f64) {
        self.change(&format!("UPDATE consumption SET usd = {usd}"));
    }

    /// Requests at every door at which messages come in. The table of routes says which there are: what sends a message may
    /// find a budget spent.
    fn doors(&self) -> Vec<(String, Call)> {
        let chat = self.get("/chats")["chats"][0].clone();
        let id = chat["id"].as_str().expect("an id");
        let messages = self.get(&format!("/chats/{id}/messages"));
        let doors = api::routes().filter(|route| route.errors.contains(&Kind::OverBudget));
        let mut doors: Vec<_> = doors
            .flat_map(|route| {
                let path = route.path.replace("{chat_id}", id).replace("{user_id}", &self.user.id);
                let which = if route.method == "PATCH" { 0 } else { 1 };
                let path = path.replace("{message_id}", &messages[which]["id"].to_string());
                let call = || self.desk.server.call(route.method, &path).bearer(&self.user.token);
                let name = |form: &str| format!("{} {}{form}", route.method, route.path);
                let requests = knock(route.method, route.path, &call);
                requests
                    .into_iter()
                    .map(move |(form, call)| (name(form), call))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(doors.len() >= 12, "only {} doors", doors.len());
        // Only what broke off can go on, and only before anything else is said.
        doors.sort_by_key(|(name, _)| !name.ends_with("/continue"));
        let reply = &messages[1]["id"];
        self.change(&format!("UPDATE messages SET state = 'interrupted' WHERE id = {reply}"));
        doors
    }

    #[track_caller]
    fn check_shut(&self, about: &str) {
        let rows = |office: &Office| {
            let chats = office.get("/chats");
            (chats["total"].clone(), chats["chats"][0]["message_count"].clone())
        };
        let before = rows(self);
        for (door, call) in self.doors() {
            let reply = call.send();
            let at = format!("{door}: {} {}", reply.status, reply.text());
            assert_eq!(reply.status, 429, "{at}");
            let wait: u64 = reply.header("Retry-After").expect(&at).parse().expect("seconds");
            assert!((1..=31 * 86_400).contains(&wait), "{at}");
            let body = reply.json();
            let words = body["detail"].as_str().or_else(|| body["error"]["message"].as_str());
            let words = words.unwrap_or_default();
            assert!(words.contains(about) && words.contains(" 00:00 UTC"), "{at}");
        }
        assert_eq!(rows(self), before, "something was stored");
    }
}

/// The requests that a door takes, in all their forms.
fn knock(method: &str, path: &str, call: &dyn Fn() -> Call) -> Vec<(&'static str, Call)> {
    let message = json!({"message": "hello"});
    let asked = json!({"model": "fake", "messages": [{"role": "user", "content": "hello"}]});
    match (method, path) {
        ("POST", "/chat") => vec![
            ("", call().json(&message)),
            (" (SSE)", call().header("Accept", "text/event-stream").json(&message)),
            (" (text)", call().header("Accept", "text/plain").json(&message)),
            (" (form)", call().form(&[("text", "hello")])),
        ],
        ("POST", "/chats/{chat_id}/messages/") => vec![("", call().json(&json!({"content": "hello"})))],
        ("POST", "/api/{user_id}/chat") => vec![("", call().json(&message))],
        ("POST", "/messages/{message_id}/regenerate" | "/messages/{message_id}/continue") => {
            vec![("", call().json(&json!({})))]
        }
        ("PATCH", "/messages/{message_id}") => vec![("", call().json(&json!({"content": "hello again"})))],
        ("POST", "/v1/chat/completions") => vec![
            ("", call().json(&asked)),
            (" (kept)", call().header("X-Conversation-Id", "new").json(&asked)),
        ],
        ("POST", "/v1/embeddings") => vec![("", call().json(&json!({"model": "fake", "input": "hello"})))],
        _ => panic!("{method} {path}: which request sends a message there?"),
    }
}

#[test]
fn every_door_shuts_when_the_days_messages_are_sent() {
    let mut office = Office::new();
    office.set(&json!({"messages_per_day": 2}));
    assert_eq!([office.say().status, office.say().status], [200, 200]);
    office.check_shut("limit of 2 messages a day");
    let own = office.get("/limits");
    assert_eq!(
        (&own["messages_today"], &own["messages_per_day"]),
        (&json!(2), &json!(2))
    );
    // It is the same day after a restart.
    office.desk.server.restart();
    assert_eq!(office.say().status, 429);
    // A limit of their own holds instead, and everybody's again without it.
    office.set_own(&json!({"messages_per_day": 3}));
    assert_eq!([office.say().status, office.say().status], [200, 429]);
    office.set_own(&json!({"messages_per_day": 0}));
    assert_eq!(office.say().status, 200);
    office.set_own(&json!({"display_name": "As before"}));
    assert_eq!(office.say().status, 200);
    office.set_own(&json!({"messages_per_day": null}));
    assert_eq!(office.say().status, 429);
    office.set(&json!({}));
    for (door, call) in office.doors() {
        let reply = call.send();
        assert_eq!(reply.status, 200, "{door}: {}", reply.text());
    }
    // Each of them is a message, and those before it were counted without a limit as well.
    assert_eq!(office.get("/limits")["messages_today"], 17);
}

#[test]
fn of_many_at_once_no_more_get_in_than_may() {
    let office = Office::new();
    office.set_own(&json!({"messages_per_day": 6}));
    let asked = json!({"model": "echo", "messages": [{"role": "user", "content": "hello"}]});
    let statuses: Vec<u16> = thread::scope(|scope| {
        let begin = |number: usize| {
            let call = if number.is_multiple_of(2) {
                office.post("/v1/chat/completions").json(&asked)
            } else {
                office.post("/chat").json(&json!({"message": "hello"}))
            };
            scope.spawn(move || call.send().status)
        };
        let threads: Vec<_> = (0..24).map(begin).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a reply"))
            .collect()
    });
    let count = |status: u16| statuses.iter().filter(|got| **got == status).count();
    assert_eq!((count(200), count(429)), (6, 18), "{statuses:?}");
    assert_eq!(office.get("/limits")["messages_today"], 6);
}

#[test]
fn every_door_shuts_when_the_months_budget_is_spent() {
    let office = Office::new();
    office.set(&json!({"budget_usd_month": 2.5}));
    assert_eq!(office.say().status, 200);
    office.spend(2.5);
    office.check_shut("budget of 2.5 US dollars");
    office.set_own(&json!({"budget_usd_month": 2.75}));
    assert_eq!(office.say().status, 200);
    let own = office.get("/limits");
    assert_eq!(
        (&own["spent_usd_month"], &own["budget_usd_month"]),
        (&json!(2.5), &json!(2.75))
    );
    office.set_own(&json!({"budget_usd_month": 0}));
    office.spend(1e6);
    assert_eq!(office.say().status, 200);
    assert_eq!(office.get("/limits")["budget_usd_month"], Value::Null);
}

/// What their replies cost is counted, too, and their own API keys pay from the same budget.
#[test]
fn administrators_and_api_keys_are_held_to_the_limits() {
    let office = Office::new();
    office.set(&json!({"messages_per_day": 1}));
    let desk = &office.desk;
    let say = || {
        desk.call("POST", "/chat")
            .json(&json!({"message": "hello"}))
            .send()
            .status
    };
    assert_eq!([say(), say()], [200, 429]);
    let key = office
        .post("/api-keys")
        .json(&json!({"name": "a program"}))
        .send()
        .json();
    let key = key["key"].as_str().expect("a key");
    let by_key = desk.server.post("/chat").bearer(key).json(&json!({"message": "hello"}));
    assert_eq!(
        [by_key.send().status, office.say().status, by_key.send().status],
        [200, 429, 429]
    );
}

#[test]
fn a_user_may_have_room_of_their_own() {
    let office = Office::new();
    let upload = |bytes: usize| {
        let form = Multipart::new().file("file", "a.bin", "application/octet-stream", &vec![7; bytes]);
        form.on(office.post("/upload/")).send().status
    };
    office.set(&json!({"upload_quota_mib": 1}));
    assert_eq!(upload(2 << 20), 413);
    office.set_own(&json!({"upload_quota_mib": 3}));
    assert_eq!([upload(2 << 20), upload(2 << 20)], [200, 413]);
    let own = office.get("/limits");
    assert_eq!(
        (&own["upload_bytes"], &own["upload_quota_bytes"]),
        (&json!(2 << 20), &json!(3 << 20))
    );
    office.set_own(&json!({"upload_quota_mib": null}));
    assert_eq!(upload(1000), 413);
}

#[test]
fn the_limits_of_the_command_line_decide() {
    let desk = Desk::at(
        Launch::new()
            .args(&["--messages-per-day", "1", "--budget-usd-month", "0.5"])
            .start(),
    );
    let set = |limits: &Value| desk.call("PUT", "/admin/limits").json(limits).send();
    for (limits, flag) in [
        (
            json!({"messages_per_day": 9, "budget_usd_month": 0.5}),
            "--messages-per-day",
        ),
        (json!({"budget_usd_month": 9}), "--budget-usd-month"),
    ] {
        let refused = set(&limits);
        assert_eq!(refused.status, 409, "{limits}");
        assert!(refused.detail().contains(flag), "{}", refused.detail());
    }
    let same = set(&json!({"messages_per_day": 1, "budget_usd_month": 0.5, "messages_per_minute": 5}));
    assert_eq!((same.status, &same.json()["messages_per_minute"]), (200, &json!(5)));
    assert_eq!(same.json()["given"], json!(["messages_per_day", "budget_usd_month"]));
    // What the form sends: the fields of limits that were given cannot be typed into.
    let form = set(&json!({"messages_per_minute": 6, "upload_quota_mib": null}));
    assert_eq!(form.status, 200, "{}", form.text());
    let limits = form.json();
    assert_eq!(
        (
            &limits["messages_per_minute"],
            &limits["messages_per_day"],
            &limits["upload_quota_mib"]
        ),
        (&json!(6), &json!(1), &Value::Null)
    );
    // Nothing is stored of what was given, nor of what nobody has set.
    let log = desk.call("GET", "/admin/audit?act=limits.update").send().json();
    let changes: Vec<_> = log["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| &entry["changes"])
        .collect();
    assert_eq!(
        changes,
        [
            &json!([{"field": "messages_per_minute", "from": 5, "to": 6}]),
            &json!([{"field": "messages_per_minute", "from": null, "to": 5}])
        ]
    );
}

/// Whoever starts the server has the last word: an administrator's account may be in wrong hands.
#[test]
fn a_users_own_limit_only_narrows_one_of_the_command_line() {
    let office = Office::with(&[
        "--messages-per-day",
        "5",
        "--budget-usd-month",
        "2",
        "--upload-quota",
        "10",
    ]);
    let own = || {
        let own = office.get("/limits");
        ["messages_per_day", "budget_usd_month", "upload_quota_bytes"].map(|name| own[name].clone())
    };
    let all = [json!(5), json!(2.0), json!(10 << 20)];
    assert_eq!(own(), all);
    for wider in [
        json!({"messages_per_day": 6, "budget_usd_month": 3, "upload_quota_mib": 11}),
        json!({"messages_per_day": 0, "budget_usd_month": 0}),
    ] {
        office.set_own(&wider);
        assert_eq!(own(), all, "{wider}");
    }
    office.set_own(&json!({"messages_per_day": 4, "budget_usd_month": 0.5, "upload_quota_mib": 9}));
    assert_eq!(own(), [json!(4), json!(0.5), json!(9 << 20)]);
    let office = Office::with(&["--messages-per-day", "0"]);
    office.set_own(&json!({"messages_per_day": 4}));
    assert_eq!(office.get("/limits")["messages_per_day"], 4);
}

/// It was let in while there was something left; the reply before it takes that.
#[test]
fn a_message_that_waits_does_not_escape_the_budget() {
    let upstream = Upstream::start();
    let launch = Launch::new().env("OPENAI_BASE_URL", &upstream.url());
    let prices = launch.home().join("prices.json");
    let price = r#"{"fake-n5-pause2": {"version": "1", "input": 100000, "cached_input": 100000, "output": 100000}}"#;
    std::fs::write(&prices, price).expect("a file");
    let pricing = prices.display().to_string();
    let args = ["--default-model", "fake-n5-pause2", "--pricing", &pricing];
    let desk = Desk::at(launch.args(&args).start());
    let limits = desk
        .call("PUT", "/admin/limits")
        .json(&json!({"budget_usd_month": 0.01}))
        .send();
    assert_eq!(limits.status, 200);
    let key = desk
        .call("POST", "/api-keys")
        .json(&json!({"name": "a program"}))
        .send()
        .json();
    let chat = desk.server.chat(&desk.token, "a chat");
    let body = json!({"message": "hi", "chat_id": chat["id"], "queue": true});
    let send = || desk.call("POST", "/chat").json(&body);
    let mut first = Stream::events(send().header("Accept", "text/event-stream"));
    first.expect("start");
    first.expect("delta");
    let by_key = desk
        .server
        .post("/chat")
        .bearer(key["key"].as_str().expect("a key"))
        .json(&body);
    let waiting = thread::scope(|scope| {
        let waiting = [send(), by_key].map(|call| scope.spawn(move || call.send()));
        upstream.release();
        waiting.map(|thread| thread.join().expect("a reply"))
    });
    for reply in waiting {
        assert_eq!(reply.status, 429, "{}", reply.text());
        assert!(
            reply.detail().contains("budget of 0.01 US dollars is spent"),
            "{}",
            reply.detail()
        );
    }
    let id = chat["id"].as_str().expect("an id");
    assert_eq!(desk.server.messages(&desk.token, id).len(), 2);
}

#[test]
fn users_see_their_own_limits() {
    let office = Office::new();
    let shape = json!({"messages_today": 0, "messages_per_day": null, "day_ends_at": "<time>", "spent_usd_month": 0.0,
        "budget_usd_month": null, "month_ends_at": "<time>", "upload_bytes": 0, "upload_quota_bytes": 1 << 30});
    check_shape(
        &office.desk.server.get("/limits").bearer(&office.user.token).send(),
        200,
        &shape,
    );
    for wrong in [
        json!({"messages_per_day": -1}),
        json!({"messages_per_day": 1_000_001}),
        json!({"budget_usd_month": -0.5}),
        json!({"upload_quota_mib": 0}),
    ] {
        let path = format!("/admin/users/{}", office.user.id);
        assert_eq!(
            office.desk.call("PATCH", &path).json(&wrong).send().status,
            422,
            "{wrong}"
        );
    }
}
