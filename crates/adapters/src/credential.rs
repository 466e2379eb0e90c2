//! What a request is allowed in with.

use latimer_protocol::secret::Secret;

/// One key, or the access token of one account, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What people call it: `key-1`, an e-mail address. Never the secret itself.
    pub id: String,
    /// The key or the access token.
    pub secret: Secret,
    /// Which of both it is: some protocols have a header for each.
    pub kind: CredentialKind,
    /// The project that the account's requests are counted for, where a provider has such a thing.
    pub project: Option<String>,
}

/// What kind of secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// Made once, valid until it is taken back.
    ApiKey,
    /// From a login; short-lived, refreshed elsewhere.
    AccessToken,
}

impl Credential {
    /// A key that is sent as it is and has no end. `id` is what people call it, never a part of the secret.
    pub fn api_key(id: impl Into<String>, secret: Secret) -> Self {
        Self { id: id.into(), secret, kind: CredentialKind::ApiKey, project: None }
    }

    /// The token of a login, which ends and is renewed by whoever keeps the account. `id` is the account.
    pub fn access_token(id: impl Into<String>, secret: Secret) -> Self {
        Self { id: id.into(), secret, kind: CredentialKind::AccessToken, project: None }
    }

    /// True for an access token.
    pub fn is_access_token(&self) -> bool {
        self.kind == CredentialKind::AccessToken
    }
}
