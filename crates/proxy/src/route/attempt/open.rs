//! One attempt up to the time at which the upstream takes it: room on the endpoint, a credential that is good, the request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::credential::Credential;
use latimer_adapters::drive::TurnStream;
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::prepared_request::PreparedRequest;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::status::TurnState;
use tokio::sync::OwnedSemaphorePermit;

use crate::clock;
use crate::route::endpoint_set::EndpointRuntime;
use crate::route::pool::PoolEntry;
use crate::running::RunningTurn;

/// The longest wait for a slot or for the rate limit of an endpoint.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// An answer that the upstream has begun, and the slot it takes on its endpoint.
pub struct OpenAnswer {
    stream: TurnStream,
    /// Given back when the answer is dropped.
    _slot: Option<OwnedSemaphorePermit>,
}

impl OpenAnswer {
    /// An answer that holds this slot until it is dropped.
    pub fn new(stream: TurnStream, slot: Option<OwnedSemaphorePermit>) -> Self {
        Self { stream, _slot: slot }
    }

    /// Its events.
    pub fn stream(&mut self) -> &mut TurnStream {
        &mut self.stream
    }
}

/// An attempt until the upstream takes it or refuses it.
pub type Opening = Pin<Box<dyn Future<Output = Result<OpenAnswer, OpenError>> + Send>>;

/// Sends a request. Dropping the future takes it back.
///
/// # Errors
/// The future ends in the upstream's refusal, in a failure of the account's login, or in [`FailureKind::ConcurrencyLimited`] where the
/// endpoint has no room within a minute.
pub fn open(
    runtime: Arc<EndpointRuntime>,
    prepared: Arc<PreparedRequest>,
    entry: Option<PoolEntry>,
    running: Arc<RunningTurn>,
) -> Opening {
    Box::pin(async move {
        let slot = slot(&runtime, &running).await?;
        wait_for_rate_limit(&runtime, &running).await?;
        let credential = match &entry {
            Some(entry) => Some(entry.credential().await?),
            None => None,
        };
        let stream = match runtime.adapter.open(&prepared, credential.as_ref()).await {
            Err(refused) if refused.failure.status == Some(401) => {
                // A token may have been taken back before its end: one more try with another one.
                let renewed = match (&entry, &credential) {
                    (Some(entry), Some(credential)) => entry.renew(credential).await,
                    _ => None,
                };
                match renewed {
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
        Ok(OpenAnswer::new(stream, slot))
    })
}

/// Waits for a slot of the endpoint, where the number of its turns is limited.
///
/// # Errors
/// All slots stay taken for [`MAX_WAIT`].
async fn slot(
    runtime: &EndpointRuntime,
    running: &RunningTurn,
) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    let Some(slots) = runtime.slots.clone() else { return Ok(None) };
    if let Ok(permit) = Arc::clone(&slots).try_acquire_owned() {
        return Ok(Some(permit));
    }
    let begun = clock::now();
    running.wait(format!("all places of {} are taken (`max_parallel`)", runtime.endpoint.name), None);
    let waited = tokio::time::timeout(MAX_WAIT, slots.acquire_owned()).await;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if ms > 100 {
        tracing::info!(event = "turn.waited", endpoint = %runtime.endpoint.name, ms, why = "max_parallel");
    }
    match waited {
        Ok(Ok(permit)) => {
            running.enter(TurnState::Connecting);
            Ok(Some(permit))
        }
        Ok(Err(_)) | Err(_) => Err(busy(runtime, "max_parallel", None)),
    }
}

/// Waits until the endpoint's rate limit allows one more request.
///
/// # Errors
/// That takes longer than [`MAX_WAIT`]; then nothing was taken from the limit.
async fn wait_for_rate_limit(runtime: &EndpointRuntime, running: &RunningTurn) -> Result<(), Failure> {
    let wait = runtime.take_token(clock::now());
    if wait > MAX_WAIT {
        runtime.give_token_back();
        return Err(busy(runtime, "requests_per_minute", Some(wait)));
    }
    if !wait.is_zero() {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(event = "turn.waited", endpoint = %runtime.endpoint.name, ms, why = "requests_per_minute");
        running.wait(
            format!(
                "{} takes no more requests in this minute (`requests_per_minute`)",
                runtime.endpoint.name
            ),
            Some(wait),
        );
        tokio::time::sleep(wait).await;
        running.enter(TurnState::Connecting);
    }
    Ok(())
}

fn busy(runtime: &EndpointRuntime, setting: &str, retry_after: Option<Duration>) -> Failure {
    let name = &runtime.endpoint.name;
    let message = format!("{name}: all of this endpoint's room is taken (setting `{setting}`)");
    Failure { retry_after, ..Failure::new(FailureKind::ConcurrencyLimited, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::route::endpoint_set::EndpointSet;
    use crate::route::memory::Memory;

    fn runtime(setting: &str) -> Arc<EndpointRuntime> {
        let text = format!("[[endpoint]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1\"\n{setting}\n");
        let unreadable = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let config = parse::load(&text, &|_| None, &unreadable).expect("a configuration").config;
        let set = EndpointSet::new(Arc::new(config), Arc::new(Memory::new(None)), None, None);
        Arc::clone(&set.endpoints()[0])
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_waited_for_and_given_back() {
        let runtime = runtime("max_parallel = 1");
        let first = slot(&runtime, &RunningTurn::default()).await.expect("free");
        assert!(first.is_some());
        let turn = RunningTurn::default();
        let busy = slot(&runtime, &turn).await.expect_err("taken for longer than anybody waits");
        let wait = turn.report().wait.expect("it says what it waits for");
        assert!(wait.why.contains("max_parallel") && wait.until_ms.is_none(), "{wait:?}");
        assert_eq!((busy.kind, busy.retry_after), (FailureKind::ConcurrencyLimited, None));
        assert!(busy.message.contains("max_parallel"), "{}", busy.message);
        let waiting = tokio::spawn({
            let runtime = Arc::clone(&runtime);
            async move { slot(&runtime, &RunningTurn::default()).await.is_ok() }
        });
        tokio::time::sleep(MAX_WAIT / 2).await;
        drop(first);
        assert!(waiting.await.expect("joined"), "given back in time");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_limit_is_waited_for_up_to_a_minute() {
        let runtime = runtime("requests_per_minute = 6");
        wait_for_rate_limit(&runtime, &RunningTurn::default()).await.expect("the first goes at once");
        let begun = tokio::time::Instant::now();
        let turn = RunningTurn::default();
        wait_for_rate_limit(&runtime, &turn).await.expect("the second waits");
        assert_eq!(turn.report().state, TurnState::Connecting, "and waits no longer");
        assert!((9..=10).contains(&begun.elapsed().as_secs()), "the bucket itself fills by a real clock");
        for _ in 0..6 {
            runtime.take_token(clock::now());
        }
        let busy = wait_for_rate_limit(&runtime, &RunningTurn::default()).await.expect_err("too long");
        assert_eq!(busy.kind, FailureKind::ConcurrencyLimited);
        assert!(busy.retry_after.is_some_and(|wait| wait > MAX_WAIT), "{busy:?}");
        let again = wait_for_rate_limit(&runtime, &RunningTurn::default()).await.expect_err("still too long");
        assert!(again.retry_after <= busy.retry_after, "what was refused took nothing");
    }
}
