//! The access matrix: every route of the program's own tables × no token, a bad one, an expired one, an unsigned one,
//! API keys that are dead and that are not, and another user's token. What is sent is made from `/openapi.json`, so a new route needs nothing here, unless it is open
//! ([`OPEN`]) or names a kind of thing that no route named before ([`Estate::id`]).

use std::collections::BTreeSet;

use fireside::api::{self, RouteFacts};
use fireside::http::Auth;
use serde_json::{Map, Value, json};

use crate::rig::{
    Account, Algorithm, Call, Launch, Multipart, PATIENCE, Reply, Server, claims, forge, forge_with, until,
};

/// Routes that ask for no token, and why.
const OPEN: &[(&str, &str)] = &[
    (
        "GET /",
        "a greeting and the UI's shell, which hold nothing of anybody's",
    ),
    ("GET /health", "asked by supervisors, who have no account"),
    ("GET /api/version", "tells the UI whether visitors may sign up"),
    ("POST /auth/register", "comes before there is a token"),
    ("POST /users/", "comes before there is a token"),
    ("POST /auth/login", "gives the token"),
    ("POST /auth/token", "gives the token"),
    ("POST /token", "gives the token"),
    ("POST /auth/session", "gives the cookie"),
    (
        "POST /auth/local",
        "asks for the secret of the lock file, which only the data folder's owner can read",
    ),
    ("DELETE /auth/session", "takes the cookie also when its session is over"),
    (
        "GET /ws",
        "checks its token itself: a bad one is 403 before the upgrade",
    ),
    (
        "GET /metrics",
        "for programs on this machine; elsewhere it asks for an administrator's token itself",
    ),
    ("GET /models", "names what everybody may choose from"),
    ("GET /openapi.json", "the same for everybody, as it is in the source"),
    ("GET /docs", "the same for everybody"),
    ("GET /docs/{file}", "the same for everybody"),
    ("GET /redoc", "the same for everybody"),
    ("GET /ui", "the page that asks who somebody is"),
    ("GET /ui/{path...}", "the page that asks who somebody is"),
    ("GET /assets/{version}/{path...}", "the same for everybody"),
];

const SECRET: &str = "a secret of more than thirty-two bytes, for tests";

/// Stands in everything that the owner writes, and must never reach anybody else.
const MARK: &str = "between-me-and-the-model";

/// What belongs to nobody: parameters of paths that name it, and one that is there.
const COMMON: &[(&str, &str)] = &[("model_id", "echo")];

/// Routes that nothing answers without a model's server, which says so in its own status.
const NEEDS_SERVER: &[&str] = &["POST /v1/embeddings"];

/// Stands for a file in a form.
const FILE: &str = "a file";

/// An export of somebody who has nothing.
const EXPORT: &[u8] = br#"{"format":"fireside-export","version":1}"#;

fn name(route: &RouteFacts) -> String {
    format!("{} {}", route.method, route.path)
}

#[test]
fn only_these_routes_are_open() {
    let open = api::routes().filter(|route| !route.auth.needs_token());
    let open: BTreeSet<String> = open.map(|route| name(&route)).collect();
    let listed: BTreeSet<String> = OPEN.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(
        open, listed,
        "a route without a token belongs into OPEN, with the reason"
    );
}

#[test]
fn nobody_gets_in_without_a_token_that_is_valid() {
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    let owner = server.account("owner");
    let estate = Estate::new(&server, &owner);
    let before = estate.state();
    let mut tokens = invalid_tokens(&owner);
    tokens.extend(dead_keys(&server, &owner));
    for route in api::routes() {
        let asks = route.auth.needs_token();
        for request in requests(&document, &route, &estate) {
            for (kind, token) in &tokens {
                for target in [request.target.clone(), with_other_slash(&request.target)] {
                    // Signing in answers 401 as well, to a wrong password: only what asks for a token gets a body.
                    let call = if asks {
                        request.call(&server, &target)
                    } else {
                        server.call(route.method, &target)
                    };
                    let reply = token.iter().fold(call, |call, token| call.bearer(token)).send();
                    let at = format!("{} {target}, {kind}: {}", route.method, reply.text());
                    assert_eq!(reply.status == 401, asks, "{at}");
                    if asks {
                        assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"), "{at}");
                        let body = reply.json();
                        let words = [&body["detail"], &body["error"]["message"]];
                        assert!(words.iter().any(|words| words.is_string()), "{at}");
                    }
                }
            }
        }
    }
    assert_eq!(estate.state(), before, "the owner still has what there was");
}

