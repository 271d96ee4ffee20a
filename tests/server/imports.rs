//! What other programs export comes in: each source by what stands in it, once, whole, and with a reason for the rest.
//! The fixtures were written after each program's published form.

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::rig::{Desk, Launch, Multipart, Reply, TempDir, slow};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/imports")
        .join(name);
    std::fs::read(path).expect("a fixture")
}

/// The log of the llm tool, as a file.
fn llm_log() -> Vec<u8> {
    let folder = TempDir::new();
    let path = folder.join("logs.db");
    let log = Connection::open(&path).expect("a database");
    log.execute_batch(std::str::from_utf8(&fixture("llm.sql")).expect("text"))
        .expect("SQL");
    drop(log);
    std::fs::read(path).expect("a file")
}

#[track_caller]
fn send(desk: &Desk, query: &str, name: &str, bytes: &[u8]) -> Reply {
    let form = Multipart::new().file("file", name, "application/octet-stream", bytes);
    form.on(desk.call("POST", &format!("/import{query}"))).send()
}

#[track_caller]
fn import(desk: &Desk, query: &str, name: &str, bytes: &[u8]) -> Value {
    let reply = send(desk, query, name, bytes);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn tally(imported: usize, updated: usize, skipped: usize, failed: usize) -> Value {
    json!({"imported": imported, "updated": updated, "skipped": skipped, "failed": failed})
}

fn chats(desk: &Desk) -> usize {
    let total = desk.call("GET", "/chats").send().json()["total"].as_u64();
    usize::try_from(total.expect("a number")).expect("a number")
}

/// The reasons of a kind.
fn reasons<'r>(report: &'r Value, kind: &str) -> Vec<&'r str> {
    let all = report["not_imported"].as_array().expect("a list").iter();
    let of_kind = all.filter(|one| one["kind"] == kind);
    of_kind.map(|one| one["reason"].as_str().expect("a reason")).collect()
}

/// Rehearsed, imported, and imported again: the source is told by its content, whatever the name.
#[track_caller]
fn check(bytes: &[u8], source: &str, good: usize, bad: usize, messages: usize) -> Desk {
    let desk = Desk::new();
    let rehearsed = import(&desk, "?dry_run=true", "anything", bytes);
    assert_eq!(chats(&desk), 0, "a rehearsal stores nothing");
    let mut report = import(&desk, "", "anything.bin", bytes);
    assert_eq!(report["source"], source, "{report}");
    assert_eq!(report["conversations"], tally(good, 0, 0, bad), "{report}");
    assert_eq!(report["messages"], messages, "{report}");
    assert_eq!(chats(&desk), good);
    report["dry_run"] = json!(true);
    assert_eq!(report, rehearsed);
    let exported = desk.call("GET", "/export").send().body;
    let again = import(&desk, "", "again", bytes);
    assert_eq!(again["conversations"], tally(0, 0, good, bad), "{again}");
    assert_eq!(again["messages"], 0);
    assert!(
        desk.call("GET", "/export").send().body == exported,
        "the second import has changed something"
    );
    desk
}

#[test]
fn chatgpt() {
    let desk = check(&fixture("chatgpt.json"), "ChatGPT", 2, 2, 6);
    let chat = desk.call("GET", "/chats").send().json()["chats"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|chat| chat["title"] == "Tomatoes 🍅 on a balcony")
        .expect("the chat")
        .clone();
    assert_eq!(
        (&chat["is_archived"], &chat["message_count"]),
        (&json!(true), &json!(3))
    );
    let messages = desk
        .call(
            "GET",
            &format!("/chats/{}/messages", chat["id"].as_str().expect("an id")),
        )
        .send()
        .json();
    let texts: Vec<&str> = messages
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["content"].as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "What is wrong with these leaves?\n\n[Attached: leaves.jpg]",
            "They lack potassium. Feed them.",
            "Thanks 🙏"
        ]
    );
}

#[test]
fn claude() {
    check(&fixture("claude.json"), "Claude", 2, 1, 5);
}

