//! Forged tokens: headers that name another key or another algorithm, claims that are no times, no numbers or there twice,
//! and spellings of a good token that are not it. None opens anything, and none is an internal error.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::check_me;
use crate::rig::{Account, Algorithm, Launch, Server, Socket, claims, forge, forge_raw};

const OURS: &str = "our own secret, which has more than 32 bytes";
const THEIRS: &str = "the secret of another system, more than 32 bytes";
/// What an attacker signs with.
const MINE: &str = "a key that the attacker has chosen, and publishes";

fn server() -> Server {
    Launch::new()
        .env("JWT_SECRET_KEY", OURS)
        .env("BETTER_AUTH_SECRET", THEIRS)
        .start()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs()
}

/// It opens nothing by any door.
#[track_caller]
fn check_refused(server: &Server, what: &str, token: &str) {
    for path in ["/users/me", "/v1/models"] {
        let reply = server.get(path).bearer(token).send();
        assert_eq!(reply.status, 401, "{what}: {}", reply.text());
    }
    // As a cookie and in the one address that takes it.
    let target = format!("/ws?token={}", crate::rig::percent(token));
    let status = Socket::ask(server, &target).send().status;
    assert!(
        status == 403 || (status == 414 && token.len() > 4096),
        "{what}: {status}"
    );
}

/// Claims that would do, of our own session and of the other system's user.
fn good(ann: &Account) -> [(&'static str, Value); 2] {
    let theirs = json!({"sub": "user123", "exp": now() + 600});
    [(OURS, claims(&ann.token)), (THEIRS, theirs)]
}

/// Headers that are none, or two.
const BROKEN_HEADS: &[&str] = &[
    "",
    "{}",
    "null",
    "[]",
    "\"HS256\"",
    "{\"alg\":\"HS256\"",
    "{\"alg\":\"HS256\"}{}",
    "\u{feff}{\"alg\":\"HS256\"}",
    "{\"alg\":\"none\",\"alg\":\"HS256\"}",
    "{\"alg\":\"HS256\",\"alg\":\"none\"}",
    "{\"ALG\":\"HS256\"}",
];

#[test]
fn a_header_names_neither_key_nor_algorithm() {
    let server = server();
    let ann = server.account("ann");
    let jwk = json!({"kty": "oct", "k": "YSBrZXkgdGhhdCB0aGUgYXR0YWNrZXIgaGFzIGNob3NlbiwgYW5kIHB1Ymxpc2hlcw", "alg": "HS256"});
    for (secret, good) in good(&ann) {
        let good = good.to_string();
        let forged = |secret: &[u8], head: &Value| {
            forge_raw(Algorithm::Hs256, secret, head.to_string().as_bytes(), good.as_bytes())
        };
        for (name, value) in [
            ("jku", json!("http://127.0.0.1:9/keys.json")),
            ("x5u", json!("http://127.0.0.1:9/key.pem")),
            ("x5c", json!(["MIIB"])),
            ("jwk", jwk.clone()),
            ("kid", json!("../../../../../../dev/null")),
            ("kid", json!("/proc/sys/kernel/randomize_va_space")),
            ("kid", json!("' UNION SELECT 'x' --")),
            ("kid", json!(MINE)),
            ("typ", json!("JOSE")),
            ("cty", json!("JWT")),
            ("zip", json!("DEF")),
        ] {
            let mut head = json!({"alg": "HS256", "typ": "JWT"});
            head[name] = value;
            for key in [MINE.as_bytes(), b"", b"0", b"2\n", &[0; 32]] {
                check_refused(&server, &format!("{head}"), &forged(key, &head));
            }
        }
        for alg in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "none ",
            "",
            " ",
            "HS256 ",
            "hs256",
            "HS1",
            "HS224",
            "HS384",
            "HS512",
            "RS256",
            "RS512",
            "PS256",
            "ES256",
            "ES256K",
            "EdDSA",
            "Ed25519",
            "A128KW",
            "dir",
            "HS256,none",
            "HS256\0",
            "\u{212a}S256",
        ] {
            let head = json!({"alg": alg, "typ": "JWT"});
            let raw = head.to_string();
            for (how, token) in [
                ("its own key", forged(secret.as_bytes(), &head)),
                (
                    "no signature",
                    forge_raw(Algorithm::Unsigned, b"", raw.as_bytes(), good.as_bytes()),
                ),
                (
                    "SHA-384",
                    forge_raw(Algorithm::Hs384, secret.as_bytes(), raw.as_bytes(), good.as_bytes()),
                ),
                (
                    "SHA-512",
                    forge_raw(Algorithm::Hs512, secret.as_bytes(), raw.as_bytes(), good.as_bytes()),
                ),
            ] {
                check_refused(&server, &format!("alg {alg:?}, {how}"), &token);
            }
        }
        for alg in [
            json!(null),
            json!(1),
            json!(["HS256"]),
            json!({"HS256": 1}),
            json!(true),
        ] {
            check_refused(
                &server,
                &format!("alg {alg}"),
                &forged(secret.as_bytes(), &json!({ "alg": alg })),
            );
        }
        // Whoever says that something must be understood means it (RFC 7515, 4.1.11).
        for crit in [json!(["exp"]), json!(["http://example.com/x"]), json!("exp")] {
            let head = json!({"alg": "HS256", "crit": crit, "http://example.com/x": true});
            check_refused(&server, &format!("crit {crit}"), &forged(secret.as_bytes(), &head));
        }
        for head in BROKEN_HEADS {
            let token = forge_raw(Algorithm::Hs256, secret.as_bytes(), head.as_bytes(), good.as_bytes());
            check_refused(&server, head, &token);
        }
    }
    check_me(&server, &ann.token, &ann);
    server.check_alive();
}

