//! The texts of `tests/data/hostile`, wherever words are shown that others have written: one's own messages and a model's,
//! its reasoning, the tools it calls, its errors, its names; the names of conversations, tags, files, documents, keys,
//! people and devices; and what administrators have done. Nothing runs, and nobody is called: the browser says so by its
//! protocol, and so does a machine next door that would have heard it.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::hostile::assert_calm;
use crate::model::Model;
use crate::rig::{EMAIL, PASSWORD, PATIENCE, Page, start_with};

/// Another origin, which listens: whatever comes is somebody who was called home. It lives as long as the process.
struct Canary {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    fn start() -> Canary {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                // A connection is a call already, whatever is said on it.
                socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                let mut words = [0; 1024];
                let count = socket.read(&mut words).unwrap_or(0);
                hears
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&words[..count]).into_owned());
            }
        });
        Canary { address, heard }
    }

    /// Nobody has called; and somebody who does is heard.
    fn assert_silent(&self) {
        // Who calls now comes behind all who called before.
        let mut socket = TcpStream::connect(self.address).expect("a connection");
        socket.write_all(b"a control").expect("sent");
        let deadline = Instant::now() + PATIENCE;
        while !self.heard.lock().unwrap().iter().any(|words| words == "a control") {
            assert!(Instant::now() < deadline, "the canary is deaf");
            thread::yield_now();
        }
        assert_eq!(*self.heard.lock().unwrap(), ["a control"], "somebody was called");
    }
}

/// The texts, each tried against this machine.
fn corpus(evil: SocketAddr) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hostile");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let mut names = BTreeSet::new();
    let mut texts = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        for case in text.strip_prefix("=== ").expect("a name first").split("\n=== ") {
            let (name, text) = case.split_once('\n').expect("a text below its name");
            assert!(names.insert(name.to_owned()), "{name} stands twice");
            texts.push(
                text.trim_end_matches('\n')
                    .replace("RUN", "(window.ran=1)")
                    .replace("EVIL", &evil.to_string()),
            );
        }
    }
    texts
}

#[test]
fn nobody_is_called_from_any_place() {
    let canary = Canary::start();
    let texts = corpus(canary.address);
    assert!(texts.len() >= 140, "only {} texts", texts.len());
    let names: Vec<String> = ["mirror".to_owned()]
        .into_iter()
        .chain(texts.iter().map(|text| text.replace(char::is_control, " ")))
        .collect();
    let model = Model::with_names(&names);
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    // While they come, as one's own and as a model's, and once more as they are stored.
    for part in texts.chunks(24) {
        page.send(&part.join("\n\n"));
        page.wait_for_end();
        assert_calm(&page);
    }
    page.send(&format!("THINK:{}", texts.join("\n\n")));
    page.wait_for_end();
    page.reload();
    page.wait(
        "the messages",
        &format!(
            "document.querySelectorAll('.message').length === {}",
            2 * (texts.len().div_ceil(24) + 1)
        ),
    );
    open_details(&page);
    assert_calm(&page);
    for text in texts.iter().step_by(6) {
        sign_in_from(&server.origin, text);
    }
    let made = say_elsewhere(&page, &texts);
    println!("{} texts; taken as names: {made}", texts.len());
    show_all(&page, &server.origin, &made["chats"]);
    for text in ["onerror", "javascript", "window"] {
        page.visit(&server.origin, "");
        page.press_button("document.querySelector('button.way')");
        page.fill(".palette .search", text);
        page.wait(
            "what was found",
            "document.querySelectorAll('.palette mark').length > 0",
        );
        assert_calm(&page);
    }
    page.assert_quiet(&server.origin, "/html.js");
    canary.assert_silent();
}

