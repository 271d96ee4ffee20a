//! A full disk and a locked database: a clear refusal, nothing half stored, reads go on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check_integrity;
use crate::rig::{Dice, Launch, Multipart, PATIENCE, Server, Upstream, check_shape, slow, until};

/// A small file system in memory over a folder; unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    /// `None` with a printed reason where mounting is not allowed.
    fn tmpfs(folder: &Path, size: &str) -> Option<Mount> {
        std::fs::create_dir_all(folder).expect("a folder");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size, "tmpfs"])
            .arg(folder)
            .output();
        if done.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Mount(folder.to_path_buf()));
        }
        println!("skipped: a tmpfs cannot be mounted here: {done:?}");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}

fn fill(path: &Path, leave: u64) {
    let mut size = 64 << 20;
    // A file as large as there is room for, found from above.
    while size > leave && std::fs::write(path, vec![7; usize::try_from(size).expect("fits")]).is_err() {
        size -= 256 << 10;
    }
    std::fs::write(
        path,
        vec![7; usize::try_from(size.saturating_sub(leave)).expect("fits")],
    )
    .expect("room for less");
}

#[test]
fn a_full_disk_is_a_507_and_reads_go_on() {
    let launch = Launch::new();
    let Some(mount) = Mount::tmpfs(&launch.data(), "size=24m,mode=0700") else {
        return;
    };
    let server = launch.start();
    let token = server.account("ann").token;
    let chat = server.chat(&token, "full")["id"].as_str().expect("an id").to_string();
    let send = |index: usize| {
        server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": format!("{index} {}", "x".repeat(60_000)), "chat_id": chat}))
            .send()
    };
    assert_eq!(send(0).status, 200);
    let ballast = launch.data().join("ballast");
    fill(&ballast, 1 << 20);
    let mut stored = 1;
    let refusal = loop {
        let reply = send(stored);
        if reply.status != 200 {
            break reply;
        }
        stored += 1;
        assert!(stored < 200, "the disk does not fill");
    };
    check_shape(&refusal, 507, &json!({"detail": "<filled>"}));
    assert!(refusal.header("Retry-After").is_some(), "{:?}", refusal.headers);
    for _ in 0..3 {
        assert_eq!(send(999).status, 507);
        let rows = server.messages(&token, &chat);
        assert_eq!(
            rows.iter().filter(|(role, _)| role == "user").count(),
            stored,
            "half stored"
        );
        assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
        assert_eq!(server.get("/users/me").bearer(&token).send().status, 200);
    }
    std::fs::remove_file(&ballast).expect("the ballast");
    until(Duration::from_secs(10), "writes after space was freed", || {
        (send(stored).status == 200).then_some(())
    });
    let rows = server.messages(&token, &chat);
    for (index, (_, content)) in rows.iter().filter(|(role, _)| role == "user").enumerate() {
        assert!(
            content.starts_with(&format!("{index} ")),
            "message {index} is {}",
            &content[..10]
        );
    }
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    check_integrity(&launch.database());
    drop(mount);
}

/// Uploads fill the disk: the one that does not fit is refused and leaves nothing behind, the others stay as they are.
#[test]
fn a_disk_full_of_uploads_keeps_those_it_took_and_no_parts_of_others() {
    let launch = Launch::new();
    let Some(mount) = Mount::tmpfs(&launch.data(), "size=16m,mode=0700") else {
        return;
    };
    let server = launch.start();
    let token = server.account("ann").token;
    let content = |index: usize| {
        // Dice with neighbouring seeds may be the same.
        let mut dice = Dice::new(2 * index as u64);
        let bytes = (0..100_000).flat_map(|_| dice.next().to_le_bytes());
        bytes.collect::<Vec<u8>>()
    };
    let upload = |index: usize| {
        let form = Multipart::new().file("file", "a.bin", "application/octet-stream", &content(index));
        form.on(server.post("/upload/").bearer(&token)).send()
    };
    let ballast = launch.data().join("ballast");
    std::fs::write(&ballast, vec![7; 4 << 20]).expect("room for it");
    let mut urls: Vec<String> = Vec::new();
    let refusal = loop {
        let reply = upload(urls.len());
        if reply.status != 200 {
            break reply;
        }
        urls.push(reply.json()["url"].as_str().expect("an address").to_string());
        assert!(urls.len() < 40, "the disk does not fill");
    };
    assert!(urls.len() > 2, "only {} fitted", urls.len());
    check_shape(&refusal, 507, &json!({"detail": "<filled>"}));
    let check = |urls: &[String]| {
        for (index, url) in urls.iter().enumerate() {
            let reply = server.get(url).bearer(&token).send();
            assert!(
                reply.status == 200 && reply.body == content(index),
                "file {index}: {}",
                reply.status
            );
        }
        assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
    };
    check(&urls);
    std::fs::remove_file(&ballast).expect("the ballast");
    let reply = until(Duration::from_secs(10), "uploads after space was freed", || {
        Some(upload(urls.len())).filter(|reply| reply.status == 200)
    });
    urls.push(reply.json()["url"].as_str().expect("an address").to_string());
    check(&urls);
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let server = launch.start();
    // Four parts make one of these files.
    let wanted = (urls.len(), urls.len(), 4 * urls.len());
    until(PATIENCE, "what was refused is gone", || {
        let database = rusqlite::Connection::open(launch.database()).expect("the database");
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            let count: u32 = database.query_row(&sql, (), |row| row.get(0)).expect("a number");
            count as usize
        };
        let kept = (count("attachments"), count("blobs"), count("blob_parts"));
        println!("kept {kept:?}, wanted {wanted:?}");
        (kept == wanted).then_some(())
    });
    let spooled = std::fs::read_dir(launch.data().join("tmp")).expect("a folder").count();
    assert_eq!(spooled, 0);
    server.stop();
    check_integrity(&launch.database());
    drop(mount);
}

