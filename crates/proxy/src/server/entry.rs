//! Whether a token is needed, and which: both may change while the proxy runs.

use std::sync::RwLock;

use hyper::HeaderMap;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::SealKey;

use super::access::{TokenHash, has_token};
use crate::config::{Auth, Config};
use crate::sync::{read, write};

/// Who may come in.
pub(super) struct Entry {
    begun: Begun,
    secret: RwLock<Option<KnownSecret>>,
}

/// How the proxy was started. A reload makes the entry narrower, never wider: a wider one could be reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// Without a token at all, as for a demonstration: whoever reaches the port may come in.
    Open,
    /// A token is needed once the configuration says so.
    AsConfigured,
    /// A token is needed.
    Token,
}

/// The secret of the state directory.
struct KnownSecret {
    hash: TokenHash,
    proof: SealKey,
}

impl KnownSecret {
    fn new(secret: &Secret) -> Self {
        Self { hash: TokenHash::new(secret), proof: SealKey::from_secret(secret.expose().as_bytes()) }
    }
}

impl Entry {
    /// The entry of a proxy with this secret, as it begins.
    pub(super) fn new(secret: Option<&Secret>, config: &Config) -> Self {
        let begun = match (config.server.auth, secret) {
            (Auth::None, _) => Begun::AsConfigured,
            (Auth::Token, Some(_)) => Begun::Token,
            (Auth::Token, None) => Begun::Open,
        };
        Self { begun, secret: RwLock::new(secret.map(KnownSecret::new)) }
    }

    /// Whether a request must carry the token now.
    fn needs_token(&self, config: &Config) -> bool {
        match self.begun {
            Begun::Open => false,
            Begun::Token => true,
            Begun::AsConfigured => config.server.auth == Auth::Token,
        }
    }

    /// Whether a request with these headers may come in.
    pub(super) fn admits(&self, headers: &HeaderMap, config: &Config) -> bool {
        !self.needs_token(config) || self.carries_token(headers)
    }

    /// Whether these headers carry the token, needed or not.
    pub(super) fn carries_token(&self, headers: &HeaderMap) -> bool {
        read(&self.secret).as_ref().is_some_and(|secret| has_token(headers, &secret.hash))
    }

    /// What answers challenges; `None` without a secret.
    pub(super) fn proof_key(&self) -> Option<SealKey> {
        read(&self.secret).as_ref().map(|secret| secret.proof.clone())
    }

    /// Takes up another secret; the old one opens nothing any more.
    pub(super) fn rotate(&self, secret: &Secret) {
        *write(&self.secret) = Some(KnownSecret::new(secret));
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::config::parse::config_of;

    fn with(token: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(hyper::header::AUTHORIZATION, HeaderValue::from_static(token))])
    }

    #[test]
    fn the_entry_becomes_narrower_and_never_wider() {
        let open = config_of("[server]\nauth = \"none\"\n");
        let closed = config_of("");
        let secret = Secret::new("first");
        let entry = Entry::new(Some(&secret), &open);
        assert!(entry.admits(&HeaderMap::new(), &open) && !entry.admits(&HeaderMap::new(), &closed));
        assert!(entry.admits(&with("Bearer first"), &closed));
        let entry = Entry::new(Some(&secret), &closed);
        assert!(!entry.admits(&HeaderMap::new(), &open), "a wider one takes a start");
        let entry = Entry::new(None, &open);
        assert!(!entry.admits(&with("Bearer first"), &closed), "no secret opens nothing");
        assert!(Entry::new(None, &closed).admits(&HeaderMap::new(), &closed), "a demonstration");
    }

    #[test]
    fn after_a_rotation_only_the_new_secret_opens() {
        let config = config_of("");
        let entry = Entry::new(Some(&Secret::new("first")), &config);
        entry.rotate(&Secret::new("second"));
        assert!(
            !entry.admits(&with("Bearer first"), &config) && entry.admits(&with("Bearer second"), &config)
        );
    }
}
