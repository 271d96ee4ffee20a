//! `POST /chat/` with a form: in both encodings, at both addresses, in the order of checks that the contract gives.

use serde_json::json;

use super::{Multipart, kept};
use crate::rig::{Call, Launch, Reply, Server, check_shape, invalid};

fn answered(answer: &str) -> serde_json::Value {
    json!({"conversation_id": "<int>", "request_message_id": "<int>", "response_message_id": "<int>", "answer": answer})
}

#[test]
fn both_encodings_at_both_addresses() {
    let server = Server::start();
    let ann = server.account("ann");
    let mut conversation = String::new();
    for target in ["/chat/", "/chat"] {
        let call = || server.post(target).bearer(&ann.token);
        let multipart = Multipart::new()
            .field("text", "Hi there")
            .field("conversation_id", &conversation);
        let first = multipart.on(call()).send();
        check_shape(&first, 200, &answered("Echo: Hi there"));
        conversation = first.json()["conversation_id"].to_string();
        let second = call().form(&[("text", "u"), ("conversation_id", &conversation)]).send();
        check_shape(&second, 200, &answered("Echo: u"));
        assert_eq!(second.json()["conversation_id"], first.json()["conversation_id"]);
        // JSON at the same address is the other family's.
        let reply = call().json(&json!({"message": "hi"})).send();
        check_shape(&reply, 200, &json!({"reply": "Echo: hi", "chat_id": "<uuid>"}));
        let reply = call().body(r#"{"message": "hi"}"#).send();
        check_shape(&reply, 200, &json!({"reply": "Echo: hi", "chat_id": "<uuid>"}));
        let reply = call().json(&json!({"text": "hi"})).send();
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["body", "message"]));
    }
    assert_eq!(server.messages(&ann.token, &conversation).len(), 8);
}

#[test]
fn what_is_wrong_in_its_order() {
    let server = Launch::new().args(&["--messages-per-minute", "100"]).start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let foreign = server.chat(&bob.token, "theirs");
    let id = foreign["conversation_id"].to_string();
    let uuid = foreign["id"].as_str().expect("a UUID");
    let missing = json!({"detail": [invalid("missing", &json!(["body", "text"]), "Field required", &json!(null))]});
    let message = "Input should be a valid integer, unable to parse string as an integer";
    let at = json!(["body", "conversation_id"]);
    let no_number = json!({"detail": [invalid("int_parsing", &at, message, &json!("abc"))]});
    let not_found = json!({"detail": "Conversation not found"});
    let check = |fields: &[(&str, &str)], status: u16, shape: &serde_json::Value| {
        let call = || server.post("/chat/").bearer(&ann.token);
        check_shape(&call().form(fields).send(), status, shape);
        check_shape(&call().multipart(fields).send(), status, shape);
    };
    check(&[], 422, &missing);
    check(&[("text", "")], 422, &missing);
    check(&[("text", "z"), ("conversation_id", "abc")], 422, &no_number);
    check(&[("text", " "), ("conversation_id", "abc")], 422, &no_number);
    check(
        &[("text", " \n\t "), ("conversation_id", "99999")],
        400,
        &json!({"detail": "Empty text"}),
    );
    check(&[("text", "z"), ("conversation_id", "99999")], 404, &not_found);
    check(&[("text", "z"), ("conversation_id", &id)], 404, &not_found);
    check(&[("text", "z"), ("conversation_id", uuid)], 404, &not_found);
    let unknown = json!({"detail": [{"type": "enum", "loc": ["body", "model"], "msg": "<string>", "input": "gpt-9", "ctx": "<any>"}]});
    check(&[("text", " "), ("model", "gpt-9")], 422, &unknown);
    for model in ["", "gpt-4.1-nano", "fast"] {
        check(&[("text", "z"), ("model", model)], 200, &answered("Echo: z"));
    }
    let anonymous = server.post("/chat/").form(&[("text", "z")]).send();
    assert_eq!(
        (anonymous.status, anonymous.detail().as_str()),
        (401, "Not authenticated")
    );
}

fn with_files(call: Call, conversation: Option<&str>, files: &[&str]) -> Reply {
    let mut form = Multipart::new().field("text", "see these");
    if let Some(conversation) = conversation {
        form = form.field("conversation_id", conversation);
    }
    for file in files {
        form = form.file("files", &format!("{file}.txt"), "text/plain", file.as_bytes());
    }
    form.on(call).send()
}

#[test]
fn files_go_with_their_message() {
    let server = Server::start();
    let ann = server.account("ann");
    let send = || server.post("/chat/").bearer(&ann.token);
    let reply = with_files(send(), None, &["AAA", "BBB", "AAA"]);
    // The built-in model repeats what was said, whatever came with it.
    check_shape(&reply, 200, &answered("Echo: see these"));
    assert_eq!(kept(&server), (3, 2, 2));
    for (id, content) in [(1, "AAA"), (2, "BBB"), (3, "AAA")] {
        let file = server.get(&format!("/attachments/{id}")).bearer(&ann.token).send();
        assert_eq!((file.status, file.text().as_str()), (200, content));
        assert_eq!(file.header("Content-Type"), Some("text/plain; charset=utf-8"));
        let disposition = format!("attachment; filename=\"{content}.txt\"");
        assert_eq!(file.header("Content-Disposition"), Some(disposition.as_str()));
    }
    // A message that is refused leaves no file behind.
    assert_eq!(with_files(send(), Some("99999"), &["CCC"]).status, 404);
    assert_eq!(kept(&server).0, 3);
    // Files are hidden with their conversation, and shown with it again.
    let target = format!("/chats/{}", reply.json()["conversation_id"]);
    assert_eq!(server.delete(&target).bearer(&ann.token).send().status, 204);
    assert_eq!(server.get("/attachments/1").bearer(&ann.token).send().status, 404);
    let restored = server.post(&format!("{target}/restore")).bearer(&ann.token).send();
    assert_eq!(restored.status, 200);
    assert_eq!(server.get("/attachments/1").bearer(&ann.token).send().status, 200);
}
