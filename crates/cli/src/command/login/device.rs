//! A login by a code that is typed on another device: ChatGPT's, as Codex itself does it where there is no browser.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use latimer_adapters::auth::device::{self, Begun, Polled};
use latimer_adapters::auth::flow;
use latimer_adapters::auth::provider::Provider;
use latimer_adapters::auth::token::Token;
use latimer_adapters::transport::read_error_body;
use latimer_proxy::accounts::clients::Registered;
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
    provider: &'static Provider,
    base: &str,
    registered: &Registered,
    places: &Arc<Places>,
) -> anyhow::Result<Token> {
    let client = &registered.client;
    let (status, body) = ask(places, &device::begin_url(base), device::begin_body(client)).await?;
    let begun: Begun = device::begun(status, &body).map_err(anyhow::Error::msg)?;
    setup::say(&format!(
        "open this address on any device:\n\n{}\n\nand type this code:\n\n{}\n",
        device::shown_url(base),
        begun.user_code
    ))?;
    let deadline = Instant::now() + Duration::from_secs(timeout);
    while Instant::now() < deadline {
        tokio::time::sleep(begun.interval).await;
        let (status, body) = ask(places, &device::poll_url(base), device::poll_body(&begun)).await?;
        match device::polled(status, &body).map_err(anyhow::Error::msg)? {
            Polled::NotYet => {}
            Polled::Code { code, verifier } => {
                let body = flow::exchange_with(provider, client, &device::redirect(base), &code, &verifier);
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