/// Whoever has the key may say much; what makes no sense is refused all the same, and breaks nothing.
#[test]
fn claims_that_make_no_sense_are_refused() {
    let server = server();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    for (secret, good) in good(&ann) {
        for (claim, values) in [
            (
                "exp",
                &[
                    "\"4000000000\"",
                    "null",
                    "true",
                    "[]",
                    "{}",
                    "-1",
                    "-1e18",
                    "0",
                    "1",
                    "0.5",
                    "\"never\"",
                    "1e400",
                    "NaN",
                ][..],
            ),
            ("nbf", &["\"0\"", "true", "[]", "-1e400", "4000000000", "4e9", "1e300"]),
        ] {
            for value in values {
                let mut text = good.clone();
                text[claim] = json!("@@");
                let text = text.to_string().replace("\"@@\"", value);
                let token = forge_raw(
                    Algorithm::Hs256,
                    secret.as_bytes(),
                    br#"{"alg":"HS256"}"#,
                    text.as_bytes(),
                );
                check_refused(&server, &format!("{claim}: {value}"), &token);
            }
        }
        for text in [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "\"user123\"".to_owned(),
            good.to_string().trim_end_matches('}').to_owned(),
            format!("{good}{good}"),
            format!("{}{}", "[".repeat(1500), "]".repeat(1500)),
            good.to_string().replace("\"sub\"", "\"\\ud800\":1,\"sub\""),
        ] {
            let token = forge_raw(
                Algorithm::Hs256,
                secret.as_bytes(),
                br#"{"alg":"HS256"}"#,
                text.as_bytes(),
            );
            check_refused(&server, &text, &token);
        }
        let bytes = [good.to_string().trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat();
        check_refused(
            &server,
            "no UTF-8",
            &forge_raw(Algorithm::Hs256, secret.as_bytes(), br#"{"alg":"HS256"}"#, &bytes),
        );
        let mut long = good.clone();
        long["pad"] = json!("x".repeat(4096));
        check_refused(&server, "too long", &forge(secret, &long));
    }
    // A session is one user's, of one version.
    let mine = claims(&ann.token);
    for (claim, value) in [
        ("sub", json!(bob.id)),
        ("sub", json!(ann.id.to_uppercase())),
        ("sub", json!(ann.email)),
        ("sub", json!(1)),
        ("sub", json!(null)),
        ("jti", claims(&bob.token)["jti"].clone()),
        ("jti", json!("")),
        ("jti", json!(1)),
        ("jti", json!("%")),
        ("jti", json!("' OR 1=1 --")),
        ("ver", json!(mine["ver"].as_i64().expect("a number") + 1)),
        ("ver", json!(i64::MAX)),
        ("ver", json!("1")),
        ("ver", json!(1.0)),
        ("ver", json!(null)),
        ("ver", json!(9_223_372_036_854_775_808u64)),
        ("iat", json!(now() + 3600)),
        ("iat", json!("0")),
    ] {
        let mut forged = mine.clone();
        forged[claim] = value.clone();
        check_refused(&server, &format!("{claim}: {value}"), &forge(OURS, &forged));
    }
    check_me(&server, &ann.token, &ann);
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

/// Times too large for any clock are no reason to fall over, whether they are believed or not.
#[test]
fn no_time_is_too_large_to_be_read() {
    let server = server();
    let ann = server.account("ann");
    for (secret, good) in good(&ann) {
        for claim in ["exp", "nbf", "iat"] {
            for value in [
                json!(u64::MAX),
                json!(i64::MAX),
                json!(1u64 << 32),
                json!(1u64 << 62),
                json!(253_402_300_800u64),
                json!(1e18),
                json!(1.7e308),
            ] {
                let mut forged = good.clone();
                forged[claim] = value.clone();
                let token = forge(secret, &forged);
                for path in ["/users/me", "/chats"] {
                    let status = server.get(path).bearer(&token).send().status;
                    assert!(status == 200 || status == 401, "{claim}: {value}: {status}");
                }
                // What is not to be used before then is not used now.
                let status = server.get("/users/me").bearer(&token).send().status;
                let is_early = claim == "nbf" && value != json!(1u64 << 32);
                assert!(!is_early || status == 401, "{claim}: {value}: {status}");
            }
        }
    }
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
    check_me(&server, &ann.token, &ann);
}

/// The same claims under the same signature, but for how they are written: a list of those that were ended must not be
/// got around by another spelling of one of them.
#[test]
fn a_token_has_one_spelling() {
    let server = server();
    let ann = server.account("ann");
    let theirs = forge(THEIRS, &json!({"sub": "user123", "exp": now() + 600}));
    for token in [&ann.token, &theirs] {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, body, tag] = parts[..] else {
            panic!("three parts");
        };
        // The last letter of 32 bytes has two bits that mean nothing.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(&tag[42..]).expect("a letter");
        let twins = (0..4).map(|bits| last / 4 * 4 + bits).filter(|twin| *twin != last);
        for twin in twins {
            let other = format!("{head}.{body}.{}{}", &tag[..42], &alphabet[twin..=twin]);
            check_refused(&server, "bits that mean nothing", &other);
        }
        for (what, other) in [
            ("padding", format!("{token}=")),
            ("padding in the middle", format!("{head}=.{body}.{tag}")),
            ("padding of the claims", format!("{head}.{body}==.{tag}")),
            ("a dot before", format!(".{token}")),
            ("a dot behind", format!("{token}.")),
            ("two dots", format!("{head}..{tag}")),
            ("two dots more", format!("{head}.{body}..{tag}")),
            ("no header", format!(".{body}.{tag}")),
            ("five parts", format!("{head}.{body}.{tag}.{body}.{tag}")),
            ("an empty signature", format!("{head}.{body}.")),
            ("no signature", format!("{head}.{body}")),
            ("the header alone", head.to_owned()),
            ("half a signature", format!("{head}.{body}.{}", &tag[..22])),
            ("a longer signature", format!("{head}.{body}.{tag}AAAA")),
            ("twice", format!("{token}{token}")),
            ("a space inside", format!("{head}. {body}.{tag}")),
            ("a tab inside", format!("{head}.{body}\t.{tag}")),
            ("percent signs", token.replace('.', "%2e")),
            ("a comma", format!("{token},{token}")),
            ("quotes", format!("\"{token}\"")),
            ("the scheme again", format!("Bearer {token}")),
            ("lower case", token.to_lowercase()),
            ("the other alphabet", format!("{head}+/.{body}.{tag}")),
            ("full stops of another script", token.replace('.', "\u{ff0e}")),
        ] {
            let reply = server.get("/users/me").bearer(&other).send();
            assert_eq!(reply.status, 401, "{what}: {}", reply.text());
        }
    }
    let ended = server.post("/auth/logout").bearer(&theirs).send();
    assert_eq!(ended.status, 200, "{}", ended.text());
    check_refused(&server, "logged out", &theirs);
    check_refused(&server, "logged out, with space around", &format!(" {theirs} "));
    check_me(&server, &ann.token, &ann);
}
