//! The door through which a run asks: the proxy's own Responses door.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;

use super::names::RunId;
use crate::http::reply::Reply;
use crate::running::RunningTurn;

/// The answer to a turn of a run, on its way.
pub type RunAnswer<'d> = Pin<Box<dyn Future<Output = Response<Reply>> + Send + 'd>>;
/// Told of a turn as soon as it has begun, which is long before its answer may be.
pub type Began<'d> = &'d (dyn Fn(Arc<RunningTurn>) + Sync);

/// Begins turns for runs.
pub trait RunDoor: Send + Sync {
    /// Begins a turn with this body of the Responses API, which asks for a stream. Dropping the answer ends the turn, and interrupts the
    /// agent that works on it.
    fn ask<'d>(&'d self, run: &'d RunId, body: Bytes, began: Began<'d>) -> RunAnswer<'d>;

    /// What may begin.
    fn state(&self) -> DoorState;
}

/// What may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorState {
    /// Runs and turns.
    Open,
    /// Turns of runs that work already: other work is for the process that comes after this one.
    Leaving,
    /// Nothing: what is under way is ended.
    Stopping,
}
