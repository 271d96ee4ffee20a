//! The secret of one run of the server: whoever can read the data folder is the owner of the machine, and shows it by
//! knowing this.

use super::secret::{digest_hex, random_secret};
use crate::hex::hex;

/// A random secret of 256 bits that lasts as long as the process. It has no `Debug`: nothing may log it.
pub struct RunSecret(String);

impl RunSecret {
    /// A fresh one.
    pub fn random() -> RunSecret {
        RunSecret(hex(&random_secret()))
    }

    /// For the lock file, which only the folder's owner can read, and for nothing else.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is it. Digests are compared, so that the time this takes says nothing about the secret.
    pub fn is(&self, claimed: &str) -> bool {
        digest_hex(self.0.as_bytes()) == digest_hex(claimed.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let secret = RunSecret::random();
        assert_eq!(secret.text().len(), 64);
        assert!(secret.is(secret.text()));
        for wrong in [
            "",
            &secret.text()[1..],
            &secret.text()[..63],
            &format!("{} ", secret.text()),
        ] {
            assert!(!secret.is(wrong), "{wrong}");
        }
        assert!(!secret.is(RunSecret::random().text()));
    }
}