/// A limit on the size of files is a disk that is full, and no signal that ends the process.
#[test]
fn a_file_that_may_not_grow_is_a_507_and_no_end() {
    // In the shell's blocks of 512 bytes.
    let launch = Launch::new().prelude("ulimit -f 4096");
    let server = launch.start();
    let token = server.account("ann").token;
    let send = || {
        let body = json!({"message": "x".repeat(60_000)});
        server.post("/chat").bearer(&token).json(&body).send()
    };
    let mut sent = (0..200).map(|_| send());
    let refusal = sent.find(|reply| reply.status != 200).expect("a refusal");
    check_shape(&refusal, 507, &json!({"detail": "<filled>"}));
    assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    check_integrity(&launch.database());
    let (data, copy) = (launch.data(), launch.home().join("copy.db"));
    let words = [
        "backup",
        &copy.display().to_string(),
        "--data",
        &data.display().to_string(),
    ];
    let exit = Launch::command(&words).prelude("ulimit -f 64").run();
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains("There is no room on the disk"), "{exit:?}");
    assert!(!copy.exists());
}

/// Another program that holds the database's write lock.
fn lock(server: &Server) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(server.launch().database()).expect("the database");
    connection.busy_timeout(PATIENCE).expect("a timeout");
    connection.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    connection
}

#[test]
fn a_short_lock_is_waited_for() {
    let server = Server::start();
    let token = server.account("ann").token;
    let holder = lock(&server);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let post = |title: usize| {
            server
                .post("/chats")
                .bearer(&token)
                .json(&json!({"title": title.to_string()}))
                .send()
                .status
        };
        let writers: Vec<_> = (0..6).map(|title| scope.spawn(move || post(title))).collect();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(2) {
            assert_eq!(
                server.get("/chats").bearer(&token).send().json()["total"],
                json!(0),
                "written behind a lock"
            );
        }
        holder.execute_batch("COMMIT").expect("the release");
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect()
    });
    assert_eq!(statuses, [201; 6]);
    assert_eq!(server.get("/chats").bearer(&token).send().json()["total"], json!(6));
}

#[test]
fn a_long_lock_is_a_503_and_reads_go_on() {
    let server = Server::start();
    let token = server.account("ann").token;
    let holder = lock(&server);
    let mut connection = server.connect();
    connection.send(
        &server
            .post("/chats")
            .bearer(&token)
            .json(&json!({"title": "too late"}))
            .bytes(),
    );
    let started = Instant::now();
    let reply = until(Duration::from_secs(30), "the refusal", || {
        assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
        server.get("/").header("Accept", "text/html").send();
        connection.reply_within("POST", Duration::from_millis(100)).ok()
    });
    check_shape(&reply, 503, &json!({"detail": "<filled>"}));
    assert!(
        reply.header("Retry-After").is_some(),
        "{:?} after {:?}",
        reply.headers,
        started.elapsed()
    );
    // The long form holds it for a minute.
    while slow() && started.elapsed() < Duration::from_secs(60) {
        let body = json!({"title": "too late"});
        let reply = server.post("/chats").bearer(&token).json(&body).send();
        assert!(
            reply.status == 503 && reply.header("Retry-After").is_some(),
            "{} after {:?}",
            reply.status,
            started.elapsed()
        );
        assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
    }
    holder.execute_batch("ROLLBACK").expect("the release");
    until(PATIENCE, "writes after the release", || {
        let reply = server
            .post("/chats")
            .bearer(&token)
            .json(&json!({"title": "in time"}))
            .send();
        (reply.status == 201).then_some(())
    });
    let titles: Vec<Value> = server.get("/chats").bearer(&token).send().json()["chats"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|chat| chat["title"].clone())
        .collect();
    assert!(!titles.contains(&json!("too late")), "refused and stored: {titles:?}");
}

/// Nobody throws a reply away that is written and paid for.
#[test]
fn a_reply_that_meets_a_long_lock_is_stored_after_it() {
    let upstream = Upstream::start();
    let server = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .args(&["--default-model", "fake"])
        .start();
    let token = server.account("ann").token;
    let chat = server.chat(&token, "locked")["id"].as_str().expect("an id").to_string();
    let mut connection = server.connect();
    let body = json!({"message": "hello?", "chat_id": chat, "model": "fake-hold"});
    connection.send(&server.post("/chat").bearer(&token).json(&body).bytes());
    upstream.wait_for(1);
    let holder = lock(&server);
    upstream.release();
    // SQLite waits for five seconds and then gives up.
    let refusal = until(PATIENCE, "the store gives up once", || {
        let health = server.get("/health").send();
        (health.status == 503).then_some(health)
    });
    assert!(refusal.text().contains("locked"), "{}", refusal.text());
    holder.execute_batch("ROLLBACK").expect("the release");
    let reply = connection.reply("POST");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = [("user", "hello?"), ("assistant", "fake reply to: hello?")];
    let expected = expected.map(|(role, text)| (role.to_string(), text.to_string()));
    assert_eq!(server.messages(&token, &chat), expected);
}
