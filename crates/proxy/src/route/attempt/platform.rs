//! What driving a turn takes from outside: time, waiting, chance, and the way to a target. Tests bring their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::prepared_request::PreparedRequest;

use super::open::{Opening, RoomFor, open};
use crate::clock::Clocks;
use crate::route::endpoint_set::EndpointRuntime;
use crate::route::pool::PoolEntry;

/// The outside of [`super::Attempts`]. Chosen at compile time, and asked for each attempt, never for each event.
pub trait Platform {
    /// A wait under way.
    type Sleep: Future<Output = ()> + Unpin + Send;

    /// The time on both clocks.
    fn clocks(&self) -> Clocks;
    /// A wait of this length.
    fn sleep(&self, wait: Duration) -> Self::Sleep;
    /// A random number, to spread retries in time. Predictable ones do no harm.
    fn random(&self) -> u8;
    /// Begins to send a request with a key or an account of the endpoint's pool.
    fn open(
        &self,
        runtime: Arc<EndpointRuntime>,
        request: Arc<PreparedRequest>,
        entry: Option<PoolEntry>,
        room: RoomFor,
    ) -> Opening;
}

/// The clocks, the timers and the network of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process;

impl Platform for Process {
    type Sleep = Pin<Box<tokio::time::Sleep>>;

    fn clocks(&self) -> Clocks {
        Clocks::now()
    }

    fn sleep(&self, wait: Duration) -> Self::Sleep {
        Box::pin(tokio::time::sleep(wait))
    }

    fn random(&self) -> u8 {
        let mut random = [0u8];
        // Without randomness the waits are merely less spread.
        let _ = getrandom::fill(&mut random);
        random[0]
    }

    fn open(
        &self,
        runtime: Arc<EndpointRuntime>,
        request: Arc<PreparedRequest>,
        entry: Option<PoolEntry>,
        room: RoomFor,
    ) -> Opening {
        open(runtime, request, entry, room)
    }
}