/// Tokens that are the owner's own but for what makes them invalid.
fn invalid_tokens(owner: &Account) -> Vec<(&'static str, Option<String>)> {
    let (signed, signature) = owner.token.rsplit_once('.').expect("a signature");
    let valid = claims(&owner.token);
    let mut expired = valid.clone();
    expired["exp"] = json!(1_000_000_000);
    let reversed: String = signature.chars().rev().collect();
    let unsigned = |alg: &str| Some(forge_with(Algorithm::Unsigned, alg, SECRET, &valid));
    vec![
        ("no token", None),
        ("no token at all", Some("nonsense".to_owned())),
        ("a bad signature", Some(format!("{signed}.{reversed}"))),
        ("another secret", Some(forge(&SECRET.to_uppercase(), &valid))),
        ("expired", Some(forge(SECRET, &expired))),
        ("alg none", unsigned("none")),
        ("alg NONE", unsigned("NONE")),
        ("no signature", unsigned("HS256")),
    ]
}

/// Keys that the owner made and deleted, or that have expired.
fn dead_keys(server: &Server, owner: &Account) -> [(&'static str, Option<String>); 2] {
    let (deleted, id) = api_key(server, &owner.token);
    let (expired, _) = api_key(server, &owner.token);
    let target = format!("/api-keys/{id}");
    assert_eq!(server.delete(&target).bearer(&owner.token).send().status, 204);
    rusqlite::Connection::open(server.launch().database())
        .and_then(|database| database.execute("UPDATE api_keys SET expires_at = created_at", ()))
        .expect("an update");
    [("a deleted key", Some(deleted)), ("an expired key", Some(expired))]
}

/// A key and its id.
fn api_key(server: &Server, token: &str) -> (String, String) {
    let body = json!({ "name": MARK });
    let made = server.post("/api-keys").bearer(token).json(&body).send().json();
    (text(&made["key"]), text(&made["id"]))
}

#[test]
fn an_api_key_opens_what_is_not_about_the_account() {
    let server = Server::start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    for route in api::routes().filter(|route| route.auth.needs_token()) {
        let estate = Estate::new(&server, &admin).ready_for(&route);
        for request in requests(&document, &route, &estate) {
            let (key, id) = api_key(&server, &admin.token);
            let reply = request.call(&server, &request.target).bearer(&key).send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            if route.auth == Auth::User {
                assert!(is_served(&route, &reply), "{at}");
            } else {
                assert_eq!(reply.status, 403, "{at}");
            }
            let target = format!("/api-keys/{id}");
            assert_eq!(server.delete(&target).bearer(&admin.token).send().status, 204, "{at}");
        }
    }
}

#[test]
fn nobody_reaches_what_is_somebody_elses() {
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    // The first account is the admin: the stranger is somebody without rights, and then somebody with them.
    let admin = server.account("admin");
    let owner = server.account("owner");
    let stranger = server.account("stranger");
    let mut refused = 0;
    let routes = api::routes().filter(|route| matches!(route.auth, Auth::User | Auth::Session));
    for route in routes {
        let estate = Estate::new(&server, &owner).ready_for(&route);
        for request in requests(&document, &route, &estate) {
            for other in [&stranger, &admin] {
                let reply = request
                    .call(&server, &request.target)
                    .bearer(&server.login(other))
                    .send();
                let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
                if request.names_owned {
                    assert!(matches!(reply.status, 403 | 404), "{at}");
                    refused += 1;
                } else {
                    assert!(is_served(&route, &reply), "{at}");
                }
                for mark in [MARK, &owner.email, &owner.id, &owner.token] {
                    assert!(!reply.text().contains(mark), "{at}");
                }
            }
            // That it was refused says something only if the owner is not.
            let reply = request
                .call(&server, &request.target)
                .bearer(&server.login(&owner))
                .send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            assert!(is_served(&route, &reply), "{at}");
        }
    }
    assert!(refused >= 16, "only {refused} requests were about the owner's things");
    server.check_alive();
}

#[test]
fn only_administrators_administer() {
    let server = Launch::new().start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    let user = server.account("user");
    let estate = Estate::new(&server, &user);
    let mut count = 0;
    for route in api::routes().filter(|route| route.auth == Auth::Admin) {
        for request in requests(&document, &route, &estate) {
            // A body that is none is not looked at either: what an administrator may say is nobody else's business.
            let bare = server.call(route.method, &request.target);
            for call in [request.call(&server, &request.target), bare] {
                let at = format!("{} {}", route.method, request.target);
                let reply = call.clone().send();
                assert_eq!(reply.status, 401, "{at}: {}", reply.text());
                let reply = call.bearer(&user.token).send();
                assert_eq!(reply.status, 403, "{at}: {}", reply.text());
                assert!(!reply.text().contains(&admin.email), "{at}");
                count += 1;
            }
        }
    }
    assert!(count >= 16, "only {count} requests to administrators' routes");
    server.check_alive();
}

/// Whatever an administrator asks for, by the routes that are theirs alone or by those that are everybody's, what others
/// say and keep is not in the answer.
#[test]
fn administrators_read_nothing_that_others_keep() {
    /// A copy of the whole database is one: whoever may have it is trusted with everything, as the README says.
    const WHOLE: &str = "/admin/backup";
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    let mut count = 0;
    for route in api::routes().filter(|route| route.auth == Auth::Admin && route.path != WHOLE) {
        // One of the routes takes the account away.
        let owner = server.account(&format!("owner-{count}"));
        let estate = Estate::new(&server, &owner);
        for request in requests(&document, &route, &estate) {
            let reply = request
                .call(&server, &request.target)
                .bearer(&server.login(&admin))
                .send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            assert_ne!(reply.status, 401, "{at}");
            assert!(reply.status < 500 && !reply.text().contains(MARK), "{at}");
            count += 1;
        }
    }
    assert!(count >= 16, "only {count} requests to administrators' routes");
    let owner = server.account("owner");
    let estate = Estate::new(&server, &owner);
    let token = server.login(&admin);
    let usage = format!("/usage?user={}", owner.id);
    let asked = [
        "/search?q=between",
        "/export",
        "/export?format=markdown",
        "/tags",
        "/settings",
        "/documents",
        "/chats",
    ];
    for target in asked.iter().copied().chain([usage.as_str()]) {
        let reply = server.get(target).bearer(&token).send();
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert!(!reply.text().contains(MARK), "{target}: {}", reply.text());
    }
    // That it is not there says something only if its owner finds it.
    until(PATIENCE, "the owner finds it", || {
        estate.get("/search?q=between").text().contains(MARK).then_some(())
    });
    let found = server.get("/search?q=between").bearer(&token).send();
    assert!(!found.text().contains(MARK), "{}", found.text());
}

/// Whether a request got as far as its sender may go.
fn is_served(route: &RouteFacts, reply: &Reply) -> bool {
    if NEEDS_SERVER.contains(&&*name(route)) {
        return reply.status == 404 && reply.json()["error"]["code"] == "model_not_found";
    }
    // Nothing is being written that could be stopped.
    let is_idle = route.path.ends_with("/stop") && reply.status == 409;
    is_idle || (200..300).contains(&reply.status)
}

/// One of each thing that a route may be about, all of them the owner's.
struct Estate<'a> {
    server: &'a Server,
    owner: &'a Account,
    chat: Value,
    message: Value,
    /// The last part of an upload's address.
    media: Value,
    attachment: Value,
    document: Value,
}

