//! Bearer tokens: minting ours, and telling who a presented one speaks for.
//!
//! Owns the claims and the pinned algorithms. Knows no users: whether a session still stands or an account exists
//! is for the caller to ask the store.

use std::str::FromStr;
use std::time::Duration;

use jwt_simple::algorithms::{HS256Key, HS384Key, HS512Key, MACLike};
use jwt_simple::claims::JWTClaims;
use jwt_simple::common::VerificationOptions;
use jwt_simple::reexports::coarsetime::{Duration as ClaimDuration, UnixTimeStamp};
use jwt_simple::reexports::ct_codecs::{self, Base64UrlSafeNoPadding, Decoder as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Kind};

/// Ours are about 400 bytes; anything longer than this is refused before it is decoded.
const TOKEN_BYTES_MAX: usize = 4096;
/// How far ahead the clock of another issuer may be (`iat`, `nbf`). The end (`exp`) is exact: a token that says
/// it has expired has.
const LEEWAY_S: u64 = 60;
/// jwt-simple refuses shorter keys.
const KEY_BYTES_MIN: usize = 12;

/// The HMAC algorithm that our tokens are signed with, and the only one they are accepted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256, the default.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl FromStr for Algorithm {
    type Err = Error;

    /// Reads `HS256`, `HS384` or `HS512`. [`Kind::Malformed`], naming the value, for anything else.
    fn from_str(name: &str) -> Result<Algorithm, Error> {
        match name {
            "HS256" => Ok(Algorithm::Hs256),
            "HS384" => Ok(Algorithm::Hs384),
            "HS512" => Ok(Algorithm::Hs512),
            _ => Err(Error::new(
                Kind::Malformed,
                format!("The token algorithm must be HS256, HS384 or HS512, not {name:?}"),
            )),
        }
    }
}

/// How tokens are made and which are believed.
pub struct TokenConfig {
    /// The key of our own tokens; 32 random bytes unless configured.
    pub secret: Vec<u8>,
    /// The algorithm of our own tokens.
    pub algorithm: Algorithm,
    /// How long our own tokens live (whole seconds).
    pub lifetime: Duration,
    /// The key of another issuer whose HS256 tokens are believed, if there is one.
    pub external_secret: Option<Vec<u8>>,
}

/// Whom a token is minted for.
pub struct NewToken<'a> {
    /// The user's UUID: `sub` and `user_id`.
    pub user_uuid: &'a str,
    /// The user's e-mail address, informative.
    pub email: Option<&'a str>,
    /// The session's id: `jti`.
    pub session_id: &'a str,
    /// The user's session version: `ver`. Raising it in the store ends every token of the user.
    pub version: i64,
}

/// Whom a token speaks for, once its signature and times have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// One of our users. The session and its version must still be compared with the store.
    Local {
        /// The user's UUID.
        user_uuid: String,
        /// The session's id.
        session_id: String,
        /// The session version at the time of minting.
        version: i64,
    },
    /// A user of the other issuer.
    External {
        /// That issuer's id of the user: any string but the empty one.
        id: String,
        /// The e-mail address it claims, informative.
        email: Option<String>,
        /// When the token ends (Unix seconds), if it says so.
        expires_at_s: Option<u64>,
    },
}

/// Mints and verifies tokens.
pub struct Tokens {
    key: Key,
    lifetime_s: u64,
    external: Option<HS256Key>,
}

enum Key {
    Hs256(HS256Key),
    Hs384(HS384Key),
    Hs512(HS512Key),
}

/// Our own claims beside the registered ones.
#[derive(Serialize)]
struct Minted<'a> {
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    ver: i64,
}

/// What is read back of them.
#[derive(Deserialize)]
struct Presented {
    ver: i64,
}

impl Tokens {
    /// [`Kind::Malformed`] if a secret is empty: anyone could sign with that.
    pub fn new(config: TokenConfig) -> Result<Tokens, Error> {
        let secret = padded(config.secret)?;
        Ok(Tokens {
            key: match config.algorithm {
                Algorithm::Hs256 => Key::Hs256(HS256Key::from_bytes(&secret)),
                Algorithm::Hs384 => Key::Hs384(HS384Key::from_bytes(&secret)),
                Algorithm::Hs512 => Key::Hs512(HS512Key::from_bytes(&secret)),
            },
            lifetime_s: config.lifetime.as_secs(),
            external: config
                .external_secret
                .map(padded)
                .transpose()?
                .map(|secret| HS256Key::from_bytes(&secret)),
        })
    }

