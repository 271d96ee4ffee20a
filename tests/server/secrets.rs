//! What is said to the server in confidence stands in no log, at any level, and what is secret in no answer either: every
//! field of every body and query, every password, key, token and code. And what is kept is for its owner's eyes alone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fireside::api;
use fireside::http::Auth;
use serde_json::{Map, Value, json};

use crate::access::estate::{Estate, Request, requests, resolve};
use crate::rig::{Account, Call, Launch, Multipart, PATIENCE, Server, Socket, Upstream, until};

/// Begins everything that is said in confidence.
const CANARY: &str = "canary9f3e";

/// A field of a body is a secret if the document says so.
fn secrets(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(document, schema);
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<String> = fields
        .filter(|(_, schema)| schema["format"] == "password" || schema["anyOf"][0]["format"] == "password")
        .map(|(name, _)| name.clone())
        .collect();
    for part in ["allOf", "anyOf"] {
        let parts = schema[part].as_array().into_iter().flatten();
        found.extend(parts.flat_map(|part| secrets(document, part)));
    }
    found
}

fn texts(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(document, schema);
    let mut found: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    for part in ["allOf", "anyOf"] {
        let parts = schema[part].as_array().into_iter().flatten();
        found.extend(parts.flat_map(|part| texts(document, part)));
    }
    found
}

/// A request with a canary of its own in each field, and in forms that cannot be right.
fn bodies(names: &[String], whole: &Map<String, Value>) -> Vec<Value> {
    let mut all = whole.clone();
    let mut found = Vec::new();
    for name in names {
        let canary = format!("{CANARY}-{name}");
        all.insert(name.clone(), json!(canary));
        for wrong in [
            json!(canary),
            json!([canary]),
            json!({"a": canary}),
            json!(canary.repeat(150)),
        ] {
            let mut body = whole.clone();
            body.insert(name.clone(), wrong);
            found.push(Value::Object(body));
        }
    }
    found.push(Value::Object(all));
    found.push(json!([CANARY]));
    found.push(json!(CANARY));
    found
}

/// Sends it, right and broken; no secret is in what comes back.
fn check_answer(call: &Call, body: &Value, secrets: &[String], what: &str) {
    let text = body.to_string();
    for text in [text.clone(), text[..text.len() - 1].to_owned()] {
        let reply = call
            .clone()
            .header("Content-Type", "application/json")
            .body(text.clone())
            .send();
        for name in secrets {
            let canary = format!("{CANARY}-{name}");
            assert!(!reply.text().contains(&canary), "{what} {text}: {}", reply.text());
        }
        assert!(
            reply.status < 500 || reply.status == 503,
            "{what} {text}: {}",
            reply.text()
        );
    }
}

#[test]
fn nothing_that_is_said_is_in_the_log() {
    let server = Launch::new()
        .args(&["--log", "trace"])
        .env(
            "JWT_SECRET_KEY",
            &format!("{CANARY}-of-the-tokens-0123456789-0123456789"),
        )
        .env(
            "BETTER_AUTH_SECRET",
            &format!("{CANARY}-of-the-others-0123456789-0123456789"),
        )
        .start();
    let document = server.get("/openapi.json").send().json();
    let (admin, subject) = (server.account("admin"), server.account("subject"));
    let of_subject = Estate::new(&server, &subject);
    // Before it is given another password.
    say_the_rest(&server, &subject);
    let (mut count, mut with_secrets) = (0, 0);
    let (admins, others): (Vec<_>, Vec<_>) = api::routes().partition(|route| route.auth == Auth::Admin);
    for (number, route) in others
        .iter()
        .chain(&admins)
        .enumerate()
        .filter(|(_, route)| route.path != "/admin/pace")
    {
        let is_admins = route.auth == Auth::Admin;
        let owner = if is_admins || !matches!(route.method, "POST" | "PUT" | "PATCH") {
            subject.clone()
        } else {
            server.account(&format!("owner-{number}"))
        };
        let of_owner = (owner.id != subject.id).then(|| Estate::new(&server, &owner));
        let estate = of_owner.as_ref().unwrap_or(&of_subject);
        let path = route.path.replace("...}", "}");
        let operation = &document["paths"][&path][route.method.to_lowercase()];
        for request in requests(&document, route, estate) {
            let token = server.login(if is_admins { &admin } else { &owner });
            let what = format!("{} {}", route.method, request.target);
            ask_in_the_query(&server, operation, &request, &token);
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some((kind, fields)) = &request.body else { continue };
            if kind != "application/json" {
                continue;
            }
            let (secrets, names) = (secrets(&document, schema), texts(&document, schema));
            with_secrets += usize::from(!secrets.is_empty());
            let whole: Map<String, Value> = fields.iter().cloned().collect();
            for body in bodies(&names, &whole) {
                check_answer(
                    &server.call(route.method, &request.target).bearer(&token),
                    &body,
                    &secrets,
                    &what,
                );
                count += 1;
            }
        }
    }
    println!("{count} bodies, {with_secrets} kinds of them with secrets");
    assert!(
        count > 300 && with_secrets >= 8,
        "{count} bodies, {with_secrets} with secrets"
    );
    let exit = server.stop();
    // The log is there, and has been looked for something that is in it.
    assert!(exit.stderr.contains("/auth/login"), "{}", exit.stderr);
    for (name, output) in [("stdout", &exit.stdout), ("stderr", &exit.stderr)] {
        let hit = output.lines().find(|line| line.to_lowercase().contains(CANARY));
        assert_eq!(hit, None, "{name}");
    }
}

