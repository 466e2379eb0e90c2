//! The Responses protocol in front: what Codex speaks.
//!
//! [`request`] reads, [`tools`] lowers and raises what the hub does not know, [`stream`] writes, `passthrough` hands on an
//! upstream's own events, [`error`] says no, [`socket`] is the same over WebSocket. All pure.

mod call_item;
pub mod chain;
pub mod compact;
pub mod error;
mod frame;
mod message;
mod object;
mod output_items;
mod passthrough;
pub mod request;
pub mod socket;
pub mod stored;
pub mod stream;
mod text_items;
pub mod tools;
