//! Who may register, how often one may guess, and what is left on the disk: sign-up policy, the setup code, throttling,
//! file modes, canaries.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check_401;
use crate::rig::{Account, Launch, PATIENCE, Reply, Server, check_shape, slow, until};

fn register(server: &Server, email: &str, code: Option<&str>) -> Reply {
    let mut body = json!({"email": email, "password": "x"});
    if let Some(code) = code {
        body["setup_code"] = json!(code);
    }
    server.post("/auth/register").json(&body).send()
}

fn closed() -> Value {
    json!({"detail": "Registration is closed"})
}

fn setup_code(server: &Server) -> String {
    let text = until(PATIENCE, "the setup code", || {
        Some(server.stdout()).filter(|text| text.contains("/ui/#setup="))
    });
    let (_, rest) = text.split_once("/ui/#setup=").expect("the code");
    rest.split(|c: char| c.is_whitespace())
        .next()
        .unwrap_or_default()
        .to_string()
}

fn public() -> Launch {
    Launch::new().args(&["--public-url", "https://chat.example.org"])
}

#[test]
fn off_loopback_the_first_account_needs_the_setup_code() {
    let mut server = public().start();
    let code = setup_code(&server);
    assert!(code.len() >= 22, "less than 128 bits: {code}");
    for wrong in [None, Some(""), Some("wrong"), Some(&code[1..]), Some(&code.repeat(2))] {
        check_shape(&register(&server, "eve@example.com", wrong), 403, &closed());
    }
    let racers: Vec<u16> = std::thread::scope(|scope| {
        let race = |index: usize| register(&server, &format!("ann{index}@example.com"), Some(&code)).status;
        let racers: Vec<_> = (0..8).map(|index| scope.spawn(move || race(index))).collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("it answers"))
            .collect()
    });
    assert_eq!(racers.iter().filter(|status| **status == 201).count(), 1, "{racers:?}");
    // Those who come too late count as guessers of the code, and are told to wait after ten.
    let is_refusal = |status: &u16| [403, 429].contains(status);
    assert!(
        racers.iter().all(|status| *status == 201 || is_refusal(status)),
        "{racers:?}"
    );
    let late = register(&server, "bob@example.com", Some(&code));
    assert!(is_refusal(&late.status), "{}", late.text());
    server.restart();
    server.check_alive();
    assert!(!server.stdout().contains("#setup="), "{}", server.stdout());
    check_shape(&register(&server, "bob@example.com", None), 403, &closed());
    let user = json!({"username": "bob", "email": "bob@example.com", "password": "x"});
    check_shape(&server.post("/users/").json(&user).send(), 403, &closed());
}

#[test]
fn the_setup_code_makes_an_admin() {
    for launch in [
        public(),
        Launch::new().args(&["--allowed-host", "chat.lan"]),
        Launch::new().args(&["--trusted-proxy", "127.0.0.1"]),
        Launch::new().args(&["--host", "0.0.0.0"]),
    ] {
        let server = launch.start();
        let reply = register(&server, "ann@example.com", Some(&setup_code(&server)));
        assert_eq!(
            (reply.status, reply.json()["role"].clone()),
            (201, json!("admin")),
            "{}",
            reply.text()
        );
    }
    // At home there is nothing to set up.
    let server = Server::start();
    server.check_alive();
    assert!(!server.stdout().contains("setup="));
}

