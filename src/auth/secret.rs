//! Random secrets, one-time codes, and digests of tokens that must be remembered without being kept.

use jwt_simple::reexports::rand::rand_core::UnwrapErr;
use jwt_simple::reexports::rand::{Rng as _, rngs::SysRng};
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// A fresh signing secret of 256 bits.
pub fn random_secret() -> [u8; 32] {
    random_bytes()
}

/// What every API key begins with, and no token does: tokens are JSON in base64, which begins with `ey`.
pub const API_KEY_START: &str = "fs-";

/// A fresh API key of 256 bits: its beginning, and lower-case hexadecimal digits.
pub fn new_api_key() -> String {
    format!("{API_KEY_START}{}", hex(&random_bytes::<32>()))
}

/// A one-time code of 128 bits in lower-case hexadecimal, safe in a URL and on a telephone.
pub(super) fn random_code() -> String {
    hex(&random_bytes::<16>())
}

/// The SHA-256 of `bytes` in lower-case hexadecimal: how a revoked token or an API key is remembered.
pub fn digest_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// From the operating system, through what jwt-simple brings along.
///
/// # Panics
/// When the system has none, as everything here does that needs some.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    UnwrapErr(SysRng).fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256() {
        // The second test vector of FIPS 180-2.
        assert_eq!(
            digest_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn codes_and_secrets_differ() {
        let code = random_code();
        assert_eq!(code.len(), 32);
        assert!(code.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        assert_ne!(code, random_code());
        assert_ne!(random_secret(), random_secret());
        let key = new_api_key();
        let digits = key.strip_prefix("fs-").unwrap();
        assert!(
            digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            "{key}"
        );
        assert_ne!(key, new_api_key());
    }
}
