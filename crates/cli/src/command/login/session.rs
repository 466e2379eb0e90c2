//! One login at a provider with token endpoints: who logs in where, and what becomes of a token.

use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::auth::flow;
use latimer_adapters::auth::provider::LoginProvider;
use latimer_adapters::auth::token::Token;
use latimer_proxy::accounts::clients::OAuthConfig;
use latimer_proxy::accounts::{Places, refresh};
use latimer_proxy::config::Login;

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
