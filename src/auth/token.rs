//! Bearer tokens: minting ours, and telling who a presented one speaks for.
//!
//! Owns the claims and the pinned algorithms. Knows no users: whether a session still stands or an account exists
//! is for the caller to ask the store.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
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
    proven: Proven,
}

/// Tokens of ours whose signature has been checked. A client sends the same one with every request, and checking it costs
/// more than looking up the session; what it says cannot change, and its end is looked at every time.
#[derive(Default)]
struct Proven(RwLock<HashMap<String, Proof>>);

/// Tokens that are remembered: about half a mebibyte. Beyond that all are forgotten and are checked once more.
const PROVEN_MAX: usize = 1024;

struct Proof {
    identity: Identity,
    proven_at_s: u64,
    expires_at_s: u64,
}

impl Proven {
    fn find(&self, token: &str, now_s: u64) -> Option<Identity> {
        let proven = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let proof = proven.get(token)?;
        // A clock that was set back may be before the token's beginning.
        let is_current = (proof.proven_at_s..proof.expires_at_s).contains(&now_s);
        is_current.then(|| proof.identity.clone())
    }

    fn insert(&self, token: &str, proof: Proof) {
        let mut proven = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= PROVEN_MAX {
            proven.clear();
        }
        proven.insert(token.to_owned(), proof);
    }
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
    ver: Option<i64>,
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
            proven: Proven::default(),
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
    /// [`Kind::Unauthenticated`] if it is neither. Only who holds our own key learns more than that: its signature is
    /// good, but no user of ours has such a token.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Identity, Error> {
        if let Some(identity) = self.proven.find(token, now_s) {
            return Ok(identity);
        }
        let ours = self.verify_local(token, now_s);
        let sentence = match ours {
            Some(Some(identity)) => return Ok(identity),
            Some(None) => "User not found",
            None => "Could not validate credentials",
        };
        self.verify_external(token, now_s)
            .ok_or_else(|| Error::new(Kind::Unauthenticated, sentence))
    }

    /// `Some(None)`: signed with our key, but not one of the tokens that we mint.
    fn verify_local(&self, token: &str, now_s: u64) -> Option<Option<Identity>> {
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
        let expires_at_s = claims.expires_at?.as_secs();
        if expires_at_s <= now_s {
            return None;
        }
        let minted = claims.subject.zip(claims.jwt_id).zip(claims.custom.ver);
        Some(minted.map(|((user_uuid, session_id), version)| {
            let identity = Identity::Local {
                user_uuid,
                session_id,
                version,
            };
            let proof = Proof {
                identity: identity.clone(),
                proven_at_s: now_s,
                expires_at_s,
            };
            self.proven.insert(token, proof);
            identity
        }))
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
mod tests;