/// A canary in each parameter of the query, and in one that nobody asked for.
fn ask_in_the_query(server: &Server, operation: &Value, request: &Request, token: &str) {
    let separator = if request.target.contains('?') { '&' } else { '?' };
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let names = parameters
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str());
    for name in names.chain(["token", "key"]) {
        let target = format!("{}{separator}{name}={CANARY}-{name}", request.target);
        let reply = server.call("GET", &target).bearer(token).send();
        assert!(reply.status < 500, "{target}: {}", reply.text());
    }
}

/// What is said in other places than bodies of JSON.
fn say_the_rest(server: &Server, subject: &Account) {
    let canary = |of: &str| format!("{CANARY}-{of}");
    let token = server.login(subject);
    let form = [("username", subject.email.clone()), ("password", canary("form"))];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    for path in ["/auth/token", "/token"] {
        server.post(path).form(&form).send();
        server.post(path).multipart(&form).send();
    }
    for call in [
        server.get("/users/me").bearer(&canary("bearer")),
        server.get("/users/me").bearer(&format!("fs_{}", canary("key"))),
        server
            .get("/users/me")
            .header("Authorization", &format!("Basic {}", canary("basic"))),
        server
            .get("/users/me")
            .header("Cookie", &format!("fireside_00000000={}", canary("cookie"))),
        server
            .get("/users/me")
            .bearer(&token)
            .header("X-Api-Key", &canary("header")),
        server
            .get("/users/me")
            .header("Referer", &format!("http://127.0.0.1/?{}", canary("referer"))),
        server.get("/users/me").header("User-Agent", &canary("agent")),
        Socket::ask(server, &format!("/ws?token={}", canary("socket"))),
        Socket::ask(server, "/ws").header("Sec-WebSocket-Protocol", &format!("bearer, {}", canary("protocol"))),
        server.get(&format!(
            "http://{}@127.0.0.1/health?x={}",
            canary("user"),
            canary("absolute")
        )),
        server.get(&format!("/health#{}", canary("fragment"))),
        server
            .get(&format!("/health?{}%zz", canary("broken")))
            .header("Content-Length", "x"),
        server
            .get(&format!("/health?{}", canary("elsewhere")))
            .host("evil.example"),
        Multipart::new()
            .file("file", &canary("file-name"), "text/plain", canary("file").as_bytes())
            .on(server.post("/upload/").bearer(&token)),
        Multipart::new()
            .file(
                "file",
                &canary("document-name"),
                "text/plain",
                canary("document").as_bytes(),
            )
            .on(server.post("/documents").bearer(&token)),
        Multipart::new()
            .file("file", "x.json", "application/json", canary("import").as_bytes())
            .on(server.post("/import").bearer(&token)),
    ] {
        let reply = call.send();
        assert!(reply.status < 500, "{}", reply.text());
    }
}

