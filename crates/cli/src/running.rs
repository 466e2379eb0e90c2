//! A proxy that already runs: where it may be, and what it says.

use std::path::Path;
use std::time::Duration;

use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use latimer_protocol::status::Health;
use latimer_proxy::config::Config;

use crate::command::serve::PROXY_FILE;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest answer that is read.
const MOST_BYTES: usize = 16 << 20;

/// Where a proxy of this state directory may answer: where it said it does, and where it is configured to.
pub(crate) fn urls(state_dir: &Path, config: &Config) -> Vec<String> {
    let announced = std::fs::read_to_string(state_dir.join(PROXY_FILE))
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|value| value.get("url")?.as_str().map(str::to_owned));
    announced.into_iter().chain([format!("http://{}", config.server.listen)]).collect()
}

/// The health of the proxy at this URL, if one answers to our token.
pub(crate) fn health(url: &str, token: Option<&Secret>) -> Option<Health> {
    let (_, body) = get(&format!("{url}/health"), token)?;
    serde_json::from_slice(&body).ok()
}

/// Status and body of an answer; `None` when nobody answers.
pub(crate) fn get(url: &str, token: Option<&Secret>) -> Option<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let http = Http::new(HttpOptions { connect: PATIENCE, ca_file: None });
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push((hyper::header::AUTHORIZATION, format!("Bearer {}", token.expose()).parse().ok()?));
        }
        let answer = http.get(url, &headers, PATIENCE).await.ok()?;
        let status = answer.status.as_u16();
        Some((status, read_error_body(answer.body, MOST_BYTES, PATIENCE).await))
    })
}
