//! Which chat is meant and whose it is: every kind of id, impossible ids, other people's chats, deleted ones.

use serde_json::json;

use super::{chat_shape, not_found, text};
use crate::rig::{Desk, check_shape, percent};

#[test]
fn every_kind_of_id_is_accepted() {
    let desk = Desk::new();
    let shape = chat_shape(&json!("found"), 0);
    let chat = desk.check("POST", "/chats", Some(json!({"title": "found"})), 201, &shape);
    let (uuid, number) = (text(&chat["id"]), chat["conversation_id"].clone());
    for id in [uuid.clone(), number.to_string()] {
        let path = format!("/chats/{id}");
        let found = desk.check("GET", &path, None, 200, &shape);
        assert_eq!((&found["id"], &found["conversation_id"]), (&chat["id"], &number));
        desk.check("GET", &format!("{path}/messages"), None, 200, &json!([]));
        desk.check("PATCH", &path, Some(json!({"title": "found"})), 200, &shape);
    }
    for id in [json!(uuid), number.clone(), json!(number.to_string())] {
        assert_eq!(desk.say(&id, "by any name")["chat_id"], json!(uuid));
    }
}

#[test]
fn an_impossible_id_is_not_found() {
    let desk = Desk::new();
    for id in [
        "nope",
        "00000000-0000-0000-0000-000000000000",
        "0",
        "-1",
        "999",
        "1.5",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999999",
        "1e1",
        "0x1",
        "null",
        "{chat_id}",
        "5bcdc622-0cc4-4917-820c",
        "☃",
    ] {
        let path = format!("/chats/{}", percent(id));
        desk.check("GET", &path, None, 404, &not_found(id));
        desk.check("GET", &format!("{path}/messages"), None, 404, &not_found(id));
        desk.check("PATCH", &path, Some(json!({"title": "t"})), 404, &not_found(id));
        desk.check("DELETE", &path, None, 404, &not_found(id));
        desk.check(
            "POST",
            "/chat",
            Some(json!({"message": "hi", "chat_id": id})),
            404,
            &not_found(id),
        );
        assert_eq!(desk.call("POST", &format!("{path}/restore")).send().status, 404, "{id}");
    }
    desk.check(
        "POST",
        "/chat",
        Some(json!({"message": "hi", "chat_id": 999})),
        404,
        &not_found("999"),
    );
    for id in [json!(true), json!([]), json!({})] {
        assert_eq!(
            desk.call("POST", "/chat")
                .json(&json!({"message": "hi", "chat_id": id}))
                .send()
                .status,
            422,
            "{id}"
        );
    }
}

#[test]
fn what_belongs_to_another_is_not_found() {
    let desk = Desk::new();
    let eve = desk.server.account("eve").token;
    let chat = desk.server.chat(&desk.token, "private");
    desk.say(&chat["id"], "a secret");
    let ids = [text(&chat["id"]), chat["conversation_id"].to_string()];
    for id in &ids {
        let path = format!("/chats/{id}");
        let as_eve = |method: &str, target: &str| desk.server.call(method, target).bearer(&eve);
        check_shape(&as_eve("GET", &path).send(), 404, &not_found(id));
        check_shape(&as_eve("GET", &format!("{path}/messages")).send(), 404, &not_found(id));
        check_shape(
            &as_eve("PATCH", &path).json(&json!({"title": "mine now"})).send(),
            404,
            &not_found(id),
        );
        check_shape(&as_eve("DELETE", &path).send(), 404, &not_found(id));
        check_shape(
            &as_eve("POST", "/chat")
                .json(&json!({"message": "hi", "chat_id": id}))
                .send(),
            404,
            &not_found(id),
        );
        assert_eq!(as_eve("POST", &format!("{path}/restore")).send().status, 404);
    }
    check_shape(
        &desk.server.get("/chats").bearer(&eve).send(),
        200,
        &json!({"chats": [], "total": 0}),
    );
}

#[test]
fn what_belongs_to_another_looks_as_if_it_did_not_exist() {
    let desk = Desk::new();
    let eve = desk.server.account("eve").token;
    let id = text(&desk.server.chat(&desk.token, "private")["id"]);
    // Exactly as it does not exist: the same headers but for what names the request.
    let headers = |id: &str| {
        let reply = desk.server.get(&format!("/chats/{id}")).bearer(&eve).send();
        reply
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    assert_eq!(headers(&id), headers("00000000-0000-0000-0000-000000000000"));
    // Deleted by its owner and still nobody else's to restore; message ids of others do not page.
    assert_eq!(desk.call("DELETE", &format!("/chats/{}", id)).send().status, 204);
    assert_eq!(
        desk.server
            .post(&format!("/chats/{}/restore", id))
            .bearer(&eve)
            .send()
            .status,
        404
    );
    assert_eq!(
        desk.server
            .get(&format!("/chats/{}", id))
            .bearer(&desk.token)
            .send()
            .status,
        404
    );
}

#[test]
fn a_deleted_chat_is_hidden_everywhere_until_it_is_restored() {
    let mut desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "kept");
    desk.say(&chat["id"], "remember this");
    let before = desk.page(&format!("/chats/{}/messages", text(&chat["id"])));
    let id = text(&chat["id"]);
    let path = format!("/chats/{id}");
    assert_eq!(desk.call("DELETE", &path).send().status, 204);
    let hidden = |desk: &Desk| {
        desk.check("GET", &path, None, 404, &not_found(&id));
        desk.check("GET", &format!("{path}/messages"), None, 404, &not_found(&id));
        desk.check("PATCH", &path, Some(json!({"title": "x"})), 404, &not_found(&id));
        desk.check("DELETE", &path, None, 404, &not_found(&id));
        desk.check(
            "POST",
            "/chat",
            Some(json!({"message": "hi", "chat_id": id})),
            404,
            &not_found(&id),
        );
        desk.check("GET", "/chats", None, 200, &json!({"chats": [], "total": 0}));
    };
    hidden(&desk);
    desk.server.restart();
    hidden(&desk);
    let restored = desk.call("POST", &format!("{path}/restore")).send();
    assert!(
        restored.status == 200 || restored.status == 204,
        "{}: {}",
        restored.status,
        restored.text()
    );
    desk.check("GET", &path, None, 200, &chat_shape(&json!("kept"), 2));
    assert_eq!(desk.page(&format!("{path}/messages")), before);
    desk.say(&chat["id"], "and it goes on");
}
