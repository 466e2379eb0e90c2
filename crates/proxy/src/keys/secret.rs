//! How a client key is written, and how it is kept.
//!
//! `sk-latimer-ID-SECRET`: twelve hex digits that name the key, and 64 that open. What is kept is a salt of its own for each key, and
//! HMAC-SHA-256 under it. A slow function such as Argon2 would be wrong here: it makes guessing dear where people choose passwords, but
//! these 256 bits come from the system's generator, and no machine guesses those at any speed; and it would cost every request what
//! one guess costs an attacker. So a request pays one look into a table and one HMAC, about a microsecond.

use std::fmt;
use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use latimer_protocol::secret::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// What every key begins with: tools that look for lost keys know the first three characters.
const PREFIX: &str = "sk-latimer-";
/// Half as many as the id has hex digits.
const ID_BYTES: usize = 6;
/// Half as many as the part that opens has hex digits: 256 bits, which no machine guesses.
const SECRET_BYTES: usize = 32;
/// 128 bits: no two keys get the same.
pub const SALT_BYTES: usize = 16;
/// Bytes of what is kept of a secret.
pub const HASH_BYTES: usize = 32;
/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The part of a key that names it. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// The id that is written so; `None` for anything that is none.
    pub fn read(text: &str) -> Option<Self> {
        is_hex(text, ID_BYTES).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyProof {
    /// Another one for each key, so that equal secrets could not be seen.
    pub salt: [u8; SALT_BYTES],
    /// HMAC-SHA-256 of the secret under the salt.
    pub hash: [u8; HASH_BYTES],
}

impl fmt::Debug for KeyProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyProof(***)")
    }
}

impl KeyProof {
    fn of(secret: &str, salt: [u8; SALT_BYTES]) -> Self {
        Self { hash: hmac(&salt, secret.as_bytes()), salt }
    }

    /// Whether this is the secret. Takes the same time for every guess.
    pub fn fits(&self, secret: &str) -> bool {
        hmac(&self.salt, secret.as_bytes()).ct_eq(&self.hash).into()
    }
}

/// A key that was made a moment ago: the only time that its secret is there to be shown.
pub struct NewSecret {
    /// The whole key, as the client sends it.
    pub key: Secret,
    /// What names it.
    pub id: KeyId,
    /// What is kept of it.
    pub proof: KeyProof,
}

impl NewSecret {
    /// A key with a new id.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn draw() -> io::Result<Self> {
        Self::draw_for(KeyId(hex(&random::<ID_BYTES>()?)))
    }

    /// Another secret for the key of this id.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn draw_for(id: KeyId) -> io::Result<Self> {
        let secret = hex(&random::<SECRET_BYTES>()?);
        let proof = KeyProof::of(&secret, random()?);
        Ok(Self { key: Secret::new(format!("{PREFIX}{id}-{secret}")), id, proof })
    }
}

/// A text that has the form of a client key.
#[derive(Clone, Copy)]
pub struct PresentedKey<'t> {
    id: &'t str,
    secret: &'t str,
}

impl<'t> PresentedKey<'t> {
    /// Takes a text apart; `None` for one that has another form, such as the token of a state directory.
    pub fn read(text: &'t str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('-')?;
        (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some(Self { id, secret })
    }

    /// The id it names.
    pub fn id(self) -> KeyId {
        KeyId(self.id.to_owned())
    }

    /// Whether it is the key of which this is kept.
    pub fn is(self, proof: &KeyProof) -> bool {
        proof.fits(self.secret)
    }
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == bytes * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// HMAC-SHA-256, which takes keys of any length.
fn hmac(salt: &[u8; SALT_BYTES], text: &[u8]) -> [u8; HASH_BYTES] {
    let mut mac = Hmac::<Sha256>::new(&padded(salt).into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// A key shorter than a block is one with zeros behind it (RFC 2104), and a whole block needs no check of its length.
fn padded(salt: &[u8; SALT_BYTES]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block.iter_mut().zip(salt).for_each(|(byte, salt)| *byte = *salt);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_own_secret_only() {
        let made = NewSecret::draw().expect("randomness");
        let text = made.key.expose();
        let shown = PresentedKey::read(text).expect("a key");
        assert!(shown.id() == made.id && shown.is(&made.proof), "{text}");
        let other = NewSecret::draw_for(made.id.clone()).expect("randomness");
        assert!(
            !shown.is(&other.proof)
                && !PresentedKey::read(other.key.expose()).expect("a key").is(&made.proof)
        );
        assert_ne!(made.proof.salt, other.proof.salt);
        let kept = format!("{:?}{}", made.proof, hex(&made.proof.hash));
        assert!(!kept.contains(&text[text.len() - 64..]));
    }

    #[test]
    fn what_has_another_form_is_no_key() {
        let key = NewSecret::draw().expect("randomness").key;
        let key = key.expose();
        for text in [
            "",
            "sk-latimer-",
            "sk-latimer-0-0",
            &key[..key.len() - 1],
            &key.to_uppercase(),
            &format!("{key}0"),
        ] {
            assert!(PresentedKey::read(text).is_none(), "{text}");
        }
        assert!(KeyId::read("00ff00ff00ff").is_some() && KeyId::read("00FF00ff00ff").is_none());
    }

    /// Made with `openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn the_hash_is_hmac() {
        let key = *b"0123456789abcdef";
        assert_eq!(
            hex(&hmac(&key, b"what do ya want for nothing?")),
            "e9265dc1bf18d4ec36915d9e82226c7ea0fa4e7f8077f611515bd5e29ec9988c"
        );
    }
}
