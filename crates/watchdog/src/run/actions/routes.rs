//! Actions in the running proxy: all through its own interface, all for a time, all visible in its health document.

use std::time::Duration;

use latimer_protocol::status::{OverrideRequest, OverrideWhat};

use super::super::proxy_client::{ProxyClient, ProxyClientError};
use crate::action::Action;
use crate::time::Time;

/// How long the proxy may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest an override may last, in seconds.
const MAX_OVERRIDE_SECS: u64 = 86_400;

/// Carries out an action that is the proxy's to do; `None` for every other action.
pub async fn execute(
    api: &ProxyClient,
    action: &Action,
    why: &str,
    now: Time,
) -> Option<Result<(), ProxyClientError>> {
    Some(match action {
        Action::Wait { endpoint: Some(endpoint), for_ms } => {
            set(api, avoid(endpoint), for_ms.div_ceil(1000), why).await
        }
        // A rest of the whole network needs no change: the proxy backs off by itself.
        Action::Wait { endpoint: None, .. } => Ok(()),
        Action::Retry { endpoint } => {
            let lifted = lift(api, endpoint.as_deref()).await;
            api.retry(endpoint.as_deref(), REQUEST_TIMEOUT).await.and(lifted)
        }
        Action::SwitchProvider { from, expires_at } => {
            set(api, avoid(from), left(*expires_at, now), why).await
        }
        Action::RaiseTimeout { endpoint, percent, expires_at } => {
            let factor = f64::from(*percent) / 100.0;
            let what = OverrideWhat::RaiseTimeouts { endpoint: endpoint.clone(), factor };
            set(api, what, left(*expires_at, now), why).await
        }
        Action::Reconnect { endpoint } => api.reconnect(endpoint.as_deref(), REQUEST_TIMEOUT).await,
        _ => return None,
    })
}

fn avoid(endpoint: &str) -> OverrideWhat {
    OverrideWhat::AvoidEndpoint { endpoint: endpoint.to_owned() }
}

fn left(expires_at: Time, now: Time) -> u64 {
    expires_at.since(now).as_secs()
}

async fn set(api: &ProxyClient, what: OverrideWhat, seconds: u64, why: &str) -> Result<(), ProxyClientError> {
    let request = OverrideRequest { what, seconds: seconds.clamp(1, MAX_OVERRIDE_SECS), why: why.to_owned() };
    api.set_override(&request, REQUEST_TIMEOUT).await.map(|_| ())
}

/// Takes back what keeps turns away from an endpoint, or from all of them.
async fn lift(api: &ProxyClient, endpoint: Option<&str>) -> Result<(), ProxyClientError> {
    let health = api.health(REQUEST_TIMEOUT).await?;
    for known in health.overrides {
        let OverrideWhat::AvoidEndpoint { endpoint: avoided } = &known.what else { continue };
        if endpoint.is_none_or(|endpoint| endpoint == avoided) {
            // It may have ended by itself meanwhile.
            let _ = api.remove_override(known.id, REQUEST_TIMEOUT).await;
        }
    }
    Ok(())
}
