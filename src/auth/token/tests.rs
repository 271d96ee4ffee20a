//! Tokens of ours, of another issuer, and of nobody.

use super::*;
use jwt_simple::reexports::ct_codecs::Encoder as _;
use serde_json::json;

const NOW_S: u64 = 1_800_000_000;
const OURS: &[u8] = b"0123456789abcdef0123456789abcdef";
const THEIRS: &[u8] = b"better";

fn tokens() -> Tokens {
    Tokens::new(TokenConfig {
        secret: OURS.to_vec(),
        algorithm: Algorithm::Hs256,
        lifetime: Duration::from_secs(3600),
        external_secret: Some(THEIRS.to_vec()),
    })
    .unwrap()
}

fn mint(tokens: &Tokens) -> String {
    let subject = NewToken {
        user_uuid: "6f1c",
        email: Some("ann@example.com"),
        session_id: "s-1",
        version: 3,
    };
    tokens.mint(&subject, NOW_S).unwrap()
}

/// A compact token made by hand.
fn signed(header: Value, claims: Value, key: &[u8]) -> String {
    let encode = |value: Value| Base64UrlSafeNoPadding::encode_to_string(value.to_string()).unwrap();
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = HS256Key::from_bytes(key).authentication_tag(signed.as_bytes());
    format!("{signed}.{}", Base64UrlSafeNoPadding::encode_to_string(tag).unwrap())
}

fn external(claims: Value) -> Result<Identity, Error> {
    tokens().verify(&signed(json!({"alg": "HS256"}), claims, THEIRS), NOW_S)
}

fn external_id_of(claims: Value) -> String {
    match external(claims).unwrap() {
        Identity::External { id, .. } => id,
        local @ Identity::Local { .. } => panic!("{local:?}"),
    }
}

fn assert_refused(token: &str) {
    let error = tokens().verify(token, NOW_S).expect_err(token);
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert_eq!(error.message(), "Could not validate credentials");
}

#[test]
fn what_was_proven_once_is_neither_older_nor_other_than_it_was() {
    let tokens = tokens();
    let token = mint(&tokens);
    for now_s in [NOW_S, NOW_S + 1, NOW_S + 3599] {
        tokens.verify(&token, now_s).unwrap();
    }
    // Its end counts although its signature is known.
    tokens.verify(&token, NOW_S + 3600).unwrap_err();
    // A clock that was set back is believed no more than before: the token is of a time to come.
    tokens.verify(&token, NOW_S - LEEWAY_S - 1).unwrap_err();
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    let altered = format!("{}{last}", &token[..token.len() - 1]);
    for other in [altered.as_str(), &token[1..], &token[..token.len() - 1]] {
        tokens.verify(other, NOW_S).unwrap_err();
    }
}

#[test]
fn no_more_tokens_are_remembered_than_may_be() {
    let tokens = tokens();
    for number in 0..=PROVEN_MAX {
        let session_id = number.to_string();
        let subject = NewToken {
            user_uuid: "6f1c",
            email: None,
            session_id: &session_id,
            version: 1,
        };
        let token = tokens.mint(&subject, NOW_S).unwrap();
        tokens.verify(&token, NOW_S).unwrap();
        tokens.verify("nonsense", NOW_S).unwrap_err();
    }
    assert_eq!(tokens.proven.0.read().unwrap().len(), 1);
}

#[test]
fn ours_comes_back_as_minted() {
    let token = mint(&tokens());
    let identity = Identity::Local {
        user_uuid: "6f1c".into(),
        session_id: "s-1".into(),
        version: 3,
    };
    assert_eq!(tokens().verify(&token, NOW_S).unwrap(), identity);
    assert_eq!(tokens().verify(&token, NOW_S + 3599).unwrap(), identity);
    tokens().verify(&token, NOW_S + 3600).unwrap_err();

    let claims = token.split('.').nth(1).unwrap();
    let claims = Base64UrlSafeNoPadding::decode_to_vec(claims, None).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        claims,
        json!({"sub": "6f1c", "user_id": "6f1c", "email": "ann@example.com", "jti": "s-1", "ver": 3,
               "iat": NOW_S, "exp": NOW_S + 3600})
    );
}

#[test]
fn only_the_pinned_algorithm_is_accepted() {
    for algorithm in ["HS384", "HS512"] {
        let other = Tokens::new(TokenConfig {
            secret: OURS.to_vec(),
            algorithm: algorithm.parse().unwrap(),
            lifetime: Duration::from_secs(60),
            external_secret: None,
        })
        .unwrap();
        let token = mint(&other);
        other.verify(&token, NOW_S).unwrap();
        assert_refused(&token);
    }
    for alg in ["none", "None", "RS256", "ES256", "HS384", "hs256", ""] {
        let claims = json!({"sub": "u", "exp": NOW_S + 9, "jti": "s", "ver": 1});
        for key in [OURS, THEIRS] {
            let token = signed(json!({"alg": alg}), claims.clone(), key);
            assert_refused(&token);
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert_refused(&format!("{unsigned}."));
            assert_refused(unsigned);
        }
    }
    assert_refused(&signed(
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"sub": "u"}),
        THEIRS,
    ));
    let error = "RS256".parse::<Algorithm>().unwrap_err();
    assert!(error.message().contains("RS256"));
}

