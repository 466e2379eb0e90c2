//! One attempt up to the moment at which the upstream took it: room on the endpoint, a credential that is fresh, the request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::credential::Credential;
use latimer_adapters::drive::TurnStream;
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::prepared_request::PreparedRequest;
use latimer_protocol::failure::{Failure, Kind};
use tokio::sync::OwnedSemaphorePermit;

use super::endpoint_set::EndpointRuntime;
use super::pool::PoolEntry;
use crate::clock;

/// The longest wait for a slot or for the rate limit of an endpoint.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// An answer, and the place it takes on its endpoint.
pub(super) struct Opened {
    pub(super) stream: TurnStream,
    /// Given back when the answer is dropped.
    _slot: Option<OwnedSemaphorePermit>,
}

/// An attempt under way.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Opened, OpenError>> + Send>>;

/// Sends a request. Dropping the future takes it back.
pub(super) fn open(
    runtime: Arc<EndpointRuntime>,
    prepared: Arc<PreparedRequest>,
    entry: Option<PoolEntry>,
) -> Opening {
    Box::pin(async move {
        let slot = slot(&runtime).await?;
        wait_for_rate_limit(&runtime).await?;
        let credential = match &entry {
            Some(entry) => Some(entry.credential().await?),
            None => None,
        };
        let stream = match runtime.adapter.open(&prepared, credential.as_ref()).await {
            Err(refused) if refused.failure.status == Some(401) => {
                // A token may have been taken back before its end: one more try with another one.
                let renew = match (&entry, &credential) {
                    (Some(entry), Some(credential)) => entry.renew(credential).await,
                    _ => None,
                };
                match renew {
                    Some(credential) => runtime.adapter.open(&prepared, Some(&credential?)).await?,
                    None => return Err(refused),
                }
            }
            opened => opened?,
        };
        if let (Some(entry), Some(Credential { id, project: None, .. })) = (&entry, &credential)
            && let Some(project) = runtime.adapter.project(id)
        {
            entry.set_project(project);
        }
        Ok(Opened { stream, _slot: slot })
    })
}

/// Waits for a slot of the endpoint, where the number of its turns is limited.
async fn slot(runtime: &EndpointRuntime) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    let Some(slots) = runtime.slots.clone() else { return Ok(None) };
    let begun = clock::now();
    let waited = tokio::time::timeout(MAX_WAIT, slots.acquire_owned()).await;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if ms > 100 {
        tracing::info!(event = "turn.waited", endpoint = %runtime.endpoint.name, ms, why = "max_parallel");
    }
    match waited {
        Ok(Ok(permit)) => Ok(Some(permit)),
        Ok(Err(_)) | Err(_) => Err(busy(runtime, "max_parallel", None)),
    }
}

/// Waits until the endpoint's rate limit allows one more request.
async fn wait_for_rate_limit(runtime: &EndpointRuntime) -> Result<(), Failure> {
    let wait = runtime.take_token(clock::now());
    if wait > MAX_WAIT {
        runtime.give_token_back();
        return Err(busy(runtime, "requests_per_minute", Some(wait)));
    }
    if !wait.is_zero() {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(event = "turn.waited", endpoint = %runtime.endpoint.name, ms, why = "requests_per_minute");
        tokio::time::sleep(wait).await;
    }
    Ok(())
}

fn busy(runtime: &EndpointRuntime, setting: &str, retry_after: Option<Duration>) -> Failure {
    let name = &runtime.endpoint.name;
    let message = format!("{name}: all of this endpoint's room is taken (setting `{setting}`)");
    Failure { retry_after, ..Failure::new(Kind::ConcurrencyLimited, message) }
}
