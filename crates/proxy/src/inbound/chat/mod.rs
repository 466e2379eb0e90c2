//! The Chat Completions protocol in front: what opencode, editors and the vendor's SDKs speak.
//!
//! [`request`] reads, [`stream`] writes, [`answer`] chooses between that and a provider's own chunks, [`error`] says no. All pure.

pub mod answer;
mod call;
pub mod error;
mod message;
mod object;
mod options;
mod parts;
mod pass;
pub mod request;
mod stops;
pub mod stream;
mod thoughts;
mod tools;
