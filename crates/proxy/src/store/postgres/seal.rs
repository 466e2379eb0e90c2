//! What may not stand in the shared database in clear is sealed: ChaCha20-Poly1305 under a key of all nodes, bound to its name.

use latimer_protocol::secret::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// Seals and opens.
pub(super) struct Seal(Option<LessSafeKey>);

impl Seal {
    /// The seal of everybody who has this secret.
    pub(super) fn new(secret: &Secret) -> Self {
        let key =
            Sha256::new().chain_update(b"latimer shared store\n").chain_update(secret.expose()).finalize();
        Self(UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new))
    }

    /// The text under a seal; `None` where the system has no randomness to give.
    pub(super) fn seal(&self, name: &str, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.to_vec();
        let of_name = Aad::from(name.as_bytes());
        self.0
            .as_ref()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), of_name, &mut sealed)
            .ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// The text that was sealed under this name by somebody with the same secret.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let opened = self.0.as_ref()?.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).ok()?;
        Some(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_under_its_name_and_secret_only() {
        let seal = Seal::new(&Secret::new("a secret of all nodes"));
        let sealed = seal.seal("chatgpt/me", b"canary").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_eq!(seal.open("chatgpt/me", &sealed).as_deref(), Some(&b"canary"[..]));
        assert_eq!(seal.open("chatgpt/you", &sealed), None);
        assert_eq!(Seal::new(&Secret::new("another secret")).open("chatgpt/me", &sealed), None);
        assert_eq!(seal.open("chatgpt/me", b"short"), None);
        assert_ne!(seal.seal("chatgpt/me", b"canary"), Some(sealed));
    }
}
