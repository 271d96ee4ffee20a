//! `fireside key`, and what its keys open.

use super::Tool;
use crate::rig::{Server, TempDir};

#[test]
fn keys_are_made_listed_and_revoked() {
    let tool = Tool::alone();
    tool.refuses(&["key", "list"], 1, &["There is no account", "fireside user add"]);
    tool.add("ann");
    tool.add("bob");
    let key = tool.does(&[
        "key",
        "create",
        "laptop",
        "--budget",
        "2.5",
        "--expires",
        "2090-01-01T00:00:00Z",
    ]);
    assert!(key.starts_with("fs-") && key.lines().count() == 1, "{key}");
    let of_bob = ["--account", "bob@example.com"];
    tool.does(&[&["key", "create", "his"][..], &of_bob].concat());
    let listed = tool.json(&["key", "list", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["budget_usd_month"], serde_json::json!(2.5));
    assert!(!listed.to_string().contains(key.trim()));
    let table = tool.does(&["key", "list"]);
    assert!(table.contains("laptop") && table.contains("2090-01-01"), "{table}");
    tool.refuses(&["key", "revoke", "his"], 1, &["There is no key", "key list"]);
    tool.does(&["key", "create", "laptop"]);
    tool.refuses(&["key", "revoke", "laptop"], 1, &["several keys"]);
    let id = listed[0]["id"].as_str().expect("an id");
    tool.does(&["key", "revoke", id]);
    tool.does(&["key", "revoke", "laptop"]);
    assert_eq!(tool.json(&["key", "list", "--json"]), serde_json::json!([]));
    for budget in ["much", "nan", "inf", "1e400", "0", "-1"] {
        let budget_flag = format!("--budget={budget}");
        tool.refuses(&["key", "create", "x", &budget_flag], 2, &["--budget", budget]);
    }
    assert_eq!(tool.json(&["key", "list", "--json"]), serde_json::json!([]));
    tool.refuses(
        &["key", "create", "x", "--expires", "soon"],
        2,
        &["--expires", "2099-01-01"],
    );
}

#[test]
fn a_key_opens_another_server() {
    let server = Server::start();
    let ann = server.account("ann");
    let key = Tool::beside(server.launch()).does(&["key", "create", "far away"]);
    let url = server.origin();
    let far = Tool::alone();
    far.refuses(&["ask", "hi", "--url", &url], 2, &["FIRESIDE_KEY", "--key-file"]);
    let far = far.env("FIRESIDE_KEY", key.trim());
    assert_eq!(far.does(&["ask", "hi", "--url", &url]), "Echo: hi\n");
    assert!(!far.data().exists(), "its own folder is nobody's business");
    let folder = TempDir::new();
    let path = folder.join("key").display().to_string();
    std::fs::write(&path, &key).expect("a file");
    let by_file = Tool::alone();
    assert_eq!(
        by_file.does(&["ask", "-c", "last", "again", "--url", &url, "--key-file", &path]),
        "Echo: again\n"
    );
    let chats = server.get("/chats").bearer(&ann.token).send().json();
    assert_eq!(chats["total"], serde_json::json!(1));
    let wrong = Tool::alone().env("FIRESIDE_KEY", "fs-0");
    wrong.refuses(
        &["ask", "hi", "--url", &url],
        1,
        &["does not accept", "fireside key create"],
    );
    wrong.refuses(&["ask", "hi", "--url", "http://127.0.0.1:1"], 3, &["cannot be reached"]);
    wrong.refuses(&["ask", "hi", "--url", "nonsense"], 2, &["no address"]);
    wrong.refuses(&["ask", "hi", "--url", &url, "--account", "ann"], 2, &["--account"]);
}
