//! JSON web tokens made by hand, valid and not: HMAC (RFC 2104) over the SHA-2 crate, because a token library refuses
//! to write most of what these tests want to send.

use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// What signs the token; the header's `alg` is given apart, so that the two can disagree.
#[derive(Clone, Copy)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    /// No signature at all.
    Unsigned,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Unsigned => "none",
        }
    }

    fn sign(self, secret: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Algorithm::Hs256 => hmac(64, secret, message, |bytes| Sha256::digest(bytes).to_vec()),
            Algorithm::Hs384 => hmac(128, secret, message, |bytes| Sha384::digest(bytes).to_vec()),
            Algorithm::Hs512 => hmac(128, secret, message, |bytes| Sha512::digest(bytes).to_vec()),
            Algorithm::Unsigned => Vec::new(),
        }
    }
}

/// An HS256 token with exactly these claims.
pub(crate) fn forge(secret: &str, claims: &Value) -> String {
    forge_with(Algorithm::Hs256, Algorithm::Hs256.name(), secret, claims)
}

/// A token whose header says `alg` and whose signature is made by `algorithm`.
pub(crate) fn forge_with(algorithm: Algorithm, alg: &str, secret: &str, claims: &Value) -> String {
    let head = json!({"alg": alg, "typ": "JWT"}).to_string();
    forge_raw(
        algorithm,
        secret.as_bytes(),
        head.as_bytes(),
        claims.to_string().as_bytes(),
    )
}

/// A token of these very bytes, which need not be JSON.
pub(crate) fn forge_raw(algorithm: Algorithm, secret: &[u8], head: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", encode(head), encode(claims));
    let signature = encode(&algorithm.sign(secret, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What a token claims.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&decode(payload)).expect("claims in JSON")
}

fn hmac(block: usize, secret: &[u8], message: &[u8], hash: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut key = if secret.len() > block {
        hash(secret)
    } else {
        secret.to_vec()
    };
    key.resize(block, 0);
    let pad = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = hash(&[pad(0x36).as_slice(), message].concat());
    hash(&[pad(0x5c).as_slice(), &inner].concat())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url without padding (RFC 4648 §5).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..=chunk.len() {
            let sextet = (word >> (18 - 6 * at)) & 0x3f;
            text.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    text
}

/// The opposite of [`encode`].
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let sextet = |letter: &u8| ALPHABET.iter().position(|known| known == letter).expect("base64url");
        let word = chunk.iter().fold(0, |word, letter| word << 6 | sextet(letter)) << (6 * (4 - chunk.len()));
        bytes.extend((1..chunk.len()).map(|at| (word >> (24 - 8 * at)).to_le_bytes()[0]));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, decode, encode};

    #[test]
    fn base64url_is_unpadded() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), bytes.as_bytes());
        }
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_sha256_follows_the_rfc() {
        let mac = Algorithm::Hs256.sign(b"Jefe", b"what do ya want for nothing?");
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
