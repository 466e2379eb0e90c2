//! The Messages protocol in front: what Claude Code, opencode, Zed, Cline and Anthropic's SDKs speak.
//!
//! [`request`] reads, [`stream`] writes, `passthrough` hands on an upstream's own events, [`request_kind`] knows the
//! requests that clients make on their own, [`error`] says no, [`models`] and [`count`] answer the two small questions. All pure.

mod block;
mod builtin;
mod content_blocks;
mod conversation;
pub mod count;
pub mod error;
mod hosted_blocks;
mod message;
pub mod models;
mod options;
mod passthrough;
pub mod request;
pub mod request_kind;
mod source;
pub mod stream;
mod tools;
