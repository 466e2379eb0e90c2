//! One login at a provider with token endpoints: who logs in where, and what becomes of a token.

use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::auth::flow;
use latimer_adapters::auth::provider::LoginProvider;
use latimer_adapters::auth::token::Token;
use latimer_proxy::accounts::clients::OAuthConfig;
use latimer_proxy::accounts::file::Tokens;
use latimer_proxy::accounts::{Places, refresh};
use latimer_proxy::config::Login;

use super::fingerprint_id;

/// What each way to log in has to know.
pub(super) struct LoginSession<'l> {
    pub(super) login: Login,
    pub(super) provider: &'static LoginProvider,
    /// What the provider knows us by.
    pub(super) registered: OAuthConfig,
    /// Whether the code comes back by a browser on this machine; else it is pasted, or typed on another device.
    pub(super) opens_browser: bool,
    /// How long the person may take.
    pub(super) timeout: Duration,
    pub(super) places: &'l Arc<Places>,
}

impl LoginSession<'_> {
    /// Asks the token endpoint for a token.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(super) async fn exchange(&self, body: String) -> anyhow::Result<Token> {
        let content_type = flow::content_type(self.provider);
        Ok(refresh::ask(self.places, &self.registered.token_url, content_type, body, self.login).await?)
    }
}

/// A token, as it is stored, for a person of this address if one is known; `now` in Unix seconds.
pub(super) fn tokens(login: Login, token: Token, email: Option<String>, now: u64) -> Tokens {
    let name = token.email.or(email).or_else(|| token.account.clone());
    let id = name.unwrap_or_else(|| fingerprint_id(login, token.refresh.as_ref().unwrap_or(&token.access)));
    Tokens {
        id,
        access: token.access,
        refresh: token.refresh,
        expires_at: Some(now.saturating_add(token.life.as_secs())),
        project: token.account,
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::secret::Secret;

    use super::*;

    fn token(email: Option<&str>, account: Option<&str>) -> Token {
        Token {
            access: Secret::new("a"),
            refresh: None,
            life: Duration::from_secs(60),
            email: email.map(str::to_owned),
            account: account.map(str::to_owned),
        }
    }

    #[test]
    fn an_account_is_called_by_the_best_name_there_is() {
        let id = |token, email: Option<&str>| tokens(Login::Google, token, email.map(str::to_owned), 1000).id;
        assert_eq!(id(token(Some("in@token"), Some("account")), None), "in@token");
        assert_eq!(id(token(None, Some("account")), Some("asked@for")), "asked@for");
        assert_eq!(id(token(None, Some("account")), None), "account");
        assert!(id(token(None, None), None).starts_with("google-"));
        assert_eq!(tokens(Login::Google, token(None, None), None, 1000).expires_at, Some(1060));
    }
}
