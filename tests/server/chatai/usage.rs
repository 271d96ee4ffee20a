//! What replies cost: tokens, prices and their table.

use serde_json::{Value, json};

use super::{Desk, question_shape, reply_shape};
use crate::rig::{Launch, Upstream};

/// The fake models' prices.
const PRICES: &str = r#"{
  "fake": {"version": "fake-1", "input": 1.5, "cached_input": 0.5, "output": 4},
  "fake-counts": {"version": "fake-2", "input": 2, "cached_input": 0.5, "output": 8}
}"#;

fn priced(upstream: &Upstream, prices: &str) -> Launch {
    let launch = Launch::new().env("OPENAI_BASE_URL", &upstream.url());
    std::fs::write(launch.home().join("prices.json"), prices).expect("a file");
    let path = launch.home().join("prices.json").display().to_string();
    launch.args(&["--default-model", "fake", "--pricing", &path])
}

fn detail_shape(message: &Value, model: &str, price: f64) -> Value {
    json!({
        "id": "<int>", "message_id": message, "scope": "final", "model": model, "input_tokens": "<int>",
        "output_tokens": "<int>", "cached_tokens": "<int>", "estimated": "<bool>", "price": price, "created_at": "<time>",
    })
}

#[test]
fn echo_costs_nothing_and_is_accounted_for_all_the_same() {
    let desk = Desk::new();
    let id = desk.create(&json!({}));
    desk.tell(id, "Hi there");
    let messages = desk.messages(id, "");
    let target = |message: &Value| format!("/chat/messages/{}/usage-details", message["id"]);
    let reply = json!({
        "message": reply_shape(id, &messages[0]["id"], "Echo: Hi there"),
        "usage_details": [detail_shape(&messages[1]["id"], "echo", 0.0)],
    });
    let reply = desk.check_plain("GET", &target(&messages[1]), 200, &reply);
    assert_eq!(reply["message"], messages[1]);
    let detail = &reply["usage_details"][0];
    // Nobody has counted: four characters are taken for a token.
    assert_eq!(
        (&detail["input_tokens"], &detail["output_tokens"], &detail["estimated"]),
        (&json!(2), &json!(4), &json!(true))
    );
    let question = json!({
        "message": question_shape(id, "Hi there", &json!("echo")), "usage_details": [],
    });
    let question = desk.check_plain("GET", &target(&messages[0]), 200, &question);
    assert_eq!(question["message"], messages[0]);
    let all = json!({"usage_details": [detail.clone()]});
    desk.check_plain("GET", &format!("/chat/{id}/usage-details"), 200, &all);
}

#[test]
fn a_price_is_made_of_what_the_models_server_counted() {
    let upstream = Upstream::start();
    let desk = Desk::at(priced(&upstream, PRICES).start());
    let id = desk.create(&json!({}));
    desk.ask(id, "Hi", Some("fake-counts"));
    let reply = desk.messages(id, "").pop().expect("a reply");
    // Of 1000 tokens read 600 were cached: each stands once, and is paid for once: (400 · 2 + 600 · 0.5 + 100 · 8) / 10⁶.
    assert_eq!(
        json!([
            reply["input_tokens"],
            reply["cached_tokens"],
            reply["output_tokens"],
            reply["price"],
            reply["model"]
        ]),
        json!([400, 600, 100, 0.0019, "fake-counts"])
    );
    let details = desk.call("GET", &format!("/chat/{id}/usage-details")).send().json();
    let [detail] = details["usage_details"].as_array().expect("a list").as_slice() else {
        panic!("{details}");
    };
    assert_eq!(
        (&detail["price"], &detail["estimated"]),
        (&json!(0.0019), &json!(false))
    );

    // Where the server does not count, we estimate, and say so: 1 token read, 5 written.
    desk.ask(id, "abcd", Some("fake-n5"));
    let reply = desk.messages(id, "").pop().expect("a reply");
    assert_eq!(
        (&reply["model"], &reply["price"]),
        (&json!("fake-n5"), &json!(0.0)),
        "it has no price"
    );
    desk.ask(id, "abcd", None);
    let details = desk.call("GET", &format!("/chat/{id}/usage-details")).send().json();
    let details = details["usage_details"].as_array().expect("a list");
    let estimated: Vec<&Value> = details.iter().map(|detail| &detail["estimated"]).collect();
    assert_eq!(estimated, [false, true, true]);
    let last = &details[2];
    let tokens = |name: &str| last[name].as_f64().expect("a number");
    let price = (tokens("input_tokens") * 1.5 + tokens("output_tokens") * 4.0) / 1e6;
    assert!(
        (last["price"].as_f64().expect("a number") - price).abs() < 1e-7,
        "{last}"
    );
    assert!(price > 0.0);
}

#[test]
fn what_was_paid_stays_what_it_was() {
    let upstream = Upstream::start();
    let launch = priced(&upstream, PRICES);
    let mut desk = Desk::at(launch.start());
    let id = desk.create(&json!({}));
    desk.ask(id, "Hi", Some("fake-counts"));
    std::fs::write(
        launch.home().join("prices.json"),
        PRICES.replace("\"input\": 2", "\"input\": 4"),
    )
    .expect("a file");
    desk.server.restart();
    desk.ask(id, "Hi", Some("fake-counts"));
    let prices: Vec<Value> = desk
        .messages(id, "")
        .iter()
        .map(|message| message["price"].clone())
        .collect();
    assert_eq!(prices, [json!(null), json!(0.0019), json!(null), json!(0.0027)]);
}

#[test]
fn a_failed_reply_costs_nothing_and_an_unanswered_question_has_no_model() {
    let upstream = Upstream::start();
    let desk = Desk::at(priced(&upstream, PRICES).start());
    let id = desk.create(&json!({}));
    let body = json!({"message": "Hi", "chat_id": id, "model": "fake-e500"});
    assert_eq!(desk.call("POST", "/chat").json(&body).send().status, 503);
    let shape = json!({"conversation_id": id, "messages": [question_shape(id, "Hi", &json!(null))]});
    desk.check_plain("GET", &format!("/conversations/{id}/messages"), 200, &shape);
    desk.check_plain(
        "GET",
        &format!("/chat/{id}/usage-details"),
        200,
        &json!({"usage_details": []}),
    );
    let list = desk.call("GET", "/conversations/").send().json();
    assert_eq!(list[0]["summary"], json!(null), "there was no exchange");
}

#[test]
fn a_table_that_cannot_be_used_is_an_error_that_names_the_place() {
    let upstream = Upstream::start();
    for (prices, words) in [
        (
            "{\n\"a\": {\"input\": 1, \"output\": 2},\n\"b\": {\"input\": -1, \"output\": 2}\n}",
            ["line 3", "\"b\""],
        ),
        ("{\n\"a\": {\"input\": 1}\n}", ["line 2", "output"]),
        ("{", ["line 1", "EOF"]),
        ("{}", ["line 1", "no model"]),
        ("[]", ["line 1", "expected an object"]),
    ] {
        let exit = priced(&upstream, prices).run();
        assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
        for word in words.iter().chain(&["prices.json"]) {
            assert!(exit.stderr.contains(word), "no {word} in {}", exit.stderr);
        }
    }
    let exit = Launch::new().env("FIRESIDE_PRICING", "/nowhere/prices.json").run();
    assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.stderr.contains("/nowhere/prices.json"), "{}", exit.stderr);
}
