//! `GET /models`: the table's order, and what runs here beside it.

use serde_json::{Value, json};

use super::Desk;
use crate::rig::{Launch, Server, Upstream, check_shape};

/// The models of the recorded system, in its order.
const RECORDED: [&str; 9] = [
    "gpt-4.1-nano",
    "gpt-4.1-mini",
    "gpt-4.1",
    "gpt-4o-mini",
    "gpt-4o",
    "o3-mini",
    "o3-pro",
    "o3",
    "o1",
];

fn chat(models: &Value) -> Vec<&str> {
    let list = models["chat"].as_array().expect("a list");
    list.iter().map(|model| model.as_str().expect("a name")).collect()
}

#[test]
fn anyone_may_ask_and_the_default_comes_first() {
    let server = Server::start();
    for target in ["/models", "/models/"] {
        let models = server.get(target).send();
        check_shape(&models, 200, &json!({"chat": "<any>"}));
        let models = models.json();
        assert_eq!(chat(&models)[..9], RECORDED);
        assert_eq!(chat(&models).last(), Some(&"library"));
    }
    // A token that is no good makes a visitor.
    let visitor = server.get("/models").bearer("nonsense").send();
    assert_eq!(visitor.json(), server.get("/models").send().json());
}

#[test]
fn those_who_are_signed_in_see_what_runs_here() {
    let desk = Desk::new();
    let models = desk.check_plain(
        "GET",
        "/models",
        200,
        &json!({"chat": "<any>", "available": ["echo", "library"], "providers": []}),
    );
    assert_eq!(models["chat"], desk.server.get("/models").send().json()["chat"]);
}

#[test]
fn the_table_that_is_named_is_the_one_that_is_listed() {
    let launch = Launch::new();
    let prices = r#"{"zeta": {"input": 1, "output": 1}, "groq/alpha": {"input": 1, "output": 1}}"#;
    std::fs::write(launch.home().join("prices.json"), prices).expect("a file");
    let path = launch.home().join("prices.json").display().to_string();
    let server = launch.env("FIRESIDE_PRICING", &path).start();
    check_shape(
        &server.get("/models").send(),
        200,
        &json!({"chat": ["zeta", "groq/alpha", "echo", "library"]}),
    );
    // Clients ask for the first of them when nobody has chosen; whoever answers, somebody does.
    let ann = server.account("ann");
    let send = |model: &str| {
        let form = [("text", "Hi"), ("model", model)];
        server.post("/chat/").bearer(&ann.token).form(&form).send()
    };
    assert_eq!(send("zeta").json()["answer"], "Echo: Hi");
    assert_eq!(send("groq/alpha").status, 422);
}

#[test]
fn the_administrators_own_models_are_for_those_who_are_signed_in() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("GROQ_API_KEY", "gsk-none");
    let desk = Desk::at(launch.start());
    // Its server is asked for its list in the background, or by the first message.
    let id = desk.create(&json!({}));
    desk.tell(id, "Hi");
    let models = desk.call("GET", "/models").send().json();
    assert_eq!(chat(&models)[..9], RECORDED);
    assert_eq!(models["available"][0], json!("fake"));
    assert!(chat(&models).contains(&"fake"));
    // What the table names with its host is not named again without.
    assert!(chat(&models).contains(&"groq/llama-3.3-70b-versatile"));
    assert!(!chat(&models).contains(&"llama-3.3-70b-versatile"));
    let names = desk.server.get("/models").send().json();
    assert!(!chat(&names).contains(&"fake"));
}
