//! What files may take, one by one and together, and making room for more.

use serde_json::json;

use super::{MIB, Multipart, attach, head, kept, noise};
use crate::rig::{Account, Launch, Reply, Server};

#[test]
fn files_are_bounded_one_by_one_and_together() {
    let server = Launch::new()
        .args(&["--max-upload", "1", "--upload-quota", "2"])
        .start();
    let ann = server.account("ann");
    let send = |name: &str, sizes: &[usize]| {
        let mut form = Multipart::new().field("text", "see this");
        for (index, size) in sizes.iter().enumerate() {
            form = form.file(name, "a.bin", "x/y", &noise(index as u64 + *size as u64, *size));
        }
        let target = if name == "file" { "/upload/" } else { "/chat/" };
        form.on(server.post(target).bearer(&ann.token)).send()
    };
    let refused = |reply: &Reply, words: &str| {
        assert_eq!(reply.status, 413, "{}", reply.text());
        assert!(reply.detail().contains(words), "{}", reply.detail());
    };
    refused(&send("file", &[MIB + 1]), "larger than 1 MiB");
    refused(&send("files", &[10, MIB + 1]), "larger than 1 MiB");
    refused(&send("files", &[1; 11]), "At most 10 files");
    assert_eq!(kept(&server), (0, 0, 0));
    assert_eq!(send("file", &[MIB]).status, 200);
    refused(&send("files", &[MIB / 2, MIB]), "2 MiB together");
    assert_eq!(kept(&server).0, 1, "what was kept of a message that was not sent goes");
    assert_eq!(send("files", &[MIB / 2]).status, 200);
    // A body that cannot be of use is not even received: too large for the route, or for what room is left.
    for (target, length, words) in [
        ("/upload/", 5 * MIB, "larger than 2 MiB"),
        ("/chat/", 4 * MIB, "2 MiB together"),
    ] {
        let mut connection = server.connect();
        connection.send(head(&server, &ann, target, length).as_bytes());
        refused(&connection.reply("POST"), words);
    }
    // Documents are read and not kept: they have a limit of their own, whatever room is left.
    let server = Server::start();
    let ann = server.account("ann");
    let mut connection = server.connect();
    connection.send(head(&server, &ann, "/documents", 36 * MIB).as_bytes());
    refused(&connection.reply("POST"), "larger than 33 MiB");
}

#[test]
fn deleting_a_file_makes_room_at_once() {
    let server = Launch::new()
        .args(&["--max-upload", "1", "--upload-quota", "1"])
        .start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let id = attach(&server, &ann, "a.bin", "x/y", &noise(1, MIB));
    let add = || {
        let form = Multipart::new().file("file", "b.bin", "x/y", b"more");
        form.on(server.post("/upload/").bearer(&ann.token)).send()
    };
    let full = add();
    assert_eq!(full.status, 413, "{}", full.text());
    assert!(full.detail().contains("Delete some of them"), "{}", full.detail());
    let target = format!("/attachments/{id}");
    let delete = |account: &Account, target: &str| server.delete(target).bearer(&account.token).send();
    assert_eq!(delete(&bob, &target).status, 404);
    assert_eq!(delete(&ann, &target).status, 204);
    for reply in [delete(&ann, &target), server.get(&target).bearer(&ann.token).send()] {
        assert_eq!((reply.status, reply.detail().as_str()), (404, "Attachment not found"));
    }
    let chat = server.get("/conversations/1/messages").bearer(&ann.token).send().json();
    assert_eq!(
        (&chat["messages"][0]["text"], &chat["messages"][0]["attachments"]),
        (&json!("see this"), &json!([]))
    );
    // An upload has the id that stands in its address.
    let url = add().json()["url"].as_str().expect("an address").to_owned();
    let uuid = url.trim_start_matches("/media/").trim_end_matches(".bin");
    assert_eq!(delete(&ann, &format!("/attachments/{uuid}")).status, 204);
    assert_eq!(server.get(&url).bearer(&ann.token).send().status, 404);
}
