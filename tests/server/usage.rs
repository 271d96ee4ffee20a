//! `GET /usage`: whose, when, and by what.

use serde_json::{Value, json};

use crate::rig::{Account, Desk, check_shape, invalid};

fn usage(desk: &Desk, account: &Account, query: &str) -> Value {
    let reply = desk.server.get(&format!("/usage{query}")).bearer(&account.token).send();
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()
}

#[test]
fn replies_are_summed_up_by_day_and_by_model() {
    let desk = Desk::new();
    for _ in 0..3 {
        let reply = desk
            .call("POST", "/chat")
            .json(&json!({"message": "one two three"}))
            .send();
        assert_eq!(reply.status, 200);
    }
    let sum = json!({"calls": 3, "input_tokens": "<int>", "output_tokens": "<int>", "cached_tokens": 0, "price": 0.0});
    let row = |name: &str, label: &str| {
        let mut row = sum.clone();
        row[name] = json!(label);
        row
    };
    let day = desk.call("GET", "/usage").send();
    let page = |group: &str, row: Value| json!({"from": "<time>", "to": "<time>", "group": group, "rows": [row], "total": sum});
    check_shape(&day, 200, &page("day", row("day", "<string>")));
    let model = desk.call("GET", "/usage?group=model").send();
    check_shape(&model, 200, &page("model", row("model", "echo")));
    assert_eq!(day.json()["total"], model.json()["total"]);
    let today = day.json()["rows"][0]["day"].as_str().expect("a day").to_owned();
    let exact = desk
        .call("GET", &format!("/usage?from={today}&to={today}"))
        .send()
        .json();
    assert_eq!(exact["total"], day.json()["total"]);
    assert_eq!(exact["from"], json!(format!("{today}T00:00:00.000000+00:00")));
    // A time as the end is not part of the range, a date is.
    let until_midnight = desk
        .call("GET", &format!("/usage?from=2026-01-01&to={today}T00:00:00Z"))
        .send()
        .json();
    assert_eq!(until_midnight["rows"], json!([]));
}

#[test]
fn ranges_are_checked() {
    let desk = Desk::new();
    for query in [
        "?from=yesterday",
        "?to=2026-02-30",
        "?from=2026-02-02&to=2026-01-01",
        "?from=2024-01-01&to=2026-01-01",
        "?group=hour",
    ] {
        let reply = desk.call("GET", &format!("/usage{query}")).send();
        assert_eq!(reply.status, 422, "{query}: {}", reply.text());
    }
    let reply = desk.call("GET", "/usage?from=yesterday").send();
    let msg = "Value error, Input should be a date such as 2026-01-31, or a date and time with an offset";
    let issue = invalid("value_error", &json!(["query", "from"]), msg, &json!("yesterday"));
    check_shape(&reply, 422, &json!({"detail": [issue]}));
}

#[test]
fn of_others_only_administrators_learn_anything() {
    let desk = Desk::new();
    let user = desk.server.account("user");
    let other = desk.server.account("other");
    let reply = desk
        .server
        .post("/chat")
        .bearer(&user.token)
        .json(&json!({"message": "hello"}))
        .send();
    assert_eq!(reply.status, 200);
    let calls = |page: &Value| page["total"]["calls"].as_i64().expect("a number");
    assert_eq!(calls(&usage(&desk, &user, "")), 1);
    assert_eq!(calls(&usage(&desk, &user, &format!("?user={}", user.id))), 1);
    assert_eq!(calls(&usage(&desk, &other, "")), 0);
    let status = |query: String| desk.server.get(&query).bearer(&other.token).send().status;
    assert_eq!(status(format!("/usage?user={}", user.id)), 404);
    assert_eq!(status("/usage?user=00000000-0000-4000-8000-000000000000".into()), 404);
    assert_eq!(status("/usage?user=1".into()), 404);
    assert_eq!(status("/usage?user=all".into()), 403);
    let all = desk.call("GET", "/usage?user=all").send().json();
    let one = desk.call("GET", &format!("/usage?user={}", user.id)).send().json();
    assert_eq!((calls(&all), calls(&one)), (1, 1));
    assert_eq!(desk.call("GET", "/usage?user=nobody").send().status, 404);
    // An administrator's API key is no administrator.
    let made = desk
        .call("POST", "/api-keys")
        .json(&json!({"name": "script"}))
        .send()
        .json();
    let key = made["key"].as_str().expect("a key");
    let status = |query: String| desk.server.get(&query).bearer(key).send().status;
    assert_eq!(status("/usage".into()), 200);
    assert_eq!(status("/usage?user=all".into()), 403);
    assert_eq!(status(format!("/usage?user={}", user.id)), 404);
}