impl<'a> Estate<'a> {
    fn new(server: &'a Server, owner: &'a Account) -> Self {
        let chat = server.chat(&owner.token, MARK);
        let body = json!({ "message": MARK, "chat_id": chat["id"] });
        let reply = server.post("/chat").bearer(&owner.token).json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut estate = Estate {
            server,
            owner,
            chat,
            message: Value::Null,
            media: Value::Null,
            attachment: Value::Null,
            document: Value::Null,
        };
        let path = format!("/chats/{}/messages", text(&estate.chat["id"]));
        estate.message = estate.get(&path).json()[1].clone();
        estate.add_files();
        let path = format!("/chats/{}", text(&estate.chat["id"]));
        let body = json!({ "tags": [MARK], "system_prompt": MARK });
        let reply = server.patch(&path).bearer(&owner.token).json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = json!({ "of": MARK });
        let reply = server.put("/settings").bearer(&owner.token).json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        estate
    }

    /// An upload, a file that was sent with a message, a document.
    fn add_files(&mut self) {
        let form = Multipart::new().file("file", MARK, "text/plain", MARK.as_bytes());
        let reply = form.on(self.server.post("/upload/").bearer(&self.owner.token)).send();
        let uploaded = reply.json();
        let address = uploaded["url"].as_str().expect("an address");
        self.media = json!(address.trim_start_matches("/media/"));
        let chat = text(&self.chat["conversation_id"]);
        let form = Multipart::new()
            .field("text", MARK)
            .field("conversation_id", &chat)
            .file("files", MARK, "text/plain", MARK.as_bytes());
        let reply = form.on(self.server.post("/chat/").bearer(&self.owner.token)).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let messages = self.get(&format!("/conversations/{chat}/messages")).json();
        self.attachment = messages["messages"][2]["attachments"][0]["id"].clone();
        assert!(self.attachment.is_i64(), "{messages}");
        let body = json!({ "title": MARK, "content": format!("{MARK} {}", self.media) });
        let reply = self
            .server
            .post("/documents")
            .bearer(&self.owner.token)
            .json(&body)
            .send();
        assert_eq!(reply.status, 201, "{}", reply.text());
        self.document = reply.json()["id"].clone();
    }

