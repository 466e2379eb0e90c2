//! The door through which a run asks: the proxy's own Responses door.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use hyper::Response;

use super::names::RunId;
use crate::http::reply::Reply;

/// The answer to a turn of a run, on its way.
pub type RunAnswer<'d> = Pin<Box<dyn Future<Output = Response<Reply>> + Send + 'd>>;

/// Begins turns for runs.
pub trait RunDoor: Send + Sync {
    /// Begins a turn with this body of the Responses API, which asks for a stream. Dropping the answer ends the turn, and interrupts the
    /// agent that works on it.
    fn ask<'d>(&'d self, run: &'d RunId, body: Bytes) -> RunAnswer<'d>;

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
