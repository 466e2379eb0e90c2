//! The Responses protocol in front: what Codex speaks.
//!
//! [`request`] reads, [`tools`] lowers and raises what the hub does not know, [`stream`] writes, [`error`] says no. All pure.

mod call;
pub mod error;
mod frame;
mod json;
mod message;
mod object;
pub mod request;
mod spoken;
pub mod stream;
pub mod tools;
mod unwrap;