/// A session whose device calls itself so.
fn sign_in_from(origin: &str, agent: &str) {
    let host = origin.trim_start_matches("http://");
    let agent: String = agent
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(180)
        .collect();
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let mut socket = TcpStream::connect(host).expect("a connection");
    write!(
        socket,
        "POST /auth/login HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut reply = String::new();
    socket.read_to_string(&mut reply).expect("a reply");
    assert!(reply.starts_with("HTTP/1.1 200"), "{agent}: {reply}");
}

/// Everything that has a name, and everything that a model may say beside its words. How many of each were taken, and the
/// conversations in which they stand.
fn say_elsewhere(page: &Page, texts: &[String]) -> Value {
    let script = r"(async () => {
        const ask = (method, path, body, accept = '*/*') =>
            fetch(path, { method, headers: { Accept: accept }, body: body instanceof FormData ? body : JSON.stringify(body) });
        const count = { titles: 0, tags: 0, documents: 0, files: 0, keys: 0, people: 0, failures: 0, thoughts: 0, calls: 0 };
        const note = (name, reply) => (count[name] += reply.ok, reply);
        const start = async (title) => (await ask('POST', '/chats', { title })).json();
        const chats = { FAIL: await start('fail'), THINK: await start('think'), CALL: await start('call') };
        const somebody = await (await ask('POST', '/admin/users', { email: 'grace@example.com', password: 'compilers' })).json();
        const named = async (text, number) => {
            const line = text.replace(/\s/g, ' ');
            const form = new FormData();
            form.append('file', new File(['x'], line));
            const chat = await note('titles', await ask('POST', '/chats', { title: text.slice(0, 200) })).json();
            const rest = [
                ask('PATCH', `/chats/${chat.id}`, { tags: [line.slice(0, 50).trim()] }).then((reply) => note('tags', reply)),
                ask('POST', '/documents', { title: line.slice(0, 200), content: text }).then((reply) => note('documents', reply)),
                ask('POST', '/upload/', form).then((reply) => note('files', reply)),
                ask('PATCH', `/admin/users/${somebody.id}`, { display_name: line.slice(0, 100) }).then((reply) => note('people', reply)),
            ];
            if (number < 90) rest.push(ask('POST', '/api-keys', { name: line.slice(0, 60) }).then((reply) => note('keys', reply)));
            await Promise.all(rest);
        };
        // So many at a time, and so many in one message: an error is cut short where it is long.
        for (let at = 0; at < TEXTS.length; at += 12)
            await Promise.all(TEXTS.slice(at, at + 12).map((text, i) => named(text, at + i)));
        for (const [kind, name, several] of [['FAIL', 'failures', 4], ['THINK', 'thoughts', 12], ['CALL', 'calls', 12]]) {
            for (let at = 0; at < TEXTS.length; at += several) {
                const message = `${kind}:${TEXTS.slice(at, at + several).join(' ')}`;
                const reply = await ask('POST', '/chat', { message, chat_id: chats[kind].id, model: 'mirror' }, 'text/event-stream');
                await note(name, reply).text();
            }
        }
        return { ...count, chats: Object.values(chats).map((chat) => chat.id) };
    })().then((made) => (window.made = made), (error) => (window.made = { error: String(error) }))"
        .replace("TEXTS", &serde_json::to_string(texts).unwrap());
    page.eval(&format!("({script}, 1)"));
    let deadline = Instant::now() + PATIENCE * 10;
    while page.eval("window.made === undefined") != json!(false) {
        assert!(Instant::now() < deadline, "the names were not made");
        thread::yield_now();
    }
    let made = page.eval("window.made");
    assert_eq!(made["error"], Value::Null, "{made}");
    // What was not taken as a name, or failed as it was told to, is nothing to complain of; all else is.
    let mut complaints = page.complaints.lock().unwrap();
    complaints
        .retain(|complaint| !complaint.starts_with("Failed to load resource: the server responded with a status of 4"));
    drop(complaints);
    for name in ["titles", "tags", "documents", "files", "keys", "people"] {
        assert!(made[name].as_u64() >= Some(80), "{name}: {made}");
    }
    for name in ["failures", "thoughts", "calls"] {
        assert!(made[name].as_u64() >= Some(12), "{name}: {made}");
    }
    made
}

fn open_details(page: &Page) {
    page.eval("(document.querySelectorAll('details').forEach((node) => (node.open = true)), 1)");
}

/// Each page on which the words of others stand.
fn show_all(page: &Page, origin: &str, chats: &Value) {
    for (address, shown) in [
        (
            "settings/sessions",
            "document.querySelectorAll('.page .rows li').length >= 20",
        ),
        (
            "settings/keys",
            "document.querySelectorAll('.page .rows li').length >= 80",
        ),
        ("settings/account", "document.querySelector('.page form') !== null"),
        ("library", "document.querySelectorAll('.page .rows li').length > 20"),
        ("usage", "document.querySelector('.page h1, .page h2') !== null"),
        ("admin", "document.querySelectorAll('.page .rows li').length === 2"),
        ("admin/log", "document.querySelectorAll('.page .rows li').length > 20"),
        (
            "admin/providers",
            "document.querySelectorAll('.page .rows li').length === 1",
        ),
        ("admin/models", "document.querySelector('.page .button.wide') !== null"),
    ] {
        page.visit(origin, address);
        page.wait(address, shown);
        open_details(page);
        assert_calm(page);
    }
    page.visit(origin, "settings/replies");
    page.press_button("document.querySelector('.page .button.wide')");
    page.wait(
        "the models' names",
        "document.querySelectorAll('dialog [role=option]').length > 50",
    );
    assert_calm(page);
    for (chat, mark) in chats
        .as_array()
        .expect("a list")
        .iter()
        // A reply that failed before its first word is not kept: what stands there is what was asked.
        .zip([".message", ".reasoning", ".tool"])
    {
        page.visit(origin, &format!("c/{}", chat.as_str().expect("an id")));
        page.wait(mark, &format!("document.querySelectorAll({mark:?}).length >= 10"));
        open_details(page);
        assert_calm(page);
    }
    page.visit(origin, "");
    page.wait("titles", "document.querySelectorAll('.row-title').length > 10");
    assert_calm(page);
}