    /// A token for this user and session, valid from `now_s` (Unix seconds) for the configured lifetime.
    pub fn mint(&self, subject: &NewToken<'_>, now_s: u64) -> Result<String, Error> {
        let claims = JWTClaims {
            issued_at: Some(UnixTimeStamp::from_secs(now_s)),
            expires_at: Some(UnixTimeStamp::from_secs(now_s.saturating_add(self.lifetime_s))),
            invalid_before: None,
            issuer: None,
            subject: Some(subject.user_uuid.to_owned()),
            audiences: None,
            jwt_id: Some(subject.session_id.to_owned()),
            nonce: None,
            custom: Minted {
                user_id: subject.user_uuid,
                email: subject.email,
                ver: subject.version,
            },
        };
        match &self.key {
            Key::Hs256(key) => key.authenticate(claims),
            Key::Hs384(key) => key.authenticate(claims),
            Key::Hs512(key) => key.authenticate(claims),
        }
        .map_err(|error| Error::internal("minting a token failed", error))
    }

    /// Whom the token speaks for at `now_s` (Unix seconds). Tried as ours first, then as the other issuer's.
    ///
    /// [`Kind::Unauthenticated`], always with the same sentence, if it is neither.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Identity, Error> {
        self.verify_local(token, now_s)
            .or_else(|| self.verify_external(token, now_s))
            .ok_or_else(|| Error::new(Kind::Unauthenticated, "Could not validate credentials"))
    }

    fn verify_local(&self, token: &str, now_s: u64) -> Option<Identity> {
        let options = VerificationOptions {
            time_tolerance: Some(ClaimDuration::from_secs(LEEWAY_S)),
            max_token_length: Some(TOKEN_BYTES_MAX),
            artificial_time: Some(UnixTimeStamp::from_secs(now_s)),
            ..VerificationOptions::default()
        };
        let claims: JWTClaims<Presented> = match &self.key {
            Key::Hs256(key) => key.verify_token(token, Some(options)),
            Key::Hs384(key) => key.verify_token(token, Some(options)),
            Key::Hs512(key) => key.verify_token(token, Some(options)),
        }
        .ok()?;
        // jwt-simple extends its tolerance to `exp`, and does not insist on one.
        if claims.expires_at?.as_secs() <= now_s {
            return None;
        }
        Some(Identity::Local {
            user_uuid: claims.subject?,
            session_id: claims.jwt_id?,
            version: claims.custom.ver,
        })
    }

    /// Reads the claims itself: jwt-simple's wants `sub` and `jti` to be strings and takes no null anywhere, which
    /// other issuers do not keep to. `aud` and `iss` mean nothing here, since none are configured.
    fn verify_external(&self, token: &str, now_s: u64) -> Option<Identity> {
        let claims = signed_claims(self.external.as_ref()?, token)?;
        let expires_at_s = match claims.get("exp") {
            Some(exp) => Some(seconds(exp)?),
            None => None,
        };
        if expires_at_s.is_some_and(|exp| exp <= now_s) {
            return None;
        }
        if let Some(nbf) = claims.get("nbf")
            && seconds(nbf)? > now_s.saturating_add(LEEWAY_S)
        {
            return None;
        }
        Some(Identity::External {
            id: external_id(&claims)?,
            email: claims.get("email").and_then(id_text),
            expires_at_s,
        })
    }
}

/// An HMAC key is padded with zeros to the hash's block size, so this one signs exactly as the shorter one does.
/// How short a configured secret may be is the administrator's decision (the start warns); that it is not empty is ours.
fn padded(mut secret: Vec<u8>) -> Result<Vec<u8>, Error> {
    if secret.is_empty() {
        return Err(Error::new(Kind::Malformed, "A token secret must not be empty"));
    }
    secret.resize(secret.len().max(KEY_BYTES_MIN), 0);
    Ok(secret)
}

/// The claims of a compact token (RFC 7515) whose header says HS256 and nothing critical, and whose tag `key` made.
fn signed_claims(key: &HS256Key, token: &str) -> Option<Map<String, Value>> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        crit: Option<Value>,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (signed, tag) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| Base64UrlSafeNoPadding::decode_to_vec(part, None).ok();
    let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
    if header.alg != "HS256" || header.crit.is_some() {
        return None;
    }
    if !ct_codecs::verify(&key.authentication_tag(signed.as_bytes()), &decode(tag)?) {
        return None;
    }
    serde_json::from_slice(&decode(claims)?).ok()
}

/// A NumericDate (RFC 7519 §2) in whole seconds; `None` for anything that is no time.
fn seconds(date: &Value) -> Option<u64> {
    date.as_u64()
        .or_else(|| Some(Duration::try_from_secs_f64(date.as_f64()?).ok()?.as_secs()))
}

/// The first claim that names somebody.
fn external_id(claims: &Map<String, Value>) -> Option<String> {
    let nested = |outer: &str, inner: &str| claims.get(outer)?.get(inner);
    [
        claims.get("user_id"),
        claims.get("sub"),
        claims.get("id"),
        claims.get("userId"),
        nested("user", "id"),
        nested("session", "userId"),
    ]
    .into_iter()
    .flatten()
    .find_map(id_text)
}

/// A non-empty string as it is, an integer in decimal.
fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
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
            assert_refused(&token(claims));
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
}
