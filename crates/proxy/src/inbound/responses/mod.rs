//! The Responses protocol in front: what Codex speaks.
//!
//! [`request`] reads, [`tools`] lowers and raises what the hub does not know, [`stream`] writes, [`answer`] chooses between that and an upstream's
//! own events, [`error`] says no, [`socket`] is the same over WebSocket. All pure.

pub mod answer;
mod call;
pub mod chain;
pub mod compact;
pub mod error;
mod frame;
mod message;
mod object;
mod pass;
pub mod request;
pub mod socket;
mod spoken;
pub mod stored;
pub mod stream;
mod tools;
