//! Requests to a provider during a login.

use std::time::Duration;

use hyper::header::AUTHORIZATION;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::Places;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 1 << 16;

/// The body of the answer to a `GET` with a bearer token; `None` when nobody answers.
pub(super) async fn get_with_token(places: &Places, url: &str, token: &Secret) -> Option<Vec<u8>> {
    let bearer = format!("Bearer {}", token.expose()).parse().ok()?;
    let response = places.http().get(url, &[(AUTHORIZATION, bearer)], REQUEST_TIMEOUT).await.ok()?;
    Some(read_error_body(response.body, MAX_BODY_BYTES, REQUEST_TIMEOUT).await)
}
