//! The Chat Completions protocol in front: what opencode, editors and the vendor's SDKs speak.
//!
//! [`request`] reads, [`stream`] writes, [`error`] says no. All pure.

mod call;
pub mod error;
mod message;
mod object;
mod options;
mod parts;
pub mod request;
mod stops;
pub mod stream;
mod thoughts;
mod tools;
