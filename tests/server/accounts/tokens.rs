//! Tokens: those we mint, those another system signs with `BETTER_AUTH_SECRET`, and those nobody should accept.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{check_401, check_me};
use crate::rig::{Algorithm, Launch, PATIENCE, Server, forge, forge_with, until};

const OURS: &str = "our own secret, which has more than 32 bytes";
const THEIRS: &str = "the secret of another system, more than 32 bytes";

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn server() -> Server {
    Launch::new()
        .env("JWT_SECRET_KEY", OURS)
        .env("BETTER_AUTH_SECRET", THEIRS)
        .start()
}

/// A part of a token, decoded.
fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).expect("three parts");
    let mut bits = 0u32;
    let mut held = 0;
    let mut bytes = Vec::new();
    for symbol in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            .iter()
            .position(|known| *known == symbol)
            .expect("base64url");
        bits = bits << 6 | u32::try_from(value).expect("six bits");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff).to_le_bytes()[0]);
        }
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Whom a token stands for: its own path answers 200, any other 403, and a refused token 401.
#[track_caller]
fn check_identity(server: &Server, claims: &Value, identity: &str) {
    let token = forge(THEIRS, claims);
    let path = format!("/api/{}/chat", crate::rig::percent(identity));
    let reply = server.post(&path).bearer(&token).json(&json!({"message": "hi"})).send();
    assert_eq!(reply.status, 200, "{claims}: {}", reply.text());
    assert_eq!(
        server
            .post("/api/somebody-else/chat")
            .bearer(&token)
            .json(&json!({"message": "hi"}))
            .send()
            .status,
        403,
        "{claims}"
    );
}

#[track_caller]
fn check_refused(server: &Server, name: &str, token: &str) {
    for path in ["/chats", "/users/me"] {
        let reply = server.get(path).bearer(token).send();
        assert_eq!(reply.status, 401, "{name}: {}", reply.text());
        check_401(&reply, "Could not validate credentials");
    }
}

#[test]
fn a_minted_token_holds_what_the_contract_says() {
    for (variables, alg, minutes) in [
        (vec![], "HS256", 1440),
        (vec![("JWT_ALGORITHM", "HS512")], "HS512", 1440),
        (
            vec![("JWT_ALGORITHM", "HS384"), ("JWT_ACCESS_TOKEN_MINUTES", "5")],
            "HS384",
            5,
        ),
    ] {
        let launch = variables
            .iter()
            .fold(Launch::new(), |launch, (name, value)| launch.env(name, value));
        let server = launch.start();
        let ann = server.account("ann");
        let (head, claims) = (part(&ann.token, 0), part(&ann.token, 1));
        assert_eq!(head["alg"], json!(alg));
        assert_eq!(
            (&claims["sub"], &claims["user_id"], &claims["email"]),
            (&json!(ann.id), &json!(ann.id), &json!(ann.email))
        );
        let (iat, exp) = (
            claims["iat"].as_u64().expect("iat"),
            claims["exp"].as_u64().expect("exp"),
        );
        assert_eq!(exp - iat, minutes * 60);
        assert!(iat.abs_diff(now()) < 60);
        assert!(claims["jti"].is_string(), "{claims}");
        assert_ne!(part(&server.login(&ann), 1)["jti"], claims["jti"]);
        check_me(&server, &ann.token, &ann);
    }
}

#[test]
fn every_spelling_of_the_identity_is_understood() {
    let server = server();
    for claims in [
        json!({"user_id": "user123"}),
        json!({"sub": "user123"}),
        json!({"id": "user123"}),
        json!({"userId": "user123"}),
        json!({"user": {"id": "user123"}}),
        json!({"session": {"userId": "user123"}}),
        json!({"user_id": "", "sub": "user123"}),
        json!({"user_id": "user123", "sub": "x", "id": "y", "userId": "z"}),
        json!({"sub": "user123", "id": "y", "user": {"id": "z"}}),
        json!({"id": "user123", "userId": "y"}),
        json!({"userId": "user123", "user": {"id": "y"}, "session": {"userId": "z"}}),
        json!({"user": {"id": "user123"}, "session": {"userId": "z"}}),
        json!({"user": "not an object", "session": {"userId": "user123"}}),
        json!({"sub": "user123", "exp": now() + 600, "iat": now(), "aud": "anything", "iss": "anyone"}),
    ] {
        check_identity(&server, &claims, "user123");
    }
    for identity in [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "a b",
        "ünï☃",
        "1",
        "x%41",
        "a+b",
        "dots..and.more",
        "google/1",
    ] {
        check_identity(&server, &json!({"sub": identity}), identity);
    }
    for claims in [
        json!({}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"user": {}}),
        json!({"email": "ann@example.com"}),
    ] {
        let reply = server.get("/chats").bearer(&forge(THEIRS, &claims)).send();
        assert_eq!(reply.status, 401, "{claims}: {}", reply.text());
    }
}

