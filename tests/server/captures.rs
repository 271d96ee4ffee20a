//! Replays recorded sessions of the systems whose clients Fireside serves and compares reply by reply: status, keys,
//! types, and the texts that are part of the contract. Every difference must stand in `DEVIATIONS` with its reason, and
//! every row of `DEVIATIONS` must occur. The recordings are not part of this repository: `FIRESIDE_CAPTURES` names the
//! folder that holds them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::rig::{Algorithm, Call, Launch, Reply, Server, Upstream, forge, forge_with};

const SECRET: &str = "one secret for both kinds of tokens, of 32 bytes and more";

/// One recorded exchange.
struct Entry {
    method: String,
    path: String,
    label: String,
    status: u16,
    challenged: bool,
    body: String,
}

impl Entry {
    /// `METHOD path [label]`, with the recording's ids replaced by their names.
    fn key(&self, ids: &[(String, &str)]) -> String {
        let path = ids
            .iter()
            .fold(self.path.clone(), |path, (id, name)| path.replace(id, name));
        format!("{} {path} [{}]", self.method, self.label)
    }
}

/// Reads `METHOD path  [label] -> status`, `H headers`, `B body`; a body may go over several lines.
fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_body = false;
    for line in text.lines() {
        if let Some(entry) = parse_first(line) {
            entries.push(entry);
            in_body = false;
        } else if let Some(entry) = entries.last_mut() {
            if let Some(headers) = line.strip_prefix("    H ") {
                entry.challenged = headers.contains("'www-authenticate': 'Bearer'");
            } else if let Some(body) = line.strip_prefix("    B ") {
                entry.body = body.to_string();
                in_body = true;
            } else if in_body && line.starts_with("    ") {
                entry.body.push_str(line);
            }
        }
    }
    entries
}

fn parse_first(line: &str) -> Option<Entry> {
    let (request, status) = line.rsplit_once("] -> ")?;
    let (target, label) = request.split_once("  [")?;
    let (method, path) = target.split_once(' ')?;
    let status = status.parse().ok()?;
    Some(Entry {
        method: method.into(),
        path: path.into(),
        label: label.into(),
        status,
        challenged: false,
        body: String::new(),
    })
}

/// The JSON of a recorded body. One that the recorder cut off (`…`) is closed after its last whole array element.
fn recorded_json(body: &str) -> Option<(Value, bool)> {
    if let Ok(value) = serde_json::from_str(body) {
        return Some((value, false));
    }
    let mut open = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let mut best = None;
    for (at, symbol) in body.char_indices() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => open.push('}'),
            '[' if !quoted => open.push(']'),
            '}' | ']' if !quoted => {
                open.pop();
                if open.last() == Some(&']') {
                    best = Some(body[..=at].to_string() + &open.iter().rev().collect::<String>());
                }
            }
            _ => {}
        }
    }
    Some((serde_json::from_str(&best?).ok()?, true))
}

