//! A login by a code that is typed on another device: ChatGPT's, as Codex itself does it where there is no browser.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use latimer_adapters::auth::device::{self, DeviceAuthorization, DevicePoll};
use latimer_adapters::auth::flow;
use latimer_adapters::auth::provider::LoginProvider;
use latimer_adapters::auth::token::Token;
use latimer_adapters::transport::read_error_body;
use latimer_proxy::accounts::clients::OAuthConfig;
use latimer_proxy::accounts::{Places, refresh};
use latimer_proxy::config::Login;
use tokio::time::Instant;

use super::PATIENCE;
use crate::setup;

/// The most of an answer that is read.
const MOST: usize = 1 << 16;

pub(super) async fn login(
    timeout: u64,
    login: Login,
    provider: &'static LoginProvider,
    base: &str,
    registered: &OAuthConfig,
    places: &Arc<Places>,
) -> anyhow::Result<Token> {
    let client = &registered.client;
    let (status, body) =
        ask(places, &device::authorization_url(base), device::authorization_request(client)).await?;
    let authorization: DeviceAuthorization =
        device::read_authorization(status, &body).map_err(anyhow::Error::msg)?;
    setup::say(&format!(
        "open this address on any device:\n\n{}\n\nand type this code:\n\n{}\n",
        device::verification_url(base),
        authorization.user_code
    ))?;
    let deadline = Instant::now() + Duration::from_secs(timeout);
    while Instant::now() < deadline {
        tokio::time::sleep(authorization.interval).await;
        let (status, body) =
            ask(places, &device::poll_url(base), device::poll_request(&authorization)).await?;
        match device::read_poll(status, &body).map_err(anyhow::Error::msg)? {
            DevicePoll::Pending => {}
            DevicePoll::Code { code, verifier } => {
                let body =
                    flow::device_exchange_body(provider, client, &device::redirect(base), &code, &verifier);
                let content_type = flow::content_type(provider);
                let token = refresh::ask(places, &registered.token_url, content_type, body, login).await;
                return token.context("making a token of the code");
            }
        }
    }
    bail!("nobody typed the code within {timeout} seconds")
}

async fn ask(places: &Places, url: &str, body: String) -> anyhow::Result<(u16, Vec<u8>)> {
    let headers: Vec<(HeaderName, HeaderValue)> =
        vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let answer = places.http().post(url, &headers, body.into(), PATIENCE).await?;
    let status = answer.status.as_u16();
    Ok((status, read_error_body(answer.body, MOST, PATIENCE).await))
}