/// A provider's key, given in each way that there is, while the provider fails in each way.
#[test]
fn a_providers_key_is_in_no_log_and_no_answer() {
    let upstream = Upstream::start();
    for level in ["trace", "debug", "info", "warn", "error"] {
        let server = Launch::new()
            .args(&["--log", level])
            .env("OPENAI_BASE_URL", &upstream.url())
            .env("OPENAI_API_KEY", Upstream::KEY)
            .start();
        let admin = server.account("admin");
        let call = |method: &str, path: &str| server.call(method, path).bearer(&admin.token);
        let body = json!({"name": "box", "base_url": upstream.url(), "api_key": Upstream::KEY});
        let mut replies = vec![call("POST", "/admin/providers").json(&body).send()];
        for model in [
            "fake",
            "fake-e401",
            "fake-e500",
            "fake-e429",
            "fake-html",
            "fake-badjson",
            "fake-cut",
            "fake-redirect",
        ] {
            for provider in ["openai", "box"] {
                let model = format!("{provider}/{model}");
                replies.push(
                    call("POST", "/chat")
                        .json(&json!({"message": "hi", "model": model}))
                        .send(),
                );
                let messages = json!([{"role": "user", "content": "hi"}]);
                replies.push(
                    call("POST", "/v1/chat/completions")
                        .json(&json!({"model": model, "messages": messages}))
                        .send(),
                );
            }
        }
        for (method, path) in [
            ("GET", "/admin/providers"),
            ("POST", "/admin/providers/box/test"),
            ("GET", "/admin/models"),
            ("GET", "/admin/audit"),
            ("GET", "/models"),
            ("GET", "/health?verbose"),
            ("GET", "/metrics"),
            ("GET", "/export"),
            ("GET", "/usage"),
        ] {
            replies.push(call(method, path).send());
        }
        for reply in &replies {
            assert!(!reply.text().contains(Upstream::KEY), "{}", reply.text());
            assert!(
                reply.headers.iter().all(|(_, value)| !value.contains(Upstream::KEY)),
                "{:?}",
                reply.headers
            );
        }
        assert!(upstream.completions().iter().any(|request| {
            request
                .header("Authorization")
                .is_some_and(|it| it.contains(Upstream::KEY))
        }));
        let exit = server.stop();
        assert!(
            !exit.stderr.contains(Upstream::KEY) && !exit.stdout.contains(Upstream::KEY),
            "{level}: {}",
            exit.stderr
        );
    }
}

/// Every file and folder below one.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn check_private(folder: &Path) -> Vec<PathBuf> {
    let found = walk(folder);
    for path in &found {
        // A temporary file may go at any time.
        let Ok(metadata) = std::fs::symlink_metadata(path) else {
            continue;
        };
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o7777, wanted, "{}", path.display());
    }
    found
}

/// Whoever starts it may let others read everything they make; not this.
#[test]
fn what_is_kept_is_private_whatever_the_umask() {
    let mut server = Launch::new()
        .args(&["--backup-every", "1m"])
        .prelude("umask 000")
        .start();
    let ann = server.account("ann");
    let data = server.launch().data();
    // A file that is being received, and one that was.
    let form = Multipart::new().file("file", "a.bin", "x/y", &vec![7; 300_000]);
    let call = form.on(server.post("/upload/").bearer(&ann.token)).bytes();
    let mut half = server.connect();
    half.send(&call[..200_000]);
    until(PATIENCE, "a temporary file", || {
        (std::fs::read_dir(data.join("tmp")).expect("a folder").count() > 0).then_some(())
    });
    let mut whole = server.connect();
    whole.send(&call);
    assert_eq!(whole.reply("POST").status, 200);
    check_private(&data);
    let backup = until(PATIENCE, "a backup", || {
        let mut found = walk(&data).into_iter();
        found.find(|path| path.is_file() && path.to_string_lossy().contains("backup"))
    });
    let seen = check_private(&data);
    for name in ["fireside.db", "fireside.db-wal"] {
        assert!(seen.contains(&data.join(name)), "no {name} among {seen:?}");
    }
    assert!(seen.len() >= 8, "{seen:?}");
    println!("{} files and folders, {} among them", seen.len(), backup.display());
    server.restart();
    check_private(&data);
}
