//! Secrets of a program. Their values are in no row, no plan and no journal: properties have a fingerprint in their place, by which a
//! changed value is seen.
//!
//! A fingerprint is an HMAC under a key that is not in the state. So whoever has the state cannot try out values.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The value of a secret. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the call that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The key of fingerprints. Its `Debug` output does not show it.
#[derive(Clone)]
pub struct FingerprintKey(Hmac<Sha256>);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

impl FingerprintKey {
    /// The key that `bytes` are. They have to be random, or derived from a password by a function that is slow.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        // A key of this size is the key as it is.
        let padded: [u8; 64] = std::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0));
        Self(Hmac::new(&padded.into()))
    }

    /// What tells `secret` from other values in the place `place`. The same value in another place has another fingerprint.
    #[must_use]
    pub fn fingerprint(&self, place: &str, secret: &Secret) -> String {
        let mut mac = self.0.clone();
        mac.update(&(place.len() as u64).to_le_bytes());
        mac.update(place.as_bytes());
        mac.update(secret.0.as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_a_key_a_place_and_a_value() {
        let key = FingerprintKey::new(&[1; 32]);
        let secret = Secret::new("s");
        let one = key.fingerprint("a", &secret);
        assert_eq!(one, key.fingerprint("a", &secret));
        assert_ne!(one, key.fingerprint("b", &secret));
        assert_ne!(one, key.fingerprint("a", &Secret::new("t")));
        assert_ne!(one, FingerprintKey::new(&[2; 32]).fingerprint("a", &secret));
        assert_ne!(key.fingerprint("ab", &Secret::new("c")), key.fingerprint("a", &Secret::new("bc")));
        assert_eq!(format!("{secret:?} {key:?}"), "Secret(..) FingerprintKey(..)");
    }
}
