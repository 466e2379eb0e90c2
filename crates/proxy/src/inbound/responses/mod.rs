//! The Responses protocol in front: what Codex speaks.
//!
//! [`body`] finds the fields of a request once and [`request`] reads them, [`stream`] writes, `passthrough` hands on an
//! upstream's own events, [`error`] says no, [`socket`] is the same over WebSocket. All pure.

pub mod body;
mod call_item;
pub mod chain;
pub mod compact;
mod content;
pub mod error;
mod frame;
mod input;
pub mod input_items;
mod limits;
mod object;
mod options;
mod output_items;
mod passthrough;
pub mod request;
pub mod socket;
pub mod stream;
mod text_items;
mod tool_choice;
mod tools;
pub(crate) mod wait_item;
