//! The lists of chats and of messages: their order, their pages and the bounds of both.

use serde_json::{Value, json};

use super::text;
use crate::rig::{Desk, invalid, percent};

#[test]
fn the_list_of_chats_is_paged_newest_activity_first() {
    let desk = Desk::new();
    let chats: Vec<Value> = (0..60)
        .map(|index| desk.server.chat(&desk.token, &format!("chat {index}")))
        .collect();
    let newest: Vec<String> = (0..60).rev().map(|index| format!("chat {index}")).collect();
    assert_eq!(desk.titles("/chats"), newest[..50]);
    assert_eq!(desk.titles("/chats?limit=100"), newest);
    assert_eq!(desk.titles("/chats?limit=3&offset=2"), newest[2..5]);
    assert_eq!(desk.titles("/chats?offset=50"), newest[50..]);
    assert_eq!(desk.titles("/chats?offset=1000"), Vec::<String>::new());
    assert_eq!(
        desk.call("GET", "/chats?limit=1&offset=59").send().json()["total"],
        json!(60)
    );
    desk.say(&chats[7]["id"], "most recent now");
    assert_eq!(desk.titles("/chats?limit=2"), ["chat 7", "chat 59"]);
}

#[test]
fn the_bounds_of_the_list_are_checked() {
    let desk = Desk::new();
    for (query, parameter, kind, msg, input, ctx) in [
        (
            "limit=0",
            "limit",
            "greater_than_equal",
            "Input should be greater than or equal to 1",
            "0",
            json!({"ge": 1}),
        ),
        (
            "limit=101",
            "limit",
            "less_than_equal",
            "Input should be less than or equal to 100",
            "101",
            json!({"le": 100}),
        ),
        (
            "limit=-5",
            "limit",
            "greater_than_equal",
            "Input should be greater than or equal to 1",
            "-5",
            json!({"ge": 1}),
        ),
        (
            "offset=-1",
            "offset",
            "greater_than_equal",
            "Input should be greater than or equal to 0",
            "-1",
            json!({"ge": 0}),
        ),
    ] {
        let entry = json!({"type": kind, "loc": ["query", parameter], "msg": msg, "input": input, "ctx": ctx});
        desk.check(
            "GET",
            &format!("/chats?{query}"),
            None,
            422,
            &json!({"detail": [entry]}),
        );
    }
}

#[test]
fn the_numbers_of_the_list_are_numbers() {
    let desk = Desk::new();
    for (parameter, input) in [
        ("limit", "abc"),
        ("limit", ""),
        ("limit", "1.5"),
        ("limit", "0x10"),
        ("offset", "☃"),
        ("offset", "1;DROP TABLE chats"),
    ] {
        let entry = invalid(
            "int_parsing",
            &json!(["query", parameter]),
            "Input should be a valid integer, unable to parse string as an integer",
            &json!(input),
        );
        desk.check(
            "GET",
            &format!("/chats?{parameter}={}", percent(input)),
            None,
            422,
            &json!({"detail": [entry]}),
        );
    }
    for huge in [
        "limit=99999999999999999999999999",
        "limit=9223372036854775808",
        "offset=-99999999999999999999999999",
    ] {
        assert_eq!(desk.call("GET", &format!("/chats?{huge}")).send().status, 422, "{huge}");
    }
    let both = desk.call("GET", "/chats?limit=0&offset=-1").send();
    assert_eq!(
        both.json()["detail"].as_array().map(Vec::len),
        Some(2),
        "{}",
        both.text()
    );
}

#[test]
fn messages_are_paged_back_from_the_newest() {
    let desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "long");
    for index in 0..5 {
        desk.say(&chat["id"], &format!("m{index}"));
    }
    let path = format!("/chats/{}/messages", text(&chat["id"]));
    let all: Vec<String> = (0..5)
        .flat_map(|index| [format!("m{index}"), format!("Echo: m{index}")])
        .collect();
    assert_eq!(desk.page(&path), all);
    assert_eq!(desk.page(&format!("{path}?limit=1")), all[9..]);
    assert_eq!(desk.page(&format!("{path}?limit=3")), all[7..]);
    assert_eq!(desk.page(&format!("{path}?limit=500")), all);
    let rows = desk.call("GET", &path).send().json();
    let ids: Vec<i64> = rows
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["id"].as_i64().expect("an integer"))
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert_eq!(desk.page(&format!("{path}?before={}", ids[7])), all[..7]);
    assert_eq!(desk.page(&format!("{path}?limit=3&before={}", ids[7])), all[4..7]);
    assert_eq!(desk.page(&format!("{path}?before={}", ids[0])), Vec::<String>::new());
    for (query, kind) in [
        ("limit=0", "greater_than_equal"),
        ("limit=501", "less_than_equal"),
        ("limit=x", "int_parsing"),
    ] {
        let reply = desk.call("GET", &format!("{path}?{query}")).send();
        assert_eq!(
            (reply.status, reply.json()["detail"][0]["type"].clone()),
            (422, json!(kind))
        );
    }
}