    fn get(&self, path: &str) -> Reply {
        self.server.get(path).bearer(&self.owner.token).send()
    }

    /// The same in a state in which this route has something to do.
    fn ready_for(mut self, route: &RouteFacts) -> Self {
        let path = format!("/chats/{}/messages", text(&self.chat["id"]));
        match (route.method, route.path) {
            (_, "/messages/{message_id}/restore") => {
                let deleted = format!("/messages/{}", text(&self.message["id"]));
                assert_eq!(
                    self.server.delete(&deleted).bearer(&self.owner.token).send().status,
                    204
                );
            }
            (_, path) if path.ends_with("/restore") => self.delete_chat(),
            ("PATCH", "/messages/{message_id}") => self.message = self.get(&path).json()[0].clone(),
            // The last reply, as if the server had stopped while it was written.
            (_, route) if route.ends_with("/continue") => {
                self.message = self.get(&path).json()[3].clone();
                let sql = "UPDATE messages SET state = 'interrupted' WHERE id = ?1";
                rusqlite::Connection::open(self.server.launch().database())
                    .and_then(|database| database.execute(sql, [self.message["id"].as_i64()]))
                    .expect("an update");
            }
            _ => {}
        }
        self
    }

    fn delete_chat(&self) {
        let path = format!("/chats/{}", text(&self.chat["id"]));
        assert_eq!(self.server.delete(&path).bearer(&self.owner.token).send().status, 204);
    }

    /// What a parameter of a path, or a field of a body, of this name may hold. A new session each time: the request that
    /// ends it is sent more than once.
    fn id(&self, name: &str) -> Option<Value> {
        Some(match name {
            "user_id" => json!(self.owner.id),
            "chat_id" => self.chat["id"].clone(),
            "conversation_id" => self.chat["conversation_id"].clone(),
            "message_id" => self.message["id"].clone(),
            "attachment_id" => self.attachment.clone(),
            "document_id" => self.document.clone(),
            "media_name" => self.media.clone(),
            "tag" => json!(MARK),
            "key_id" => json!(api_key(self.server, &self.owner.token).1),
            "session_id" => claims(&self.server.login(self.owner))["jti"].clone(),
            _ => return None,
        })
    }

    /// The owner's account, the chat's title and its messages.
    fn state(&self) -> (Value, Value, usize) {
        let chat = text(&self.chat["id"]);
        let messages = self.get(&format!("/chats/{chat}/messages")).json();
        (
            self.get("/users/me").json(),
            self.get(&format!("/chats/{chat}")).json()["title"].clone(),
            messages.as_array().expect("a list").len(),
        )
    }
}

/// A request that a route takes.
struct Request {
    method: &'static str,
    target: String,
    /// Media type and fields.
    body: Option<(String, Vec<(String, Value)>)>,
    /// Whether it is about something of the owner's.
    names_owned: bool,
}