#[test]
fn an_open_sign_up_makes_no_admins_off_loopback() {
    let server = public().args(&["--signup", "open"]).start();
    for email in ["ann@example.com", "bob@example.com"] {
        let reply = register(&server, email, None);
        assert_eq!(
            (reply.status, reply.json()["role"].clone()),
            (201, json!("user")),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn a_closed_sign_up_is_closed_at_home_too() {
    let launch = Launch::new();
    let server = launch.start();
    let ann = server.account("ann");
    let open = server.get("/api/version").send().json()["signup"].clone();
    server.stop();
    let server = launch.args(&["--signup", "closed"]).start();
    check_shape(&register(&server, "bob@example.com", None), 403, &closed());
    check_shape(
        &server
            .post("/auth/register?session=1")
            .json(&json!({"email": "bob@example.com", "password": "x"}))
            .send(),
        403,
        &closed(),
    );
    server.login(&ann);
    assert_ne!(server.get("/api/version").send().json()["signup"], open);
}

#[test]
fn a_proxy_on_this_machine_is_not_home() {
    let server = Server::start();
    let body = json!({"email": "eve@example.com", "password": "x"});
    for (name, value) in [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "chat.example.org"),
        ("Forwarded", "for=203.0.113.7"),
    ] {
        check_shape(
            &server.post("/auth/register").header(name, value).json(&body).send(),
            403,
            &closed(),
        );
    }
    assert_eq!(
        register(&server, "ann@example.com", None).json()["role"],
        json!("admin")
    );
}

fn guess(server: &Server, name: &str, password: &str, forwarded: Option<&str>) -> Reply {
    let call = server
        .post("/auth/login")
        .json(&json!({"email": name, "password": password}));
    forwarded
        .iter()
        .fold(call, |call, address| call.header("X-Forwarded-For", address))
        .send()
}

#[track_caller]
fn check_429(reply: &Reply) {
    check_shape(reply, 429, &json!({"detail": "<filled>"}));
    let seconds: u64 = reply
        .header("Retry-After")
        .and_then(|value| value.parse().ok())
        .expect("Retry-After in seconds");
    assert!((1..=900).contains(&seconds), "{seconds}");
}

#[test]
fn the_eleventh_guess_must_wait_by_whichever_door() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    for round in 0..10 {
        let name = if round % 2 == 0 {
            "ann@example.com"
        } else {
            "Ann@Example.com"
        };
        let forwarded = format!("203.0.113.{round}");
        check_401(
            &guess(&server, name, "wrong", Some(&forwarded)),
            "Incorrect username or password",
        );
    }
    check_429(&guess(&server, &ann.email, "wrong", None));
    check_429(&guess(&server, &ann.email, &ann.password, None));
    check_429(&guess(&server, "ANN@EXAMPLE.COM", &ann.password, Some("203.0.113.99")));
    for path in ["/auth/token", "/token"] {
        check_429(
            &server
                .post(path)
                .form(&[("username", &ann.email), ("password", &ann.password)])
                .send(),
        );
    }
    check_429(
        &server
            .post("/auth/session")
            .json(&json!({"email": ann.email, "password": ann.password}))
            .send(),
    );
    // Who is signed in stays so, and nobody else is hurt.
    assert_eq!(server.get("/users/me").bearer(&ann.token).send().status, 200);
    server.login(&bob);
}

#[test]
fn unknown_names_are_throttled_like_known_ones() {
    let server = Server::start();
    for _ in 0..10 {
        check_401(
            &guess(&server, "nobody@example.com", "wrong", None),
            "Incorrect username or password",
        );
    }
    check_429(&guess(&server, "nobody@example.com", "wrong", None));
}

#[test]
fn a_trusted_proxy_speaks_for_its_clients() {
    let server = Launch::new()
        .args(&["--trusted-proxy", "127.0.0.1", "--signup", "open"])
        .start();
    let ann = server.account("ann");
    for _ in 0..10 {
        check_401(
            &guess(&server, &ann.email, "wrong", Some("203.0.113.7")),
            "Incorrect username or password",
        );
    }
    check_429(&guess(&server, &ann.email, &ann.password, Some("203.0.113.7")));
    assert_eq!(
        guess(&server, &ann.email, &ann.password, Some("203.0.113.8")).status,
        200
    );
    // Only what the trusted proxy itself added counts: the right-most address.
    check_429(&guess(
        &server,
        &ann.email,
        &ann.password,
        Some("203.0.113.9, 203.0.113.7"),
    ));
}

#[test]
fn guesses_at_once_count_as_guesses() {
    let server = Server::start();
    let ann = server.account("ann");
    let rss = server.rss_kib();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| guess(&server, &ann.email, "wrong", None)))
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("it answers"))
            .collect()
    });
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    for reply in replies.iter().filter(|reply| reply.status != 401) {
        assert!(
            reply.header("Retry-After").is_some(),
            "{} {}",
            reply.status,
            reply.text()
        );
    }
    let heard = statuses.iter().filter(|status| **status == 401).count();
    assert!((1..=12).contains(&heard), "{heard} guesses were heard: {statuses:?}");
    assert!(
        statuses.iter().all(|status| [401, 429, 503].contains(status)),
        "{statuses:?}"
    );
    // Two at a time, of 19 MiB each; not a hundred.
    let peak = server.peak_rss_kib();
    println!("a hundred at once: {heard} were heard, resident memory went from {rss} to {peak} KiB at the most");
    assert!(peak < rss + 120 * 1024, "from {rss} to {peak} KiB");
    check_429(&guess(&server, &ann.email, &ann.password, None));
}