#[test]
fn open_webui() {
    check(&fixture("open-webui.json"), "Open WebUI", 2, 1, 6);
}

#[test]
fn llama_cpp() {
    check(&fixture("llama-cpp.json"), "llama.cpp", 1, 0, 3);
}

#[test]
fn llm() {
    let desk = check(&llm_log(), "llm", 3, 0, 8);
    let whole = desk.call("GET", "/export").send().json();
    let facts = whole["conversations"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["title"] == "Fun facts");
    let facts = facts.expect("the conversation");
    assert_eq!(facts["system_prompt"], "Be brief");
    let told: Vec<_> = facts["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["content"])
        .collect();
    assert_eq!(
        told,
        [
            "A fun fact\n\n[Attached: bee.png]",
            "Honey does not spoil",
            "Another",
            "Octopuses have three hearts 🐙"
        ]
    );
}

#[test]
fn what_was_exported_anew_brings_what_is_new() {
    let desk = Desk::new();
    let mut list: Value = serde_json::from_slice(&fixture("claude.json")).expect("JSON");
    list.as_array_mut().expect("a list").pop();
    import(&desk, "", "a", list.to_string().as_bytes());
    let titles = |desk: &Desk| {
        let page = desk.call("GET", "/chats").send().json();
        let chats = page["chats"].as_array().expect("a list").iter();
        chats
            .map(|chat| (chat["title"].clone(), chat["message_count"].clone()))
            .collect::<Vec<_>>()
    };
    let before = titles(&desk);
    // One conversation has gone on, and there is another one.
    list[0]["chat_messages"].as_array_mut().expect("a list").push(json!({
        "uuid": "c1a0de00-0000-4000-8000-000000000013", "sender": "human", "text": "Thank you",
        "created_at": "2025-05-04T10:00:00Z"
    }));
    list[0]["updated_at"] = json!("2025-05-04T10:00:00Z");
    let mut third = list[1].clone();
    third["uuid"] = json!("c1a0de00-0000-4000-8000-000000000009");
    third["name"] = json!("A third");
    list.as_array_mut().expect("a list").push(third);
    let report = import(&desk, "", "a", list.to_string().as_bytes());
    assert_eq!(report["conversations"], tally(1, 1, 1, 0), "{report}");
    assert_eq!(report["messages"], 4);
    let after = titles(&desk);
    assert_eq!((before.len(), after.len()), (2, 3));
    assert!(after.contains(&(json!("Rhubarb jam"), json!(3))), "{after:?}");
}

#[test]
fn what_was_said_here_stays_when_more_comes_in() {
    let desk = Desk::new();
    let mut list: Value = serde_json::from_slice(&fixture("claude.json")).expect("JSON");
    import(&desk, "", "a", list.to_string().as_bytes());
    let chats = desk.call("GET", "/chats").send().json();
    let jam = chats["chats"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|chat| chat["title"] == "Rhubarb jam");
    let jam = jam.expect("the chat")["id"].as_str().expect("an id").to_owned();
    let said = desk
        .call("POST", "/chat")
        .json(&json!({"message": "said here", "chat_id": jam}))
        .send();
    assert_eq!(said.status, 200, "{}", said.text());
    list[0]["chat_messages"].as_array_mut().expect("a list").push(json!({
        "uuid": "c1a0de00-0000-4000-8000-000000000013", "sender": "human", "text": "said there",
        "created_at": "2025-05-04T10:00:00Z"
    }));
    let report = import(&desk, "", "a", list.to_string().as_bytes());
    assert_eq!(report["conversations"]["updated"], 1, "{report}");
    let messages = desk.call("GET", &format!("/chats/{jam}/messages")).send().json();
    let last = messages.as_array().expect("a list").last().expect("a message");
    assert_eq!(last["content"], "Echo: said here");
    let whole = desk.call("GET", "/export").send().text();
    assert!(whole.contains("said there"));
}

/// An archive of files that are not packed.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).expect("small").to_le_bytes();
        let mut head = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        head.extend(crc.sum().to_le_bytes());
        head.extend(size);
        head.extend(size);
        head.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
        head.extend([0; 2]);
        list.extend(b"PK\x01\x02\x14\0");
        list.extend(&head);
        list.extend([0; 10]);
        list.extend(u32::try_from(bytes.len()).expect("small").to_le_bytes());
        list.extend(name.as_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&head);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
    }
    let count = u16::try_from(files.len()).expect("few").to_le_bytes();
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend(count);
    end.extend(count);
    end.extend(u32::try_from(list.len()).expect("small").to_le_bytes());
    end.extend(u32::try_from(bytes.len()).expect("small").to_le_bytes());
    end.extend([0; 2]);
    [bytes, list, end].concat()
}

