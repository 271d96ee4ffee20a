//! One of everything that a user may have, and the requests that each route takes about it, made from `/openapi.json`:
//! a new route needs nothing here, unless it names a kind of thing that no route named before ([`Estate::id`]).

use fireside::api::RouteFacts;
use fireside::http::Auth;
use serde_json::{Map, Value, json};

use crate::rig::{Account, Call, Multipart, Reply, Server, claims};

/// Stands in everything that the owner writes, and must never reach anybody else.
pub(crate) const MARK: &str = "between-me-and-the-model";

/// What belongs to nobody: parameters of paths that name it, and one that is there.
const COMMON: &[(&str, &str)] = &[("model_id", "echo")];

/// Routes that nothing answers without a model's server, which says so in its own status.
const NEEDS_SERVER: &[&str] = &["POST /v1/embeddings"];

/// Stands for a file in a form.
const FILE: &str = "a file";

/// An export of somebody who has nothing.
const EXPORT: &[u8] = br#"{"format":"fireside-export","version":1}"#;

pub(crate) fn name(route: &RouteFacts) -> String {
    format!("{} {}", route.method, route.path)
}

/// Whether a request got as far as its sender may go.
pub(crate) fn is_served(route: &RouteFacts, reply: &Reply) -> bool {
    if NEEDS_SERVER.contains(&&*name(route)) {
        return reply.status == 404 && reply.json()["error"]["code"] == "model_not_found";
    }
    // Nothing is being written that could be stopped.
    let is_idle = route.path.ends_with("/stop") && reply.status == 409;
    is_idle || (200..300).contains(&reply.status)
}

/// A key and its id.
pub(crate) fn api_key(server: &Server, token: &str) -> (String, String) {
    let body = json!({ "name": MARK });
    let made = server.post("/api-keys").bearer(token).json(&body).send().json();
    (text(&made["key"]), text(&made["id"]))
}

/// One of each thing that a route may be about, all of them the owner's.
pub(crate) struct Estate<'a> {
    pub(crate) server: &'a Server,
    pub(crate) owner: &'a Account,
    chat: Value,
    message: Value,
    /// The last part of an upload's address.
    media: Value,
    attachment: Value,
    document: Value,
}

impl<'a> Estate<'a> {
    pub(crate) fn new(server: &'a Server, owner: &'a Account) -> Self {
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

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.server.get(path).bearer(&self.owner.token).send()
    }

    /// The same in a state in which this route has something to do.
    pub(crate) fn ready_for(mut self, route: &RouteFacts) -> Self {
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
    pub(crate) fn id(&self, name: &str) -> Option<Value> {
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
    pub(crate) fn state(&self) -> (Value, Value, usize) {
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
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    /// Media type and fields.
    pub(crate) body: Option<(String, Vec<(String, Value)>)>,
    /// Whether it is about something of the owner's.
    pub(crate) names_owned: bool,
}

/// What a route takes, once for each media type of its body: the least that is valid, about the owner's things where it
/// can be about any.
pub(crate) fn requests(document: &Value, route: &RouteFacts, estate: &Estate<'_>) -> Vec<Request> {
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

pub(crate) fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}

/// Something that fits a schema.
pub(crate) fn sample(document: &Value, schema: &Value) -> Value {
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
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Request {
    pub(crate) fn call(&self, server: &Server, target: &str) -> Call {
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
