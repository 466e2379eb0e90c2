//! Runs a turn: sends it, reads it, and tries again, with another key or on another endpoint, while the client has seen nothing.
//!
//! [`policy`] decides what to do about a failure and is pure; `state` says, by types, what may still happen to a turn; [`drive`] makes
//! it happen, and takes time, chance and the way to a target from a [`platform::Platform`]. `gate` stands between an answer and the
//! client's writer; [`open`] is one attempt up to the time at which the upstream takes it.
//!
//! Invariant: nothing is sent upstream a second time after the first semantic event. From then on the request is gone, and what was
//! sent is kept only as a `state::FollowUpBase`, which cannot be sent.

pub mod drive;
mod failing;
mod gate;
mod lessons;
pub mod open;
pub mod platform;
pub mod policy;
mod resting;
mod rewriting;
mod sending;
mod state;
#[cfg(test)]
mod tests;

pub use self::drive::Attempts;
pub use self::state::{AttemptRequest, Progress, shutting_down};
