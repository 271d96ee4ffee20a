//! What users may send and keep: for everybody and for single users, at every door, and what they see of it.

use std::thread;

use serde_json::{Value, json};

use crate::rig::{Account, Call, Desk, Launch, Multipart, Reply, check_shape};

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

    /// As if replies had cost so much this month.
    fn spend(&self, usd: f64) {
        let database = rusqlite::Connection::open(self.desk.server.launch().database()).expect("a database");
        let changed = database
            .execute("UPDATE consumption SET usd = ?1", [usd])
            .expect("an update");
        assert!(changed > 0, "nobody has sent anything yet");
    }

    /// One request at each door at which messages come in.
    fn doors(&self) -> Vec<(&'static str, Call)> {
        let chat = self.get("/chats")["chats"][0].clone();
        let id = chat["id"].as_str().expect("an id");
        let messages = self.get(&format!("/chats/{id}/messages"));
        let (question, reply) = (&messages[0]["id"], &messages[1]["id"]);
        let message = json!({"message": "hello"});
        let asked = json!({"model": "echo", "messages": [{"role": "user", "content": "hello"}]});
        let edit = self
            .desk
            .server
            .patch(&format!("/messages/{question}"))
            .bearer(&self.user.token);
        vec![
            ("JSON", self.post("/chat").json(&message)),
            (
                "SSE",
                self.post("/chat").header("Accept", "text/event-stream").json(&message),
            ),
            ("text", self.post("/chat").header("Accept", "text/plain").json(&message)),
            (
                "Flutter",
                self.post(&format!("/chats/{id}/messages/"))
                    .json(&json!({"content": "hello"})),
            ),
            ("Todo", self.post(&format!("/api/{}/chat", self.user.id)).json(&message)),
            ("form", self.post("/chat/").form(&[("text", "hello")])),
            (
                "regenerate",
                self.post(&format!("/messages/{reply}/regenerate")).json(&json!({})),
            ),
            ("edit", edit.json(&json!({"content": "hello again"}))),
            ("OpenAI", self.post("/v1/chat/completions").json(&asked)),
            (
                "OpenAI, kept",
                self.post("/v1/chat/completions")
                    .header("X-Conversation-Id", "new")
                    .json(&asked),
            ),
        ]
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
    assert_eq!(office.get("/limits")["messages_today"], 15);
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
        (json!({"messages_per_day": 1}), "--budget-usd-month"),
    ] {
        let refused = set(&limits);
        assert_eq!(refused.status, 409, "{limits}");
        assert!(refused.detail().contains(flag), "{}", refused.detail());
    }
    let same = set(&json!({"messages_per_day": 1, "budget_usd_month": 0.5, "messages_per_minute": 5}));
    assert_eq!((same.status, &same.json()["messages_per_minute"]), (200, &json!(5)));
    assert_eq!(same.json()["given"], json!(["messages_per_day", "budget_usd_month"]));
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
