//! A login in the browser: OAuth with PKCE, the code brought back by the browser or pasted by the person.

use anyhow::Context as _;
use latimer_adapters::auth::flow;
use latimer_adapters::auth::pkce::Pkce;
use latimer_adapters::auth::token::Token;
use latimer_proxy::accounts::file::Tokens;
use latimer_proxy::config::state;
use serde_json::Value;

use super::callback::{listen, wait_for_code};
use super::prompt::read_code;
use super::request::get_with_token;
use super::session::LoginSession;
use crate::browser;
use crate::clock::unix_seconds;
use crate::terminal::{eprint_line, print_address, print_line};

/// A code, with what the token endpoint wants to see again.
struct AuthorizationCode {
    code: String,
    redirect: String,
    state: String,
    pkce: Pkce,
}

/// # Errors
/// The person says no or nothing in time, or the provider hands out no token.
pub(super) async fn login(session: &LoginSession<'_>) -> anyhow::Result<Tokens> {
    let AuthorizationCode { code, redirect, state, pkce } = authorize(session).await?;
    let client = &session.registered.client;
    let body = flow::code_exchange_body(session.provider, client, &redirect, &code, &state, &pkce);
    let token = session.exchange(body).await?;
    let email = match &token.email {
        Some(_) => None,
        None => email(session, &token).await,
    };
    Ok(Tokens::of_token(session.login, token, email, unix_seconds()))
}

/// Sends the person to the provider, and waits for the code.
async fn authorize(session: &LoginSession<'_>) -> anyhow::Result<AuthorizationCode> {
    let LoginSession { provider, registered, timeout, .. } = session;
    let pkce = Pkce::new(random_bytes()?);
    let state = state::random_secret().context("randomness of the system")?.expose().to_owned();
    // Some providers show the code on a page of their own, for a machine without a browser.
    let shown_redirect = provider.shown_redirect.filter(|_| !session.opens_browser);
    let (listener, redirect) = if let Some(redirect) = shown_redirect {
        (None, redirect.to_owned())
    } else {
        let listener = listen(provider).await?;
        let port = listener.port()?;
        let redirect = format!("http://{}:{port}{}", provider.redirect_host, provider.redirect_path);
        (Some(listener), redirect)
    };
    let url = flow::authorize_url(
        &registered.authorize_url,
        provider,
        &registered.client,
        &redirect,
        &state,
        &pkce,
    );
    print_line("open this address and say yes:")?;
    print_address(&url)?;
    let code = match &listener {
        Some(listener) if session.opens_browser => {
            browser::open(&url);
            let code = wait_for_code(listener, provider.redirect_path, &state);
            let waited = tokio::time::timeout(*timeout, code).await;
            waited.with_context(|| format!("nobody came back within {} seconds", timeout.as_secs()))??
        }
        _ => {
            eprint_line("then paste the code, or the whole address the browser ends at:");
            read_code(&state, *timeout).await?
        }
    };
    Ok(AuthorizationCode { code, redirect, state, pkce })
}

/// The person's address, where the provider has an endpoint that says so.
async fn email(session: &LoginSession<'_>, token: &Token) -> Option<String> {
    let url = session.registered.user_url.as_deref()?;
    let body = get_with_token(session.places, url, &token.access).await?;
    let value: Value = serde_json::from_slice(&body).ok()?;
    value.get("email")?.as_str().map(str::to_owned)
}

fn random_bytes() -> anyhow::Result<[u8; 32]> {
    let secret = state::random_secret().context("randomness of the system")?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(secret.expose().as_bytes().chunks(2)) {
        let hex = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(hex, 16).unwrap_or(0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes().expect("randomness"), random_bytes().expect("randomness"));
    }
}