#[test]
fn nonsense_and_tampering_are_refused() {
    let token = mint(&tokens());
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert_refused(&String::from_utf8(bytes).unwrap());
    }
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "ä.ö.ü",
        &format!("{token}.x"),
        &format!("{token}="),
        &"A".repeat(5000),
    ] {
        assert_refused(text);
    }
    let long = json!({"sub": "u", "pad": "x".repeat(4096)});
    assert_refused(&signed(json!({"alg": "HS256"}), long, THEIRS));
}

#[test]
fn ours_needs_all_its_claims() {
    let whole = json!({"sub": "u", "exp": NOW_S + 9, "jti": "s", "ver": 1});
    let token = |claims| signed(json!({"alg": "HS256", "typ": "JWT"}), claims, OURS);
    tokens().verify(&token(whole.clone()), NOW_S).unwrap();
    for missing in ["sub", "exp", "jti", "ver"] {
        let mut claims = whole.clone();
        claims.as_object_mut().unwrap().remove(missing);
        if missing == "exp" {
            assert_refused(&token(claims));
            continue;
        }
        // Our own signature, but nobody's session.
        let error = tokens().verify(&token(claims), NOW_S).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Unauthenticated, "User not found")
        );
    }
    let mut early = whole;
    early["nbf"] = json!(NOW_S + 61);
    assert_refused(&token(early));
}

#[test]
fn another_issuers_user_is_the_first_claim_that_names_one() {
    for (claims, id) in [
        (json!({"user_id": "a", "sub": "b"}), "a"),
        (json!({"user_id": "", "sub": "b", "id": "c"}), "b"),
        (json!({"user_id": null, "sub": 42}), "42"),
        (json!({"id": "c", "userId": "d"}), "c"),
        (json!({"userId": -7}), "-7"),
        (
            json!({"sub": 1.5, "user": {"id": "e"}, "session": {"userId": "f"}}),
            "e",
        ),
        (json!({"user": "x", "session": {"userId": "f"}}), "f"),
        (
            json!({"sub": "user123", "aud": 7, "iss": null, "iat": NOW_S + 9999, "jti": 5}),
            "user123",
        ),
    ] {
        assert_eq!(external_id_of(claims), id);
    }
    external(json!({})).unwrap_err();
    external(json!({"sub": "", "id": false})).unwrap_err();
    external(json!(["sub", "u"])).unwrap_err();
}

#[test]
fn another_issuers_times_are_kept_when_given() {
    let whole = external(json!({"sub": "u", "email": "u@example.com", "exp": NOW_S + 1})).unwrap();
    let expected = Identity::External {
        id: "u".into(),
        email: Some("u@example.com".into()),
        expires_at_s: Some(NOW_S + 1),
    };
    assert_eq!(whole, expected);
    external(json!({"sub": "u", "exp": NOW_S as f64 + 1.5})).unwrap();
    for exp in [
        json!(NOW_S),
        json!(NOW_S - 10),
        json!(-1),
        json!("2999"),
        json!(null),
        json!(1e300),
    ] {
        external(json!({"sub": "u", "exp": exp})).unwrap_err();
    }
    external(json!({"sub": "u", "nbf": NOW_S + 60})).unwrap();
    external(json!({"sub": "u", "nbf": NOW_S + 61})).unwrap_err();
}

#[test]
fn another_issuer_is_believed_only_when_configured() {
    let token = signed(json!({"alg": "HS256"}), json!({"sub": "u"}), THEIRS);
    let config = |secret: &[u8], external_secret| TokenConfig {
        secret: secret.to_vec(),
        algorithm: Algorithm::Hs256,
        lifetime: Duration::from_secs(60),
        external_secret,
    };
    let alone = Tokens::new(config(OURS, None)).unwrap();
    alone.verify(&token, NOW_S).unwrap_err();
    Tokens::new(config(b"", None)).err().unwrap();
    Tokens::new(config(OURS, Some(Vec::new()))).err().unwrap();
    // A short secret signs as it does everywhere else.
    let short = Tokens::new(config(b"secret", None)).unwrap();
    let token = signed(
        json!({"alg": "HS256"}),
        json!({"sub": "u", "exp": NOW_S + 9, "jti": "s", "ver": 1}),
        b"secret",
    );
    short.verify(&token, NOW_S).unwrap();
}
