//! The Chat Completions protocol in front: what opencode, editors and the vendor's SDKs speak.
//!
//! [`request`] reads, [`stream`] writes, `passthrough` hands on a provider's own chunks, [`error`] says no. All pure.

mod chunks;
pub mod error;
mod message;
mod object;
mod options;
mod parts;
mod passthrough;
mod reasoning_details;
pub mod request;
pub mod stream;
mod tool_call;
mod tool_calls;
mod tools;