/// The differences between a recorded body and ours, each as one line. `is_cut` leaves the lengths of arrays out.
fn differences(at: &str, theirs: &Value, ours: &Value, is_cut: bool, found: &mut BTreeSet<String>) {
    const LITERAL: &[&str] = &[
        "detail",
        "type",
        "msg",
        "role",
        "token_type",
        "response",
        "conversation_id",
        "status",
    ];
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            found.extend(
                theirs
                    .keys()
                    .filter(|key| !ours.contains_key(*key))
                    .map(|key| format!("no {at}.{key}")),
            );
            found.extend(
                ours.keys()
                    .filter(|key| !theirs.contains_key(*key))
                    .map(|key| format!("new {at}.{key}")),
            );
            for (key, value) in theirs {
                if let Some(other) = ours.get(key) {
                    differences(&format!("{at}.{key}"), value, other, is_cut, found);
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if theirs.len() != ours.len() && !is_cut {
                found.insert(format!("length {at}"));
            }
            for (value, other) in theirs.iter().zip(ours) {
                differences(&format!("{at}[]"), value, other, is_cut, found);
            }
        }
        _ if kind(theirs) != kind(ours) => found.extend([format!("{} for {} {at}", kind(ours), kind(theirs))]),
        _ => {
            let name = at.rsplit('.').next().unwrap_or_default().trim_end_matches("[]");
            if theirs != ours && (LITERAL.contains(&name) || at.ends_with(".loc[]")) {
                found.insert(format!("text {at}"));
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// An allowed difference: in which exchanges (a key, or all that begin with what stands before `*`), which, and why.
struct Deviation(&'static str, &'static str, &'static str);

const BOTH_SLASHES: &str = "both slash forms are served, never a redirect";
const ONE_SENTENCE: &str = "every family says it with one sentence";
const ONE_CHAT: &str = "one chat object for all families";
const ONE_MESSAGE: &str = "one message object for all families";
const ANY_TYPE: &str = "JSON is accepted with or without its content type";
const NEVER_403: &str = "a missing token is a 401, never a 403";

const CHAT_KEYS: &[&str] = &[
    "conversation_id",
    "last_message_time",
    "last_message_content",
    "is_pinned",
    "is_archived",
];

const DEVIATIONS: &[Deviation] = &[
    Deviation("POST /auth/register [ok]", "new $.access_token", "registering signs in"),
    Deviation("POST /auth/register [ok]", "new $.token_type", "registering signs in"),
    Deviation("POST /auth/register [ok]", "new $.username", "one user object"),
    Deviation("POST /auth/register [ok]", "new $.display_name", "one user object"),
    Deviation("POST /auth/register [ok]", "new $.role", "one user object"),
    Deviation(
        "POST /auth/register [short pw+bad email]",
        "length $.detail",
        "passwords have 1 to 1024 bytes",
    ),
    Deviation("POST /auth/register [json sent as text/plain]", "status 201", ANY_TYPE),
    Deviation("POST /auth/register [no content-type]", "status 201", ANY_TYPE),
    Deviation("POST /auth/login [unknown]", "text $.detail", ONE_SENTENCE),
    Deviation("POST /auth/token [unknown]", "text $.detail", ONE_SENTENCE),
    Deviation("GET /chats [bad token]", "text $.detail", ONE_SENTENCE),
    Deviation("GET /chats [expired]", "text $.detail", ONE_SENTENCE),
    Deviation("GET /chats [Bearer empty]", "text $.detail", ONE_SENTENCE),
    Deviation("POST /chats/ [slash]", "status 201", BOTH_SLASHES),
    Deviation("GET /chats/ [slash]", "status 200", BOTH_SLASHES),
    Deviation("GET /health/ [slash]", "status 200", BOTH_SLASHES),
    Deviation(
        "POST /chat [missing chat_id]",
        "status 200",
        "a message without a chat makes one",
    ),
    Deviation("GET /health*", "new $.version", "health says which version is healthy"),
    Deviation(
        "GET /chats [list]",
        "new $.total",
        "the recording is cut before the total",
    ),
    Deviation(
        "POST /chat [provider fails]",
        "text $.detail",
        "the sentence ends in the provider's own words",
    ),
    Deviation("HEAD /health [HEAD]", "status 200", "HEAD works wherever GET does"),
    Deviation("GET /users/me []", "status 200", "accounts can be read"),
    Deviation("GET /auth/me []", "status 200", "accounts can be read"),
    Deviation("POST /auth/logout []", "status 200", "a session can be ended"),
    Deviation("GET /chats [after logout]", "status 401", "a session can be ended"),
    Deviation("POST /api/user123/chat [noauth]", "status 401", NEVER_403),
    Deviation("POST /api/user123/chat [basic]", "status 401", NEVER_403),
    Deviation("POST /api/user123/chat [no auth AND bad body]", "status 401", NEVER_403),
    Deviation(
        "POST /api/user123/chat [aud claim]",
        "status 200",
        "`aud` counts only when configured",
    ),
    Deviation("POST /api/user123/chat/ [slash]", "status 200", BOTH_SLASHES),
    Deviation(
        "POST /api/user123/chat [uuid id]",
        "status 404",
        "either kind of id is accepted, so a UUID is one that is not there",
    ),
    Deviation(
        "POST /api/user123/chat [no exp]",
        "text $.conversation_id",
        "the path with a slash was served before, and made a conversation of its own",
    ),
    Deviation(
        "POST /api/user123/chat*",
        "no $.detail[].url",
        "a newer validator names no address",
    ),
];

/// What is compared elsewhere or is not served by default.
const SKIPPED: &[(&str, &str)] = &[
    ("OPTIONS /chats [preflight]", "no other origin is allowed by default"),
    ("GET /docs []", "a page for people"),
    ("GET /redoc []", "a page for people"),
    ("GET /openapi.json []", "describes another server"),
];

fn allows(deviation: &Deviation, key: &str, difference: &str) -> bool {
    let Deviation(pattern, allowed, _) = deviation;
    let matches = pattern
        .strip_suffix('*')
        .map_or(*pattern == key, |start| key.starts_with(start));
    matches && *allowed == difference
}

/// Chats and messages have the keys of all families; that is one deviation a key, wherever the object is.
fn is_more_of_an_object(difference: &str) -> Option<&'static str> {
    const MESSAGE_KEYS: &[&str] = &[
        "type",
        "sender",
        "timestamp",
        "status",
        "media_urls",
        "reply_to_id",
        "importance_level",
        "state",
        "model",
        "error",
    ];
    let key = |start: &str| difference.strip_prefix(start);
    let chat = key("new $.chats[].").or_else(|| key("new $."));
    if chat.is_some_and(|key| CHAT_KEYS.contains(&key)) {
        return Some(ONE_CHAT);
    }
    key("new $[].")
        .is_some_and(|key| MESSAGE_KEYS.contains(&key))
        .then_some(ONE_MESSAGE)
}

/// A server under replay, and what later requests need of earlier replies.
struct World {
    server: Server,
    token: String,
    chat: String,
    run: u128,
}

impl World {
    fn email(&self) -> String {
        format!("u{}@example.com", self.run)
    }

    /// The request behind a recorded line.
    fn request(&self, entry: &Entry, key: &str, path: &str) -> Call {
        let (label, call) = (entry.label.as_str(), self.server.call(&entry.method, path));
        if key.contains(" /api/") {
            return todo_request(call, label);
        }
        if key.contains(" /auth/register") || key.contains(" /auth/login") || key.contains(" /auth/token") {
            return self.account_request(call, key, label);
        }
        if key.contains("/health") {
            return if label.starts_with("cors") {
                call.header("Origin", "http://localhost:3000")
            } else {
                call
            };
        }
        if key.starts_with("GET /chats [") {
            return self.listing(call, label);
        }
        if label == "no auth" || key.starts_with("GET / ") || key.contains("/nothing") {
            return if entry.method == "POST" {
                call.json(&json!({"message": "hi", "chat_id": self.chat}))
            } else {
                call
            };
        }
        let call = call.bearer(&self.token);
        match body_of(key, label, &self.chat) {
            Some(body) => call.json(&body),
            None => call,
        }
    }

    fn account_request(&self, call: Call, key: &str, label: &str) -> Call {
        let (email, password) = (self.email(), "password123");
        let good = json!({"email": email, "password": password});
        let form = [("username", email.as_str()), ("password", password)];
        if key.contains("/auth/token") {
            return match label {
                "multipart" => call.multipart(&form),
                "json instead of form" => call.json(&good),
                "unknown" => call.form(&[("username", "nobody@example.com"), form[1]]),
                "grant_type=password" => call.form(&[form[0], form[1], ("grant_type", "password")]),
                "grant_type=other" => call.form(&[form[0], form[1], ("grant_type", "client_credentials")]),
                _ => call.form(&form),
            };
        }
        let other = |letter: &str| json!({"email": format!("{letter}{email}"), "password": password}).to_string();
        match label {
            "short pw+bad email" => call.json(&json!({"email": "nope", "password": "x"})),
            "missing fields" => call.json(&json!({})),
            "no body" => call,
            "bad json" => call.header("Content-Type", "application/json").body("{\"a\":"),
            "json sent as text/plain" => call.header("Content-Type", "text/plain").body(other("z")),
            "no content-type" => call.body(other("y")),
            "unknown" => call.json(&json!({"email": "nobody@example.com", "password": password})),
            _ => call.json(&good),
        }
    }

    fn listing(&self, call: Call, label: &str) -> Call {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        match label {
            "no auth" => call,
            "bad token" => call.bearer("a.b.c"),
            "Basic" => call.header("Authorization", "Basic YTpi"),
            "lowercase bearer" => call.header("Authorization", &format!("bearer {}", self.token)),
            "Bearer empty" => call.header("Authorization", "Bearer "),
            "external sub" => call.bearer(&forge(
                SECRET,
                &json!({"sub": "00000000-0000-4000-8000-000000000000", "exp": now + 600}),
            )),
            "expired" => call.bearer(&forge(
                SECRET,
                &json!({"sub": "00000000-0000-4000-8000-000000000000", "exp": now - 600}),
            )),
            _ => call.bearer(&self.token),
        }
    }

    /// Keeps what later requests need.
    fn learn(&mut self, key: &str, reply: &Reply) {
        let field = |name: &str| reply.json()[name].as_str().expect("a string").to_string();
        match key {
            "POST /auth/login [ok]" => self.token = field("access_token"),
            "POST /chats [ok]" => self.chat = field("id"),
            _ => {}
        }
    }
}

/// The bodies of the chat routes.
fn body_of(key: &str, label: &str, chat: &str) -> Option<Value> {
    if key.starts_with("POST /chats") {
        return match label {
            "no body" => None,
            "null title" => Some(json!({"title": null})),
            "{}" | "slash" => Some(json!({})),
            _ => Some(json!({"title": "My First Chat"})),
        };
    }
    if key.starts_with("PATCH") {
        return Some(match label {
            "empty" => json!({"title": ""}),
            "201 chars" => json!({"title": "x".repeat(201)}),
            _ => json!({"title": "Renamed"}),
        });
    }
    if !key.starts_with("POST /chat [") {
        return None;
    }
    Some(match label {
        "no model" => json!({"message": "again", "chat_id": chat}),
        "bad model" => json!({"message": "hi", "chat_id": chat, "model": "gpt-9"}),
        "empty message" => json!({"message": "", "chat_id": chat}),
        "missing chat_id" => json!({"message": "hi"}),
        "unknown chat" => json!({"message": "hi", "chat_id": "nope"}),
        "provider fails" => json!({"message": "fail", "chat_id": chat, "model": "fake-e500"}),
        _ => json!({"message": "Hello, AI!", "chat_id": chat, "model": "fast"}),
    })
}

fn todo_request(call: Call, label: &str) -> Call {
    let body = match label {
        "new" => json!({"message": "Hello, how are you?"}),
        "cont" => json!({"message": "more", "conversation_id": 1}),
        "blank" => json!({"message": "   "}),
        "missing" | "no auth AND bad body" => json!({}),
        "404" => json!({"message": "x", "conversation_id": 9999}),
        "foreign" => json!({"message": "x", "conversation_id": 1}),
        "string int id" => json!({"message": "x", "conversation_id": "1"}),
        "uuid id" => {
            json!({"message": "x", "conversation_id": "0f8fad5b-d9cb-469f-a165-70867728950e"})
        }
        "extra fields" => json!({"message": "x", "extra": true}),
        "null message" => json!({"message": null}),
        "int message" => json!({"message": 5}),
        _ => json!({"message": "x"}),
    };
    let exp = 4_000_000_000u64;
    let claims = match label {
        "expired" => json!({"user_id": "user123", "exp": 1_000_000_000}),
        "mismatch" | "foreign" => json!({"user_id": "other", "exp": exp}),
        "no exp" => json!({"user_id": "user123"}),
        "aud claim" => json!({"user_id": "user123", "exp": exp, "aud": "someone"}),
        _ => json!({"user_id": "user123", "exp": exp}),
    };
    let call = call.json(&body);
    match label {
        "noauth" | "no auth AND bad body" => call,
        "basic" => call.header("Authorization", "Basic YTpi"),
        "bad" => call.bearer("a.b.c"),
        "HS512" => call.bearer(&forge_with(Algorithm::Hs512, "HS512", SECRET, &claims)),
        _ => call.bearer(&forge(SECRET, &claims)),
    }
}

/// What differs between a recorded exchange and the same one with us.
fn compare(entry: &Entry, body: &str, reply: &Reply) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if reply.status != entry.status {
        return BTreeSet::from([format!("status {}", reply.status)]);
    }
    if entry.challenged && reply.header("WWW-Authenticate") != Some("Bearer") {
        found.insert("no WWW-Authenticate".to_string());
    }
    match recorded_json(body) {
        Some((theirs, is_cut)) => differences("$", &theirs, &reply.json(), is_cut, &mut found),
        None => assert!(
            reply.body.is_empty() || !body.is_empty(),
            "a body where there was none: {}",
            reply.text()
        ),
    }
    found
}

/// Replays one recording and returns the indices of the deviations that occurred.
fn replay(file: &str, text: &str, mut world: World, occurred: &mut BTreeSet<usize>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut ids: Vec<(String, &str)> = Vec::new();
    for entry in parse(text) {
        let key = entry.key(&ids);
        if SKIPPED.iter().any(|(skipped, _)| *skipped == key) {
            continue;
        }
        let ours = |text: &str| {
            ids.iter()
                .fold(text.to_string(), |text, (id, _)| text.replace(id, &world.chat))
        };
        let reply = world.request(&entry, &key, &ours(&entry.path)).send();
        for difference in compare(&entry, &ours(&entry.body), &reply) {
            let allowed: Vec<usize> = (0..DEVIATIONS.len())
                .filter(|index| allows(&DEVIATIONS[*index], &key, &difference))
                .collect();
            if allowed.is_empty() && is_more_of_an_object(&difference).is_none() {
                complaints.push(format!(
                    "{file}: {key}: {difference}\n    recorded {} {}\n    got      {} {}",
                    entry.status,
                    entry.body,
                    reply.status,
                    reply.text()
                ));
            }
            occurred.extend(allowed);
        }
        world.learn(&key, &reply);
        if key == "POST /chats [ok]" {
            let (recorded, _) = recorded_json(&entry.body).expect("a chat");
            ids.push((recorded["id"].as_str().expect("an id").to_string(), "{chat}"));
        }
    }
    complaints
}

#[test]
fn the_recorded_sessions_are_answered_alike() {
    let Some(folder) = std::env::var_os("FIRESIDE_CAPTURES").map(PathBuf::from) else {
        println!("skipped: FIRESIDE_CAPTURES names no folder with recordings");
        return;
    };
    let upstream = Upstream::start();
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let world = |launch: Launch| World {
        server: launch.start(),
        token: String::new(),
        chat: String::new(),
        run,
    };
    let chat = Launch::new()
        .env("JWT_SECRET_KEY", SECRET)
        .env("OPENAI_BASE_URL", &upstream.url())
        .args(&["--default-model", "fake"]);
    let todo = Launch::new().env("BETTER_AUTH_SECRET", SECRET);
    let mut occurred = BTreeSet::new();
    let mut complaints = Vec::new();
    for (file, launch) in [("aichat_seed_new.txt", chat), ("todo_old.txt", todo)] {
        let text = std::fs::read_to_string(folder.join(file)).expect("a recording");
        complaints.extend(replay(file, &text, world(launch), &mut occurred));
    }
    for (index, Deviation(key, difference, reason)) in DEVIATIONS.iter().enumerate() {
        if !occurred.contains(&index) {
            complaints.push(format!("listed but does not occur: {key}: {difference} ({reason})"));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} differences:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn cut_off_recordings_are_closed() {
    let (value, is_cut) =
        recorded_json(r#"{"chats":[{"id":"a","n":1},{"id":"b","n":2},{"id":"c","messa…"#).expect("closed");
    assert_eq!(
        (value, is_cut),
        (json!({"chats": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]}), true)
    );
    assert!(recorded_json("OK").is_none());
    let entries = parse(
        "GET /a  [x] -> 200\n    H {'a': 'b'}\n    B {\"a\":1}\nPOST /b  [] -> 401\n    H {'www-authenticate': 'Bearer'}\n    B \n",
    );
    assert_eq!(
        (entries.len(), entries[0].key(&[]).as_str(), entries[1].challenged),
        (2, "GET /a [x]", true)
    );
}