#[test]
fn an_external_user_is_nobody_local() {
    let server = server();
    let ann = server.account("ann");
    server.chat(&ann.token, "mine");
    // The same e-mail and even the same id, claimed by another system.
    for claims in [
        json!({"sub": "user123", "email": ann.email}),
        json!({"sub": ann.id}),
        json!({"sub": ann.email}),
        json!({"user_id": ann.id, "email": ann.email}),
    ] {
        let token = forge(THEIRS, &claims);
        let user = server.get("/users/me").bearer(&token).send();
        assert_eq!(user.status, 200, "{}", user.text());
        let user = user.json();
        assert_ne!(user["id"], json!(ann.id), "{claims}");
        assert_eq!(
            (&user["email"], &user["role"]),
            (&json!(null), &json!("user")),
            "{claims}"
        );
        assert_eq!(
            server.get("/chats").bearer(&token).send().json()["total"],
            json!(0),
            "{claims}"
        );
        let again = server.get("/users/me").bearer(&forge(THEIRS, &claims)).send().json();
        assert_eq!(again["id"], user["id"], "one identity, one user");
    }
    // An external user has no password to change or to sign in with.
    for password in ["", "x"] {
        let status = server
            .post("/auth/login")
            .json(&json!({"username": "user123", "password": password}))
            .send()
            .status;
        assert!(status == 401 || status == 422, "{status}");
    }
    assert_eq!(
        server
            .post("/auth/register")
            .json(&json!({"email": "bob@example.com", "password": "x"}))
            .send()
            .json()["role"],
        json!("user")
    );
}

#[test]
fn tokens_that_nobody_may_accept() {
    let server = server();
    let ann = server.account("ann");
    let good = json!({"sub": "user123", "exp": now() + 600});
    let theirs = |claims: Value| forge(THEIRS, &claims);
    let ours = json!({"sub": ann.id, "user_id": ann.id, "exp": now() + 600});
    let long = json!({"sub": "user123", "pad": "x".repeat(4096)});
    for (name, token) in [
        ("expired", theirs(json!({"sub": "user123", "exp": now() - 120}))),
        ("expired in 1970", theirs(json!({"sub": "user123", "exp": 0}))),
        ("exp is a word", theirs(json!({"sub": "user123", "exp": "never"}))),
        ("unsigned", forge_with(Algorithm::Unsigned, "none", THEIRS, &good)),
        ("None", forge_with(Algorithm::Unsigned, "None", THEIRS, &good)),
        ("none, signed", forge_with(Algorithm::Hs256, "none", THEIRS, &good)),
        ("HS384", forge_with(Algorithm::Hs384, "HS384", THEIRS, &good)),
        ("HS512", forge_with(Algorithm::Hs512, "HS512", THEIRS, &good)),
        ("too long", theirs(long)),
        ("ours, HS512", forge_with(Algorithm::Hs512, "HS512", OURS, &ours)),
        (
            "ours, expired",
            forge(OURS, &json!({"sub": ann.id, "exp": now() - 120})),
        ),
    ] {
        check_refused(&server, name, &token);
    }
    for alg in ["RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "", "hs256"] {
        check_refused(&server, alg, &forge_with(Algorithm::Hs256, alg, THEIRS, &good));
    }
    let near = [&THEIRS[1..], &THEIRS.to_uppercase()];
    for secret in ["", "secret", "changeme", "your-secret-key"].into_iter().chain(near) {
        check_refused(&server, secret, &forge(secret, &good));
    }
    check_me(&server, &ann.token, &ann);
}

#[test]
fn a_token_is_accepted_whole_or_not_at_all() {
    let server = server();
    let ann = server.account("ann");
    for token in [&ann.token, &forge(THEIRS, &json!({"sub": "user123"}))] {
        for at in [3, token.find('.').expect("a dot") + 5, token.len() - 5] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).expect("ASCII");
            check_refused(&server, "tampered", &tampered);
        }
        let unsigned = &token[..=token.rfind('.').expect("a dot")];
        check_refused(&server, "the signature is gone", unsigned);
        check_refused(&server, "two parts", unsigned.trim_end_matches('.'));
        check_refused(&server, "four parts", &format!("{token}.x"));
    }
    check_me(&server, &ann.token, &ann);
}

#[test]
fn without_their_secret_nothing_of_theirs_counts() {
    let claims = json!({"sub": "user123", "exp": now() + 600});
    for server in [
        Launch::new().env("BETTER_AUTH_SECRET", "").start(),
        Launch::new().env("JWT_SECRET_KEY", "").env("JWT_ALGORITHM", "").start(),
    ] {
        for secret in [THEIRS, "", "better-auth-secret-123456789"] {
            check_refused(&server, secret, &forge(secret, &claims));
        }
        let ann = server.account("ann");
        check_me(&server, &ann.token, &ann);
    }
}

#[test]
fn tokens_outlive_the_server_and_stay_in_their_folder() {
    let mut server = Server::start();
    let ann = server.account("ann");
    server.restart();
    check_me(&server, &ann.token, &ann);
    server.kill();
    server.restart();
    check_me(&server, &ann.token, &ann);
    let other = Server::start();
    other.account("ann");
    check_refused(&other, "from another folder", &ann.token);
    let configured = Launch::new().env("JWT_SECRET_KEY", OURS).start();
    let bob = configured.account("bob");
    assert_eq!(part(&bob.token, 1)["sub"], json!(bob.id));
}

#[test]
fn a_short_secret_is_warned_of_and_not_shown() {
    for variable in ["JWT_SECRET_KEY", "BETTER_AUTH_SECRET"] {
        let server = Launch::new().env(variable, "short-canary").start();
        let warning = until(PATIENCE, "a warning", || {
            server
                .stderr()
                .lines()
                .find(|line| line.contains(variable))
                .map(ToString::to_string)
        });
        assert!(warning.contains("32"), "{warning}");
        assert!(!server.stderr().contains("short-canary") && !server.stdout().contains("short-canary"));
        let quiet = Launch::new().env(variable, OURS).start();
        quiet.check_alive();
        assert!(!quiet.stderr().contains(variable), "{}", quiet.stderr());
    }
}
