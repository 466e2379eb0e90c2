//! One attempt up to the time at which the upstream takes it: room on the endpoint, a credential that is good, the request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::credential::Credential;
use latimer_adapters::drive::{SteerTurn, TurnStream};
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::prepared_request::PreparedRequest;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::quota::QuotaReading;
use latimer_protocol::status::TurnState;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::route::endpoint_set::EndpointRuntime;
use crate::route::pool::PoolEntry;
use crate::route::quota::QuotaSource;
use crate::route::rest::NO_ROOM;
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

    /// How more words reach it while it runs; `None` where they wait for its end.
    pub fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        self.stream.steer()
    }

    /// Its events.
    pub fn stream(&mut self) -> &mut TurnStream {
        &mut self.stream
    }
}

/// An attempt until the upstream takes it or refuses it.
pub type Opening = Pin<Box<dyn Future<Output = Result<OpenAnswer, OpenError>> + Send>>;

/// Room for one request on an endpoint: one of its places, and one request of its minute. The place is given back when this is dropped.
#[derive(Debug, Default)]
pub struct Room(Option<OwnedSemaphorePermit>);

/// How a request comes to its room.
pub enum RoomFor {
    /// It has it.
    Request(Room),
    /// A follow-up waits for it on its way, and tells this turn.
    FollowUp(Arc<RunningTurn>),
}

/// A wait for room.
///
/// # Errors
/// The future ends in [`FailureKind::ConcurrencyLimited`] where the endpoint has no room within a minute.
pub type WaitingForRoom = Pin<Box<dyn Future<Output = Result<Room, Failure>> + Send>>;

/// Sends a request. Dropping the future takes it back.
///
/// # Errors
/// The future ends in the upstream's refusal, in a failure of the account's login, or, for a follow-up, as [`WaitingForRoom`] does.
pub fn open(
    runtime: Arc<EndpointRuntime>,
    prepared: Arc<PreparedRequest>,
    entry: Option<PoolEntry>,
    room: RoomFor,
) -> Opening {
    Box::pin(async move {
        let Room(slot) = match room {
            RoomFor::Request(room) => room,
            RoomFor::FollowUp(running) => match take_room(&runtime, &running) {
                Ok(room) => room,
                Err(waiting) => waiting.await?,
            },
        };
        let credential = match &entry {
            Some(entry) => Some(entry.credential().await?),
            None => None,
        };
        let opened = runtime.adapter.open(&prepared, credential.as_ref()).await;
        let mut stream =
            match opened.inspect_err(|refused| note_quota(&runtime, entry.as_ref(), &refused.quota)) {
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
        note_quota(&runtime, entry.as_ref(), &stream.take_quota());
        Ok(OpenAnswer::new(stream, slot))
    })
}

/// Remembers what an answer's headers said of an account's allowances.
fn note_quota(runtime: &EndpointRuntime, entry: Option<&PoolEntry>, readings: &[QuotaReading]) {
    if let (Some(entry), false) = (entry, readings.is_empty()) {
        let endpoint = runtime.endpoint.name.as_str();
        runtime.memory.note_quota(entry.owner(endpoint), readings.to_vec(), QuotaSource::Header);
    }
}

/// Takes room for one request, or begins to wait for it.
///
/// # Errors
/// There is none now: what waits for it, and tells the turn so.
pub fn take_room(runtime: &Arc<EndpointRuntime>, running: &Arc<RunningTurn>) -> Result<Room, WaitingForRoom> {
    let (runtime, running) = (Arc::clone(runtime), Arc::clone(running));
    let slot = match runtime.slots.clone().map(Semaphore::try_acquire_owned) {
        None => None,
        Some(Ok(permit)) => Some(permit),
        Some(Err(_)) => {
            return Err(Box::pin(async move {
                let slot = slot(&runtime, &running).await?;
                wait_for_rate_limit(&runtime, &running, runtime.take_token(clock::now())).await?;
                Ok(Room(slot))
            }));
        }
    };
    let wait = runtime.take_token(clock::now());
    if wait.is_zero() && !runtime.shares_limit() {
        return Ok(Room(slot));
    }
    Err(Box::pin(async move {
        wait_for_rate_limit(&runtime, &running, wait).await?;
        Ok(Room(slot))
    }))
}

/// Waits for a slot of the endpoint.
///
/// # Errors
/// All slots stay taken for [`MAX_WAIT`].
async fn slot(
    runtime: &EndpointRuntime,
    running: &RunningTurn,
) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    let Some(slots) = runtime.slots.clone() else { return Ok(None) };
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

/// Waits until the endpoint's rate limit allows the request that was taken from it: so long as this node alone would wait, or as all nodes
/// that share a store tell.
///
/// # Errors
/// That is longer than [`MAX_WAIT`]; then the request is given back.
async fn wait_for_rate_limit(
    runtime: &EndpointRuntime,
    running: &RunningTurn,
    alone: Duration,
) -> Result<(), Failure> {
    let wait = runtime.wait_of_all_nodes().await.unwrap_or(alone);
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

/// The room is latimer's own to give: nothing was sent.
fn busy(runtime: &EndpointRuntime, setting: &str, retry_after: Option<Duration>) -> Failure {
    let name = &runtime.endpoint.name;
    let message = format!("{name}: all of this endpoint's room is taken (setting `{setting}`)");
    let cause = Some(NO_ROOM);
    Failure { retry_after, cause, ..Failure::new(FailureKind::ConcurrencyLimited, message) }
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
        let Ok(first) = take_room(&runtime, &Arc::default()) else { panic!("it is free") };
        assert!(first.0.is_some());
        let turn = Arc::default();
        let waiting = take_room(&runtime, &turn).expect_err("taken");
        let busy = waiting.await.expect_err("taken for longer than anybody waits");
        let wait = turn.report().wait.expect("it says what it waits for");
        assert!(wait.why.contains("max_parallel") && wait.until_ms.is_none(), "{wait:?}");
        assert_eq!((busy.kind, busy.retry_after), (FailureKind::ConcurrencyLimited, None));
        assert!(busy.message.contains("max_parallel"), "{}", busy.message);
        let waiting = tokio::spawn({
            let runtime = Arc::clone(&runtime);
            async move {
                match take_room(&runtime, &Arc::default()) {
                    Ok(_) => false,
                    Err(waiting) => waiting.await.is_ok(),
                }
            }
        });
        tokio::time::sleep(MAX_WAIT / 2).await;
        drop(first);
        assert!(waiting.await.expect("joined"), "given back in time");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_limit_is_waited_for_up_to_a_minute() {
        let runtime = runtime("requests_per_minute = 6");
        assert!(take_room(&runtime, &Arc::default()).is_ok(), "the first goes at once");
        let begun = tokio::time::Instant::now();
        let turn = Arc::<RunningTurn>::default();
        take_room(&runtime, &turn).expect_err("the second waits").await.expect("not for long");
        assert_eq!(turn.report().state, TurnState::Connecting, "and waits no longer");
        assert!((9..=10).contains(&begun.elapsed().as_secs()), "the bucket itself fills by a real clock");
        for _ in 0..6 {
            runtime.take_token(clock::now());
        }
        let refused = async || take_room(&runtime, &Arc::default()).expect_err("waits").await.err();
        let busy = refused().await.expect("too long");
        assert_eq!(busy.kind, FailureKind::ConcurrencyLimited);
        assert!(busy.retry_after.is_some_and(|wait| wait > MAX_WAIT), "{busy:?}");
        let again = refused().await.expect("still too long");
        assert!(again.retry_after <= busy.retry_after, "what was refused took nothing");
    }
}
