//! What must hold of tokens: none is believed whose tag the key did not make, by a second reading of it, and of those that
//! the key made none beyond its times.

#![expect(clippy::unwrap_used, reason = "to panic is what these functions are for")]

use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Algorithm, Identity, NewToken, TokenConfig, Tokens};
use crate::fuzzing::Dice;

const NOW_S: u64 = 1_800_000_000;
const OURS: &[u8] = b"0123456789abcdef0123456789abcdef";
const THEIRS: &[u8] = b"another issuer's";

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let config = TokenConfig {
        secret: OURS.to_vec(),
        algorithm: Algorithm::Hs256,
        lifetime: Duration::from_secs(3600),
        external_secret: Some(THEIRS.to_vec()),
    };
    Tokens::new(config).unwrap()
});

static MINTED: LazyLock<String> = LazyLock::new(|| {
    let ann = NewToken {
        user_uuid: "6f1c",
        email: Some("ann@example.org"),
        session_id: "s-1",
        version: 3,
    };
    TOKENS.mint(&ann, NOW_S).unwrap()
});

/// Bytes as a token, as a change of one that is good, as its claims (with a good tag), and with its first line as its
/// header.
pub(crate) fn jwt(bytes: &[u8]) {
    believe(&String::from_utf8_lossy(bytes));
    believe(&changed(bytes));
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let (header, claims) = match line {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&br#"{"alg":"HS256","typ":"JWT"}"#[..], bytes),
    };
    for key in [OURS, THEIRS] {
        let signed = format!("{}.{}", encode(header), encode(claims));
        believe(&format!("{signed}.{}", encode(&tag(key, signed.as_bytes()))));
    }
}

/// One that is good, with some bytes of it replaced by these.
fn changed(bytes: &[u8]) -> String {
    let mut dice = Dice::of(bytes);
    let start = dice.below(MINTED.len() + 1);
    let end = start + dice.below(MINTED.len() + 1 - start);
    let text = String::from_utf8_lossy(bytes);
    format!("{}{text}{}", &MINTED[..start], &MINTED[end..])
}

/// Verifies a token; where it is believed it must be one that can be.
fn believe(token: &str) {
    let Ok(identity) = TOKENS.verify(token, NOW_S) else {
        return;
    };
    let (signed, given) = token.rsplit_once('.').unwrap();
    let key = match identity {
        Identity::Local { .. } => OURS,
        Identity::External { .. } => THEIRS,
    };
    assert_eq!(
        decode(given),
        tag(key, signed.as_bytes()),
        "believed, and not signed: {token}"
    );
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Header = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header.alg, "HS256", "{token}");
    let claims = decode(claims);
    let claims: Claims = match identity {
        Identity::Local { .. } => serde_json::from_slice(&claims).unwrap(),
        // Of a name that stands there twice the last value counts.
        Identity::External { .. } => serde_json::from_slice(&claims)
            .and_then(serde_json::from_value::<Claims>)
            .unwrap(),
    };
    let time = |time: &Option<Value>| time.as_ref().map(|time| time.as_f64().unwrap());
    let (exp, nbf, iat) = (time(&claims.exp), time(&claims.nbf), time(&claims.iat));
    let now = 1_800_000_000.0;
    assert!(exp.is_none_or(|exp| exp > now), "it has expired: {claims:?}");
    assert!(nbf.is_none_or(|nbf| nbf < now + 61.0), "it is not yet good: {claims:?}");
    match identity {
        Identity::Local {
            user_uuid,
            session_id,
            version,
        } => {
            assert!(exp.is_some() && iat.is_none_or(|iat| iat < now + 61.0), "{claims:?}");
            let expected = (Some(user_uuid.into()), Some(session_id.into()), Some(version.into()));
            assert_eq!((claims.sub, claims.jti, claims.ver), expected);
        }
        Identity::External { id, .. } => assert!(!id.is_empty()),
    }
}

/// What is looked at in a header. All else may be anything, even bytes that are no text: whoever has the key has put it
/// there.
#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What is looked at in claims.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    sub: Option<Value>,
    jti: Option<Value>,
    ver: Option<Value>,
}

/// HMAC with SHA-256 (RFC 2104), for keys of at most a block.
fn tag(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let hash = |pad: u8, text: &[u8]| {
        let key: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        Sha256::new().chain_update(key).chain_update(text).finalize()
    };
    hash(0x5c, &hash(0x36, text)).to_vec()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for addresses, without padding (RFC 4648, 5).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// Bits that make no whole byte at the end are let go.
fn decode(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for char in text.bytes() {
        let value = ALPHABET.iter().position(|one| *one == char).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255).try_into().unwrap());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is looked for with these would otherwise never be found.
    #[test]
    fn the_second_reading_agrees_with_the_first_on_a_good_token() {
        assert!(TOKENS.verify(&MINTED, NOW_S).is_ok());
        believe(&MINTED);
        let (signed, given) = MINTED.rsplit_once('.').unwrap();
        assert_eq!(encode(&tag(OURS, signed.as_bytes())), given);
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc"] {
            assert_eq!(decode(&encode(bytes)), bytes);
        }
    }
}
