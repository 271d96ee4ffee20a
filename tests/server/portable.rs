//! Export, import and backup: what goes out comes in again, once, whole, and for its owner alone.

use serde_json::{Value, json};

use crate::rig::{Account, Desk, Launch, Multipart, Reply, Server, TempDir};

/// An account with two chats, a file, tags and a document.
fn furnish(server: &Server, token: &str) {
    let say = |body: &Value| {
        let reply = server.post("/chat").bearer(token).json(body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["chat_id"].as_str().expect("an id").to_owned()
    };
    let chat = say(&json!({"message": "\"one\" \\ ü 猫 \u{1f600}\n"}));
    say(&json!({"message": "two", "chat_id": chat}));
    say(&json!({"message": "another chat"}));
    let form =
        Multipart::new()
            .field("text", "with a file")
            .file("files", "bytes.bin", "application/octet-stream", &bytes());
    let reply = form.on(server.post("/chat/").bearer(token)).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let document = json!({"title": "Whales", "author": "Ann", "content": "# Heading\n\nA whale."});
    assert_eq!(
        server.post("/documents").bearer(token).json(&document).send().status,
        201
    );
}

fn bytes() -> Vec<u8> {
    (0..200_000_u32).map(|number| (number % 251) as u8).collect()
}

fn export(server: &Server, token: &str, query: &str) -> Reply {
    let reply = server.get(&format!("/export{query}")).bearer(token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

fn import(server: &Server, token: &str, file: &[u8]) -> Reply {
    let form = Multipart::new().file("file", "export.json", "application/json", file);
    form.on(server.post("/import").bearer(token)).send()
}

/// An export without what two exports of the same may differ in.
fn content(reply: &Reply) -> Value {
    let mut content = reply.json();
    content["account"] = Value::Null;
    content
}

fn tally(imported: usize, skipped: usize) -> Value {
    json!({"imported": imported, "updated": 0, "skipped": skipped, "failed": 0})
}

#[test]
fn what_goes_out_comes_in_elsewhere() {
    let (old, new) = (Server::start(), Server::start());
    let (ann, eve) = (old.account("ann"), new.account("eve"));
    furnish(&old, &ann.token);
    let exported = export(&old, &ann.token, "");
    assert!(
        exported
            .header("Content-Disposition")
            .is_some_and(|value| value.starts_with("attachment; filename="))
    );
    let whole = exported.json();
    assert_eq!(
        (&whole["format"], &whole["version"]),
        (&json!("fireside-export"), &json!(1))
    );
    assert_eq!(whole["conversations"].as_array().map(Vec::len), Some(3));
    let report = import(&new, &eve.token, &exported.body);
    assert_eq!(report.status, 200, "{}", report.text());
    let report = report.json();
    assert_eq!(report["conversations"], tally(3, 0), "{report}");
    assert_eq!(
        (&report["attachments"], &report["documents"]),
        (&tally(1, 0), &tally(1, 0))
    );
    assert_eq!(content(&export(&new, &eve.token, "")), content(&exported));
    // Twice is once.
    let again = import(&new, &eve.token, &exported.body).json();
    assert_eq!(again["conversations"], tally(0, 3), "{again}");
    assert_eq!(
        (&again["attachments"], &again["documents"]),
        (&tally(0, 1), &tally(0, 1))
    );
    assert_eq!(again["not_imported"].as_array().map(Vec::len), Some(5));
    assert_eq!(content(&export(&new, &eve.token, "")), content(&exported));
    let chats = |server: &Server, account: &Account| {
        let mut page = server.get("/chats").bearer(&account.token).send().json();
        page["chats"]
            .as_array_mut()
            .expect("a list")
            .iter_mut()
            .for_each(|chat| {
                chat["user_id"] = Value::Null;
                chat["conversation_id"] = Value::Null;
            });
        page
    };
    assert_eq!(chats(&new, &eve), chats(&old, &ann));
}

#[test]
fn what_has_gone_out_and_in_goes_out_the_same() {
    let (old, new) = (Server::start(), Server::start());
    let ann = old.account("ann");
    furnish(&old, &ann.token);
    let settings = json!({"theme": "dark"});
    assert_eq!(
        old.put("/settings").bearer(&ann.token).json(&settings).send().status,
        200
    );
    let again = json!({"title": "Second", "content": "Another document."});
    assert_eq!(
        old.post("/documents").bearer(&ann.token).json(&again).send().status,
        201
    );
    let first = export(&old, &ann.token, "").body;
    // The same account elsewhere.
    let twin = new.account("ann");
    let report = import(&new, &twin.token, &first);
    assert_eq!(report.status, 200, "{}", report.text());
    assert_eq!(report.json()["settings"], true);
    let second = export(&new, &twin.token, "").body;
    assert!(
        first == second,
        "{}\n{}",
        String::from_utf8_lossy(&first),
        String::from_utf8_lossy(&second)
    );
}

#[test]
fn an_account_beside_gets_copies_of_its_own() {
    let desk = Desk::new();
    furnish(&desk.server, &desk.token);
    let eve = desk.server.account("eve");
    let exported = export(&desk.server, &desk.token, "");
    let before = content(&exported);
    for expected in [tally(3, 0), tally(0, 3)] {
        let report = import(&desk.server, &eve.token, &exported.body).json();
        assert_eq!(report["conversations"], expected, "{report}");
    }
    let copy = export(&desk.server, &eve.token, "").json();
    assert_eq!(copy["conversations"].as_array().map(Vec::len), Some(3));
    assert_eq!(copy["attachments"][0]["bytes"], before["attachments"][0]["bytes"]);
    let texts = |whole: &Value| -> Vec<Value> {
        let conversations = whole["conversations"].as_array().expect("a list").iter();
        let messages = conversations.flat_map(|one| one["messages"].as_array().expect("a list"));
        messages.map(|message| message["content"].clone()).collect()
    };
    assert_eq!(texts(&copy), texts(&before));
    assert_eq!(content(&export(&desk.server, &desk.token, "")), before);
}

#[test]
fn files_may_stay_behind() {
    let desk = Desk::new();
    furnish(&desk.server, &desk.token);
    let light = export(&desk.server, &desk.token, "?attachments=0");
    assert!(light.body.len() < 20_000, "{} bytes", light.body.len());
    let other = Desk::new();
    let report = import(&other.server, &other.token, &light.body).json();
    assert_eq!(
        (&report["conversations"], &report["attachments"]),
        (&tally(3, 0), &tally(0, 1))
    );
    // They may follow: then they belong to the messages that are here already.
    let whole = export(&desk.server, &desk.token, "");
    let report = import(&other.server, &other.token, &whole.body).json();
    assert_eq!(
        (&report["conversations"], &report["attachments"]),
        (&tally(0, 3), &tally(1, 0))
    );
    let again = content(&export(&other.server, &other.token, ""));
    assert_eq!(again["attachments"].as_array().map(Vec::len), Some(1));
    assert_eq!(again["conversations"], content(&whole)["conversations"]);
}

#[test]
fn what_is_no_export_leaves_nothing() {
    let desk = Desk::new();
    let conversation = |more: &str| {
        format!(
            "{{\"format\":\"fireside-export\",\"version\":1,\"conversations\":[{{\"uuid\":\
             \"0f8fad5b-d9cb-469f-a165-70867728950e\",\"title\":\"t\",\"created_at\":\"2026-01-01T00:00:00Z\",\
             \"updated_at\":\"2026-01-01T00:00:00Z\",\"messages\":[]}}{more}"
        )
    };
    for bad in [
        String::new(),
        "nonsense".into(),
        "[]".into(),
        "{}".into(),
        "{\"format\":\"other\"}".into(),
        "{\"format\":\"fireside-export\",\"version\":2}".into(),
        conversation(""),
        conversation(",{\"uuid\":7}]}"),
        conversation(",{}]}"),
        conversation("]} more"),
    ] {
        let reply = import(&desk.server, &desk.token, bad.as_bytes());
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
        assert!(reply.detail().contains("Nothing was imported"), "{}", reply.detail());
    }
    assert_eq!(desk.call("GET", "/chats").send().json()["total"], 0);
    let good = import(&desk.server, &desk.token, conversation("]}").as_bytes());
    assert_eq!((good.status, &good.json()["conversations"]), (200, &tally(1, 0)));
}

#[test]
fn one_bad_conversation_does_not_keep_the_others_out() {
    let desk = Desk::new();
    let message = |uuid: &str, parent: Value| json!({"uuid": uuid, "parent": parent, "role": "user", "content": "c", "created_at": "2026-01-01T00:00:00Z"});
    let (one, two) = (
        "0f8fad5b-d9cb-469f-a165-708677289501",
        "0f8fad5b-d9cb-469f-a165-708677289502",
    );
    let conversation = |last: &str, messages: Vec<Value>| {
        json!({"uuid": format!("0f8fad5b-d9cb-469f-a165-7086772895{last}"), "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "messages": messages})
    };
    let mut king = message(one, Value::Null);
    king["role"] = json!("king");
    let whole = json!({"format": "fireside-export", "version": 1, "conversations": [
        conversation("10", vec![message(one, json!(two)), message(two, Value::Null)]),
        conversation("11", vec![message(one, Value::Null), message(one, Value::Null)]),
        conversation("12", vec![king]),
        conversation("xx", vec![]),
        conversation("13", vec![message(one, Value::Null), message(two, json!(one))]),
    ]});
    let reply = import(&desk.server, &desk.token, whole.to_string().as_bytes());
    let report = reply.json();
    assert_eq!(
        report["conversations"],
        json!({"imported": 1, "updated": 0, "skipped": 0, "failed": 4}),
        "{report}"
    );
    let reasons = report["not_imported"].as_array().expect("a list");
    assert!(
        reasons
            .iter()
            .all(|one| one["reason"].as_str().is_some_and(|reason| !reason.is_empty())),
        "{report}"
    );
    let chats = desk.call("GET", "/chats").send().json();
    assert_eq!(
        (&chats["total"], &chats["chats"][0]["message_count"]),
        (&json!(1), &json!(2))
    );
}

#[test]
fn what_the_api_would_refuse_does_not_come_in_by_file() {
    let desk = Desk::new();
    let good = json!({"max_tokens": 1_000_000, "temperature": 2.0, "title": "t".repeat(200), "tags": ["a"]});
    let message = |more: Value| {
        let mut message =
            json!({"uuid": uuid(0), "role": "user", "content": "c", "created_at": "2026-01-01T00:00:00Z"});
        merge(&mut message, &more);
        json!({"messages": [message]})
    };
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let marker = json!("deep");
    let bad = [
        json!({"max_tokens": -1}),
        json!({"max_tokens": 5_000_000_000_u64}),
        json!({"temperature": 2.5}),
        json!({"title": "t".repeat(201)}),
        json!({"model": "m".repeat(201)}),
        json!({"system_prompt": "p".repeat(20_001)}),
        json!({"tags": vec!["t"; 21]}),
        json!({"tags": ["t".repeat(51)]}),
        json!({"tags": [" "]}),
        message(json!({"content": "c".repeat(1024 * 1024 + 1)})),
        message(json!({"attachments": ["-"]})),
        message(json!({"attachments": (0..11).map(uuid).collect::<Vec<_>>()})),
        message(json!({"media_urls": vec!["u"; 11]})),
        message(json!({"tool_calls": marker})),
    ];
    let conversations: Vec<Value> = std::iter::once(&good)
        .chain(&bad)
        .zip(1..)
        .map(|(more, number)| {
            let time = "2026-01-01T00:00:00Z";
            let mut one = json!({"uuid": uuid(number), "created_at": time, "updated_at": time, "messages": []});
            merge(&mut one, more);
            one
        })
        .collect();
    let whole = json!({"format": "fireside-export", "version": 1, "account": {"system_prompt": "p".repeat(20_001)},
        "settings": {"a": "s".repeat(64 * 1024)}, "conversations": conversations});
    let whole = whole.to_string().replace("\"deep\"", &deep);
    let reply = import(&desk.server, &desk.token, whole.as_bytes());
    let report = reply.json();
    let expected = json!({"imported": 1, "updated": 0, "skipped": 0, "failed": bad.len()});
    assert_eq!(
        (&report["conversations"], &report["settings"]),
        (&expected, &json!(false)),
        "{report}"
    );
    let refused = report["not_imported"].as_array().expect("a list");
    for kind in ["account", "settings"] {
        assert!(refused.iter().any(|one| one["kind"] == kind), "{report}");
    }
    let chats = desk.call("GET", "/chats").send();
    assert_eq!(
        (chats.status, &chats.json()["total"]),
        (200, &json!(1)),
        "{}",
        chats.text()
    );
}

fn uuid(number: usize) -> String {
    format!("0f8fad5b-d9cb-469f-a165-7086772895{number:02}")
}

fn merge(into: &mut Value, more: &Value) {
    for (key, value) in more.as_object().expect("an object") {
        into[key] = value.clone();
    }
}

#[test]
fn a_backup_is_a_server_that_works() {
    let desk = Desk::new();
    furnish(&desk.server, &desk.token);
    let by_link = desk.call("GET", "/admin/backup").send();
    let reply = desk.call("POST", "/admin/backup").send();
    for reply in [&by_link, &reply] {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.body.starts_with(b"SQLite format 3\0"));
    }
    let temporary = std::fs::read_dir(desk.server.launch().data().join("tmp"))
        .expect("a folder")
        .count();
    assert_eq!(temporary, 0, "the copy stays on the server");
    let folder = TempDir::new();
    let data = folder.path().display().to_string();
    std::fs::write(folder.join("fireside.db"), &reply.body).expect("written");
    let copy = Launch::command(&["serve", "--port", "0", "--data", &data]).start();
    let body = json!({"email": "ann@example.com", "password": "the password of ann"});
    let login = copy.post("/auth/login").json(&body).send();
    assert_eq!(login.status, 200, "{}", login.text());
    let token = login.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(
        content(&export(&copy, &token, "")),
        content(&export(&desk.server, &desk.token, ""))
    );
}

/// The database says that it is larger than any disk: nothing of a copy is begun.
#[test]
fn a_backup_that_would_fill_the_disk_is_not_begun() {
    let desk = Desk::new();
    let data = desk.server.launch().data();
    let database = std::fs::File::options().write(true).open(data.join("fireside.db"));
    database
        .and_then(|file| file.set_len(1 << 43))
        .expect("a file with a hole");
    let reply = desk.call("POST", "/admin/backup").send();
    assert_eq!(reply.status, 507, "{}", reply.text());
    assert!(
        reply.detail().contains("There is no room for a backup"),
        "{}",
        reply.detail()
    );
    assert_eq!(std::fs::read_dir(data.join("tmp")).expect("a folder").count(), 0);
}