/// What a route takes, once for each media type of its body: the least that is valid, about the owner's things where it
/// can be about any.
fn requests(document: &Value, route: &RouteFacts, estate: &Estate<'_>) -> Vec<Request> {
    let path = route.path.replace("...}", "}");
    let operation = &document["paths"][&path][route.method.to_lowercase()];
    let mut target = path;
    let mut names_owned = false;
    let mut separator = '?';
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = text(&parameter["name"]);
        let schema = &parameter["schema"];
        if parameter["in"] == "path" {
            if let Some((_, id)) = COMMON.iter().find(|(common, _)| *common == name) {
                target = target.replace(&format!("{{{name}}}"), id);
                continue;
            }
            let id = estate.id(&name);
            assert!(
                id.is_some() || !matches!(route.auth, Auth::User | Auth::Session),
                "{target}: which of the owner's things is {name}? Estate::id does not know"
            );
            names_owned |= id.is_some();
            let value = text(&id.unwrap_or_else(|| "1".into()));
            target = target.replace(&format!("{{{name}}}"), &value);
        } else if parameter["required"] == true {
            target.push_str(&format!("{separator}{name}={}", text(&sample(document, schema))));
            separator = '&';
        }
    }
    let bare = |body, names_owned| Request {
        method: route.method,
        target: target.clone(),
        body,
        names_owned,
    };
    let Some(content) = operation.pointer("/requestBody/content").and_then(Value::as_object) else {
        return vec![bare(None, names_owned)];
    };
    let bodies = content.iter().map(|(media_type, content)| {
        let (fields, is_about_owned) = fields(document, &content["schema"], estate);
        bare(Some((media_type.clone(), fields)), names_owned || is_about_owned)
    });
    bodies.collect()
}

/// The fields of a body, and whether one of them names something of the owner's.
fn fields(document: &Value, schema: &Value, estate: &Estate<'_>) -> (Vec<(String, Value)>, bool) {
    let schema = resolve(document, schema);
    // Each of several parts, or the first of several forms.
    let parts: Vec<&Value> = match (&schema["allOf"], &schema["anyOf"]) {
        (Value::Array(all), _) => all.iter().collect(),
        (_, Value::Array(any)) => any.iter().take(1).collect(),
        _ => vec![],
    };
    let mut fields = Vec::new();
    let mut is_about_owned = false;
    for part in &parts {
        let (more, is_owned) = self::fields(document, part, estate);
        fields.extend(more);
        is_about_owned |= is_owned;
    }
    if !parts.is_empty() {
        return (fields, is_about_owned);
    }
    let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(id) = estate.id(name) {
            fields.push((name.clone(), id));
            is_about_owned = true;
        } else if required.contains(&&json!(name)) {
            fields.push((name.clone(), sample(document, schema)));
        }
    }
    (fields, is_about_owned)
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}

/// Something that fits a schema.
fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    if let Some(value) = schema["examples"].get(0) {
        return value.clone();
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("array") if schema["minItems"] == 1 => sample(document, &schema["items"]),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("string") if schema["format"] == "binary" => json!(FILE),
        Some("string") => json!("sample"),
        _ => panic!("no sample of {schema}"),
    }
}

/// As it stands in a path or a form.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Request {
    fn call(&self, server: &Server, target: &str) -> Call {
        let call = server.call(self.method, target);
        let Some((media_type, fields)) = &self.body else {
            return call;
        };
        let texts: Vec<(&str, String)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match media_type.as_str() {
            "application/json" => call.json(&fields.iter().cloned().collect::<Map<_, _>>().into()),
            "application/x-www-form-urlencoded" => call.form(&texts),
            "multipart/form-data" => {
                let add = |form: Multipart, (name, value): &(&str, &str)| match *value {
                    // What is imported must be an export.
                    FILE if target == "/import" => form.file(name, "export.json", "application/json", EXPORT),
                    FILE => form.file(name, "sample.txt", "text/plain", b"sample"),
                    value => form.field(name, value),
                };
                texts.iter().fold(Multipart::new(), add).on(call)
            }
            other => panic!("no way to send {other}"),
        }
    }
}

/// The same path with a slash at its end, or without it.
fn with_other_slash(target: &str) -> String {
    let (path, query) = target
        .split_once('?')
        .map_or((target, ""), |(path, query)| (path, query));
    let path = match path.strip_suffix('/') {
        Some("") => "/".to_owned(),
        Some(path) => path.to_owned(),
        None => format!("{path}/"),
    };
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}