#[test]
fn archives_with_one_list_or_several() {
    let list: Value = serde_json::from_slice(&fixture("chatgpt.json")).expect("JSON");
    let part = |at: usize| json!([list[at]]).to_string().into_bytes();
    let (first, second, third) = (part(0), part(1), part(2));
    let whole = archive(&[
        ("export/conversations-000.json", &first),
        ("export/conversations-001.json", &second),
        ("export/conversations-002.json", &third),
        ("export/user.json", b"{\"id\": \"u\"}"),
        ("export/message_feedback.json", b"[]"),
        ("export/file-abc-leaves.jpg", b"a picture"),
        ("../../../etc/passwd", b"a trick"),
    ]);
    let desk = check(&whole, "ChatGPT", 2, 1, 6);
    let report = import(&desk, "", "a.zip", &whole);
    let files = reasons(&report, "file");
    assert!(files.iter().any(|reason| reason.contains("with 1 of")), "{report}");
    assert_eq!(files.len(), 3, "{report}");
    assert_eq!(reasons(&report, "attachment"), ["It is here already"]);
}

/// What a message has: its text, and the name, type and bytes of each of its files.
type Held = (String, Vec<(String, String, Vec<u8>)>);

fn messages(desk: &Desk, title: &str) -> Vec<Held> {
    let chats = desk.call("GET", "/chats").send().json();
    let chats = chats["chats"].as_array().expect("a list");
    let chat = chats.iter().find(|chat| chat["title"] == title).expect("the chat");
    let path = format!("/conversations/{}/messages", chat["conversation_id"]);
    let list = desk.call("GET", &path).send().json();
    let file = |file: &Value| {
        let text = |name: &str| file[name].as_str().expect("a text").to_owned();
        let reply = desk.call("GET", &format!("/attachments/{}", file["id"])).send();
        assert_eq!(reply.status, 200);
        (text("filename"), text("content_type"), reply.body)
    };
    let message = |one: &Value| {
        let files = one["attachments"].as_array().expect("a list");
        (
            one["text"].as_str().expect("a text").to_owned(),
            files.iter().map(file).collect(),
        )
    };
    list["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(message)
        .collect()
}

/// A conversation with ChatGPT in which files are sent and a picture is drawn, as exports of several years have them.
fn with_files() -> Value {
    let node = |id: &str, parent: &str, role: &str, parts: Value, metadata: Value, recipient: &str| {
        let content = json!({"content_type": "multimodal_text", "parts": parts});
        json!({"id": id, "parent": parent, "message": {"id": id, "author": {"role": role}, "content": content,
            "metadata": metadata, "recipient": recipient}})
    };
    let picture = |address: &str| json!({"content_type": "image_asset_pointer", "asset_pointer": address});
    let listed = json!({"attachments": [
        {"id": "file-Old1", "name": "leaves.jpg", "mimeType": "image/jpeg"},
        {"id": "file_00aa", "name": "notes.md"},
        {"id": "file-Gone", "name": "gone.pdf"},
    ]});
    let asked = json!([picture("file-service://file-Old1"), "What is this?"]);
    let drawn = json!([picture("sediment://file_00bb"), picture("file-service://file-Dalle")]);
    json!([{"title": "Files", "conversation_id": "f-1", "current_node": "r", "mapping": {
        "q": node("q", "", "user", asked, listed, "all"),
        "c": node("c", "q", "assistant", json!(["{\"prompt\": \"a leaf\"}"]), json!({}), "dalle.text2im"),
        "t": node("t", "c", "tool", drawn, json!({}), "all"),
        "r": node("r", "t", "assistant", json!(["A leaf, drawn."]), json!({}), "all"),
    }}])
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";
const JPEG: &[u8] = b"\xff\xd8\xff and more";

#[test]
fn the_files_of_an_archive_come_in_with_their_messages() {
    let list = with_files().to_string().into_bytes();
    let names = json!({"file_00aa.dat": "notes.md", "file-Dalle.dat": "dalle-generations/a leaf.webp"});
    let names = names.to_string().into_bytes();
    let whole = archive(&[
        ("conversations-000.json", &list),
        ("conversation_asset_file_names.json", &names),
        ("file-Old1-leaves.jpg", JPEG),
        ("file_00aa.dat", b"# Notes"),
        ("user-x/file_00bb-f81d4fae-7dec-11d0-a765-00a0c91e6bf6.png", PNG),
        ("file-Dalle.dat", PNG),
        ("file-Other-list.json", b"[{\"mapping\": {}}]"),
    ]);
    let desk = check(&whole, "ChatGPT", 1, 0, 2);
    let file = |name: &str, media: &str, bytes: &[u8]| (name.to_owned(), media.to_owned(), bytes.to_vec());
    let expected = [
        (
            "What is this?\n\n[Attached: gone.pdf]".to_owned(),
            vec![
                file("leaves.jpg", "image/jpeg", JPEG),
                file("notes.md", "text/markdown", b"# Notes"),
            ],
        ),
        (
            "A leaf, drawn.".to_owned(),
            vec![
                file("f81d4fae-7dec-11d0-a765-00a0c91e6bf6.png", "image/png", PNG),
                file("a leaf.webp", "image/png", PNG),
            ],
        ),
    ];
    assert_eq!(messages(&desk, "Files"), expected);
    // The same bytes came in again: nothing is doubled.
    let report = import(&desk, "", "a", &whole);
    assert_eq!(report["attachments"], tally(0, 0, 5, 0), "{report}");
    let told = reasons(&report, "attachment");
    assert!(
        told.iter().any(|reason| reason.contains("does not hold it")),
        "{told:?}"
    );
    // Somebody else has files of their own.
    let eve = desk.server.account("eve").token;
    let form = Multipart::new().file("file", "a", "application/zip", &whole);
    let report = form.on(desk.server.post("/import").bearer(&eve)).send().json();
    assert_eq!(report["attachments"], tally(4, 0, 1, 0), "{report}");
}

#[test]
fn files_follow_the_list_that_came_without_them() {
    let list = with_files().to_string().into_bytes();
    let desk = Desk::new();
    let report = import(&desk, "", "conversations.json", &list);
    assert_eq!(report["attachments"], tally(0, 0, 5, 0), "{report}");
    assert!(
        reasons(&report, "attachment")
            .iter()
            .all(|reason| reason.contains("whole archive"))
    );
    let whole = archive(&[("conversations.json", &list), ("file-Old1-leaves.jpg", JPEG)]);
    let report = import(&desk, "", "a.zip", &whole);
    assert_eq!(report["attachments"], tally(1, 0, 4, 0), "{report}");
    assert_eq!(messages(&desk, "Files")[0].1.len(), 1);
}

#[test]
fn files_keep_to_the_limits_of_uploads() {
    let list = with_files().to_string().into_bytes();
    let large = vec![b'x'; 1024 * 1024 + 1];
    let whole = archive(&[
        ("conversations.json", &list),
        ("file-Old1-leaves.jpg", &large),
        ("file_00aa.dat", &large[..700 * 1024]),
        ("file_00bb.png", &large[..700 * 1024]),
        ("file-Dalle.dat", b"found damaged"),
    ]);
    let mut whole = whole;
    let at = whole
        .windows(13)
        .position(|window| window == b"found damaged")
        .expect("its bytes");
    whole[at] ^= 1;
    let server = Launch::new()
        .args(&["--max-upload", "1", "--upload-quota", "1"])
        .start();
    let ann = server.account("ann").token;
    for query in ["?dry_run=true", "", ""] {
        let form = Multipart::new().file("file", "a", "application/zip", &whole);
        let report = form.on(server.post(&format!("/import{query}")).bearer(&ann)).send();
        assert_eq!(report.status, 200, "{}", report.text());
        let report = report.json();
        let told = reasons(&report, "attachment").join("\n");
        for reason in ["more than 1 MiB", "your files may take 1 MiB", "It is damaged"] {
            assert!(told.contains(reason), "no {reason}: {told}");
        }
        assert_eq!(report["attachments"]["failed"], 3, "{report}");
        assert_eq!(report["conversations"]["failed"], 0, "{report}");
    }
}

/// The files that are here, of whichever message or none.
fn files_here(desk: &Desk) -> usize {
    let whole = desk.call("GET", "/export").send().json();
    whole["attachments"].as_array().expect("a list").len()
}

/// A reply of which nothing is left but the twelve pictures that a tool has drawn, and what was said then.
fn with_many_pictures() -> (Value, Vec<u8>) {
    let ids: Vec<String> = (10..22).map(|at| format!("file-Pic{at}")).collect();
    let pictures = ids
        .iter()
        .map(|id| json!({"content_type": "image_asset_pointer", "asset_pointer": format!("file-service://{id}")}));
    let node = |parent: &str, role: &str, parts: Value| {
        json!({"parent": parent, "message": {"author": {"role": role}, "create_time": 1_700_000_000,
            "content": {"content_type": "multimodal_text", "parts": parts}}})
    };
    let list = json!([{"title": "Pictures", "conversation_id": "p-1", "current_node": "r", "mapping": {
        "q": node("", "user", json!(["Draw twelve"])),
        "c": node("q", "assistant", json!([""])),
        "t": node("c", "tool", json!(pictures.collect::<Vec<_>>())),
        "r": node("t", "assistant", json!(["Twelve, drawn."])),
    }}]);
    let names: Vec<String> = ids.iter().map(|id| format!("{id}.png")).collect();
    let text = list.to_string().into_bytes();
    let mut files: Vec<(&str, &[u8])> = vec![("conversations.json", &text)];
    files.extend(names.iter().map(|name| (name.as_str(), PNG)));
    let whole = archive(&files);
    (list, whole)
}

#[test]
fn every_file_that_comes_in_hangs_on_a_message() {
    let (_, whole) = with_many_pictures();
    let desk = check(&whole, "ChatGPT", 1, 0, 2);
    let report = import(&desk, "", "a", &whole);
    assert_eq!(report["attachments"], tally(0, 0, 12, 0), "{report}");
    let told = reasons(&report, "attachment");
    assert_eq!(told.iter().filter(|reason| reason.contains("at most 10")).count(), 2);
    let reply = messages(&desk, "Pictures").pop().expect("a reply");
    assert_eq!(
        (reply.0.as_str(), reply.1.len()),
        ("Twelve, drawn.\n\n[Attached: picture]\n\n[Attached: picture]", 10)
    );
    assert_eq!(files_here(&desk), 10, "what no message has did not come in");
}

#[test]
fn a_conversation_that_does_not_come_in_brings_no_files() {
    let (mut list, whole) = with_many_pictures();
    let desk = Desk::new();
    import(&desk, "", "a", list.to_string().as_bytes());
    let chats = desk.call("GET", "/chats").send().json();
    let path = format!("/chats/{}", chats["chats"][0]["id"].as_str().expect("an id"));
    assert!(desk.call("DELETE", &path).send().status < 300);
    for query in ["?dry_run=true", ""] {
        let report = import(&desk, query, "a", &whole);
        assert_eq!(report["conversations"], tally(0, 0, 1, 0), "{report}");
        assert_eq!(report["attachments"], tally(0, 0, 12, 0), "{report}");
    }
    list[0]["conversation_id"] = json!("p-2");
    list[0]["mapping"]["q"]["message"]["content"]["parts"] = json!(["x".repeat(1024 * 1024 + 1)]);
    let list = list.to_string().into_bytes();
    let long = archive(&[("conversations.json", &list), ("file-Pic10.png", PNG)]);
    let report = import(&desk, "", "a", &long);
    assert_eq!(report["conversations"], tally(0, 0, 0, 1), "{report}");
    assert_eq!(report["attachments"], tally(0, 0, 0, 0), "{report}");
    assert_eq!(files_here(&desk), 0);
}

/// However often an archive says so, no more is unpacked than could be kept, and what cannot be is not looked at.
#[test]
fn damaged_files_are_unpacked_within_the_quota() {
    let (list, _) = with_many_pictures();
    let list = list.to_string().into_bytes();
    let large = vec![b'x'; 700 * 1024];
    let damaged = [&b"found damaged"[..], &large].concat();
    let mut whole = archive(&[
        ("conversations.json", &list),
        ("file-Pic10.png", &damaged),
        ("file-Pic11.png", &damaged),
        ("file-Pic12.png", &damaged),
        ("file-Pic13.png", PNG),
        ("file-Pic14.png", &large),
    ]);
    for at in 0..whole.len() - 13 {
        if whole[at..].starts_with(b"found damaged") {
            whole[at] ^= 1;
        }
    }
    let server = Launch::new()
        .args(&["--max-upload", "1", "--upload-quota", "1"])
        .start();
    let ann = server.account("ann").token;
    let import = || {
        let form = Multipart::new().file("file", "a", "application/zip", &whole);
        form.on(server.post("/import").bearer(&ann)).send().json()
    };
    let report = import();
    let told = reasons(&report, "attachment").join("\n");
    assert_eq!(told.matches("It is damaged").count(), 2, "{told}");
    assert_eq!(told.matches("Files before it were damaged").count(), 2, "{told}");
    assert_eq!(report["attachments"]["imported"], 1, "{report}");
    // What is left of the quota is less than they say they are.
    let filler = vec![b'y'; 400 * 1024];
    let form = Multipart::new().file("file", "a.txt", "text/plain", &filler);
    assert!(form.on(server.post("/upload/").bearer(&ann)).send().status < 300);
    let report = import();
    let told = reasons(&report, "attachment").join("\n");
    assert_eq!(told.matches("your files may take 1 MiB").count(), 4, "{told}");
}

#[test]
fn a_list_of_names_takes_no_more_memory_than_its_names() {
    let list = with_files().to_string().into_bytes();
    let names = format!("{{\"file_00aa.dat\": [0{}]}}", ",0".repeat(9 * 1024 * 1024));
    let whole = archive(&[
        ("conversations.json", &list),
        ("conversation_asset_file_names.json", names.as_bytes()),
    ]);
    let desk = Desk::new();
    let report = import(&desk, "", "a.zip", &whole);
    assert_eq!(report["conversations"], tally(1, 0, 0, 0), "{report}");
    let peak_kib = desk.server.peak_rss_kib();
    assert!(peak_kib < 100 * 1024, "{peak_kib} KiB");
}

/// Two steps of one reply, which together have more files than a message may.
#[test]
fn files_beyond_ten_of_a_reply_are_each_reported() {
    let picture = |number: usize| json!({"content_type": "image_asset_pointer", "asset_pointer": format!("sediment://file_{number:04}")});
    let node = |id: &str, parent: &str, role: &str, parts: Vec<Value>| {
        let content = json!({"content_type": "multimodal_text", "parts": parts});
        json!({"id": id, "parent": parent, "message": {"id": id, "author": {"role": role}, "content": content}})
    };
    let list = json!([{"title": "Many", "conversation_id": "m-1", "current_node": "s", "mapping": {
        "q": node("q", "", "user", vec![json!("Draw")]),
        "r": node("r", "q", "assistant", (0..8).map(picture).collect()),
        "s": node("s", "r", "assistant", (8..13).map(picture).collect()),
    }}]);
    let list = list.to_string().into_bytes();
    let names: Vec<String> = (0..13).map(|number| format!("file_{number:04}-{number}.png")).collect();
    let mut entries = vec![("conversations.json", &list[..])];
    entries.extend(names.iter().map(|name| (name.as_str(), PNG)));
    let desk = Desk::new();
    let report = import(&desk, "", "many.zip", &archive(&entries));
    assert_eq!(report["attachments"], tally(10, 0, 3, 0), "{report}");
    let reasons = reasons(&report, "attachment");
    assert!(
        reasons.len() == 3 && reasons.iter().all(|reason| reason.contains("at most 10 files")),
        "{report}"
    );
    assert_eq!(messages(&desk, "Many")[1].1.len(), 10);
}

#[test]
fn texts_and_books_go_into_the_library() {
    let desk = Desk::new();
    let report = import(&desk, "?dry_run=1", "notes.md", b"# Notes\n\nWhales are large.");
    assert_eq!(report["documents"], tally(1, 0, 0, 0), "{report}");
    for expected in [tally(1, 0, 0, 0), tally(0, 0, 1, 0)] {
        let report = import(&desk, "", "notes.md", b"# Notes\n\nWhales are large.");
        assert_eq!(
            (&report["documents"], &report["source"]),
            (&expected, &json!("texts")),
            "{report}"
        );
    }
    let books =
        json!([{"title": "Moby Dick", "short_summary": "A whale."}, {"title": "Emma", "short_summary": "A match."}]);
    let report = import(&desk, "", "books.json", books.to_string().as_bytes());
    assert_eq!(report["documents"], tally(2, 0, 0, 0), "{report}");
    // It begins as JSON does, and is none.
    let report = import(&desk, "", "links.md", b"[a link](https://example.com) and a text");
    assert_eq!(report["documents"], tally(1, 0, 0, 0), "{report}");
}

#[test]
fn what_is_broken_leaves_nothing() {
    let desk = Desk::new();
    let list = fixture("chatgpt.json");
    let log = llm_log();
    let zipped = archive(&[("conversations.json", &list)]);
    let mut torn = zipped.clone();
    torn[200] ^= 1;
    let other = {
        let folder = TempDir::new();
        let path = folder.join("other.db");
        let other = Connection::open(&path).expect("a database");
        other
            .execute_batch(
                "CREATE TABLE t (x); CREATE VIEW responses AS SELECT 1 AS id, 2 AS model, 3 AS prompt, 4 AS response",
            )
            .expect("SQL");
        drop(other);
        std::fs::read(path).expect("a file")
    };
    let cut = &list[..list.len() - 4];
    for (name, bytes) in [
        ("cut.json", cut),
        ("more.json", &[&list[..], b"x"].concat()),
        ("cut.zip", &zipped[..zipped.len() - 30]),
        ("torn.zip", &torn),
        ("empty.zip", &archive(&[])),
        ("nothing.zip", &archive(&[("user.json", b"{}")])),
        ("other.db", &other),
        ("cut.db", &log[..3000]),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\xff"),
        ("empty.json", b"[]"),
        ("unknown.json", b"[{\"a\": 1}]"),
        ("deep.json", "[".repeat(100_000).as_bytes()),
        ("deep2.json", "{\"a\":".repeat(100_000).as_bytes()),
    ] {
        let reply = send(&desk, "", name, bytes);
        assert_eq!(reply.status, 400, "{name}: {}", reply.text());
        assert!(
            reply.detail().contains("Nothing was imported"),
            "{name}: {}",
            reply.detail()
        );
    }
    assert_eq!(chats(&desk), 0);
    let temporary = desk.server.launch().data().join("tmp");
    let left: Vec<_> = std::fs::read_dir(temporary).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_item_that_is_nonsense_keeps_none_of_the_others_out() {
    let desk = Desk::new();
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let good = json!({"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": ["hello"]}}}}, "id": "x"});
    let round = json!({"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}}, "id": "y"});
    let long = json!({"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": ["x".repeat(1024 * 1024 + 1)]}}}}});
    let list = format!(
        "[{good}, {round}, {long}, {{\"mapping\": {{\"a\": {{\"message\": {{\"content\": {deep}}}}}}}}}, {{\"mapping\" 7}}, {{}}]"
    );
    let report = import(&desk, "", "a", list.as_bytes());
    assert_eq!(report["conversations"], tally(1, 0, 0, 5), "{report}");
    let told = reasons(&report, "conversation").join("\n");
    for reason in ["in a circle", "too long", "recursion limit", "as ChatGPT writes"] {
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn two_accounts_import_the_same() {
    let desk = Desk::new();
    let eve = desk.server.account("eve").token;
    let bytes = fixture("claude.json");
    import(&desk, "", "a", &bytes);
    for expected in [tally(2, 0, 0, 1), tally(0, 0, 2, 1)] {
        let form = Multipart::new().file("file", "a", "application/json", &bytes);
        let reply = form.on(desk.server.post("/import").bearer(&eve)).send();
        assert_eq!(reply.json()["conversations"], expected);
    }
    let theirs = desk.server.get("/chats").bearer(&eve).send().json();
    assert_eq!((&theirs["total"], chats(&desk)), (&json!(2), 2));
}

/// So many conversations in ChatGPT's form, each with a branch and eleven messages that are shown.
fn many(count: usize) -> Vec<u8> {
    let conversation = |number: usize| {
        let mut mapping = serde_json::Map::new();
        mapping.insert(
            "root".to_owned(),
            json!({"id": "root", "message": null, "parent": null}),
        );
        let mut parent = "root".to_owned();
        for at in 0..12 {
            let id = format!("{number}-{at}");
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            let text = format!(
                "{role} says {at} in conversation {number} 🦊: {}",
                "some words of a usual length ".repeat(at + 1)
            );
            mapping.insert(
                id.clone(),
                json!({"id": id, "parent": parent, "message": {
                    "author": {"role": role}, "create_time": 1_700_000_000 + number * 100 + at,
                    "content": {"content_type": "text", "parts": [text]},
                    "metadata": {"model_slug": "gpt-4o"}, "recipient": "all"}}),
            );
            // The second to last has two answers.
            if at != 10 {
                parent = id;
            }
        }
        json!({"title": format!("Conversation {number}"), "create_time": 1_700_000_000 + number * 100,
            "update_time": 1_700_000_050 + number * 100, "mapping": mapping, "current_node": format!("{number}-10"),
            "conversation_id": format!("c-{number}")})
    };
    let list: Vec<String> = (0..count).map(|number| conversation(number).to_string()).collect();
    format!("[{}]", list.join(",\n")).into_bytes()
}

#[test]
fn ten_thousand_conversations_come_in() {
    let count = if slow() { 10_000 } else { 500 };
    let bytes = many(count);
    let desk = Desk::new();
    let began = Instant::now();
    let report = import(&desk, "", "conversations.json", &bytes);
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(report["conversations"], tally(count, 0, 0, 0));
    assert_eq!(report["messages"], count * 12);
    let peak_kib = desk.server.peak_rss_kib();
    let rate = (count * 12) as f64 / seconds;
    println!(
        "{count} conversations: {rate:.0} messages/s, {} MiB at most",
        peak_kib / 1024
    );
    assert!(peak_kib < 100 * 1024, "{peak_kib} KiB");
    let again = import(&desk, "", "conversations.json", &bytes);
    assert_eq!(again["conversations"], tally(0, 0, count, 0));
}