/// Known and unknown names take turns, so that a busy machine is busy for both. In the long form each is asked often
/// enough for a difference of 5 ms to be seen.
#[test]
fn an_unknown_name_takes_as_long_as_a_known_one() {
    let server = Server::start();
    let pairs = if slow() { 60 } else { 7 };
    let mut times = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        // Nobody is asked after more often than is heard.
        let names = [
            server.account(&format!("ann-{pair}")).email,
            format!("nobody-{pair}@example.com"),
        ];
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let started = Instant::now();
            assert_eq!(guess(&server, &names[which], "wrong", None).status, 401);
            times[which].push(started.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("{pairs} pairs: known {known:?}, unknown {unknown:?}");
    assert!(
        unknown * 4 > known && known * 4 > unknown,
        "known {known:?}, unknown {unknown:?}"
    );
    assert!(
        !slow() || known.abs_diff(unknown) < Duration::from_millis(5),
        "known {known:?}, unknown {unknown:?}"
    );
}

#[test]
fn message_routes_are_limited_per_user() {
    let server = Launch::new().args(&["--messages-per-minute", "3"]).start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let send = |account: &Account| {
        server
            .post("/chat")
            .bearer(&account.token)
            .json(&json!({"message": "hi"}))
            .send()
    };
    for _ in 0..3 {
        assert_eq!(send(&ann).status, 200);
    }
    let reply = send(&ann);
    check_shape(&reply, 429, &json!({"detail": "<filled>"}));
    assert!(
        reply
            .header("Retry-After")
            .and_then(|value| value.parse::<u64>().ok())
            .is_some_and(|seconds| seconds <= 60),
        "{:?}",
        reply.headers
    );
    let other_door = server
        .post(&format!("/api/{}/chat", ann.id))
        .bearer(&ann.token)
        .json(&json!({"message": "hi"}))
        .send();
    assert_eq!(other_door.status, 429);
    assert_eq!(send(&bob).status, 200);
    assert_eq!(server.get("/chats").bearer(&ann.token).send().json()["total"], json!(3));
}

#[test]
fn files_are_private_whatever_the_umask() {
    let server = Launch::new().prelude("umask 000").start();
    server.account("ann");
    let data = server.launch().data();
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut seen = 0;
    for entry in std::fs::read_dir(&data)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
    {
        let wanted = if entry.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry), wanted, "{}", entry.display());
        seen += 1;
    }
    assert!(seen >= 3, "a database, a lock and a secret");
}

#[test]
fn secrets_show_up_nowhere() {
    let server = Launch::new()
        .args(&["--log", "trace"])
        .env("JWT_SECRET_KEY", "canary-jwt-0123456789-0123456789-0123")
        .start();
    let body = json!({"email": "ann@example.com", "password": "canary-password"});
    let token = server.post("/auth/register").json(&body).send().json()["access_token"]
        .as_str()
        .expect("a token")
        .to_string();
    let signature = token.rsplit('.').next().expect("a signature").to_string();
    let mut replies = vec![
        server.post("/auth/login").json(&body).send(),
        server.post("/auth/register").json(&body).send(),
        server
            .post("/auth/login")
            .json(&json!({"email": "ann@example.com", "password": "canary-wrong"}))
            .send(),
        server
            .post("/auth/token?password=canary-query")
            .form(&[("username", "ann@example.com"), ("password", "canary-form")])
            .send(),
        server
            .patch("/users/me")
            .bearer(&token)
            .json(&json!({"password": "canary-new", "current_password": "canary-old"}))
            .send(),
        server.get("/users/me").bearer(&token).send(),
        server.get("/users/me").bearer("canary-token").send(),
    ];
    replies.push(server.post("/auth/logout").bearer(&token).send());
    for reply in &replies {
        assert!(
            !reply.text().contains("canary") && !reply.text().contains(&signature),
            "{}",
            reply.text()
        );
    }
    let exit = server.stop();
    for output in [&exit.stdout, &exit.stderr] {
        assert!(!output.contains("canary") && !output.contains(&signature), "{output}");
    }
}

#[test]
fn passwords_are_not_in_the_database() {
    let server = Server::start();
    let body = json!({"email": "ann@example.com", "password": "canary-password"});
    assert_eq!(server.post("/auth/register").json(&body).send().status, 201);
    let data = server.launch().data();
    for entry in std::fs::read_dir(&data)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&entry).expect("readable");
        assert!(
            !bytes.windows(15).any(|window| window == b"canary-password"),
            "{}",
            entry.display()
        );
    }
}
