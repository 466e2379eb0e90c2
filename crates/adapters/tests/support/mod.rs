//! What tests over sockets share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::endpoint_client::EndpointClient;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;

/// A link to this base.
pub(crate) fn client(base_url: &str) -> Arc<EndpointClient> {
    Arc::new(EndpointClient {
        name: "lab".into(),
        base_url: base_url.into(),
        provider: "lab".into(),
        headers: Vec::new(),
        first_byte: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        content: Duration::from_secs(600),
        http: Http::new(HttpOptions {
            outbound: Outbound::Direct,
            connect: Duration::from_secs(5),
            ca_file: None,
        }),
    })
}
