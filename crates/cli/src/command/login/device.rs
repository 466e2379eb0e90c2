//! A login by a code that is typed on another device: ChatGPT's, as Codex itself does it where there is no browser.

use anyhow::{Context as _, bail};
use latimer_adapters::auth::device::{self, DevicePoll};
use latimer_adapters::auth::flow;
use latimer_proxy::accounts::file::Tokens;

use super::request::post_json;
use super::session::{LoginSession, tokens};
use crate::clock;
use crate::clock::unix_seconds;
use crate::terminal::print_lines;

/// Shows the code, and asks the provider at `base` until the person typed it.
///
/// # Errors
/// The provider refuses, or the person types nothing in time.
pub(super) async fn login(session: &LoginSession<'_>, base: &str) -> anyhow::Result<Tokens> {
    let client = &session.registered.client;
    let request = device::authorization_request(client);
    let (status, body) = post_json(session.places, &device::authorization_url(base), request).await?;
    let authorization = device::read_authorization(status, &body).map_err(anyhow::Error::msg)?;
    let url = device::verification_url(base);
    let code = &authorization.user_code;
    print_lines(["open this address on any device:", "", &url, "", "and type this code:", "", code, ""])?;
    let deadline = clock::now() + session.timeout;
    while clock::now() < deadline {
        tokio::time::sleep(authorization.interval).await;
        let request = device::poll_request(&authorization);
        let (status, body) = post_json(session.places, &device::poll_url(base), request).await?;
        match device::read_poll(status, &body).map_err(anyhow::Error::msg)? {
            DevicePoll::Pending => {}
            DevicePoll::Code { code, verifier } => {
                let redirect = device::redirect(base);
                let body = flow::device_exchange_body(session.provider, client, &redirect, &code, &verifier);
                let token = session.exchange(body).await.context("making a token of the code")?;
                return Ok(tokens(session.login, token, None, unix_seconds()));
            }
        }
    }
    bail!("nobody typed the code within {} seconds", session.timeout.as_secs())
}
