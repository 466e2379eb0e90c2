//! The Messages protocol in front: what Claude Code, opencode, Zed, Cline and Anthropic's SDKs speak.
//!
//! [`request`] reads, [`stream`] writes, [`answer`] chooses between that and an upstream's own events, [`purpose`] knows the requests that clients make on their own, [`error`] says no,
//! [`models`] and [`count`] answer the two small questions. All pure.

pub mod answer;
mod block;
mod builtin;
mod content;
pub mod count;
pub mod error;
mod field;
mod message;
pub mod models;
mod options;
mod pass;
pub mod purpose;
pub mod request;
mod source;
mod stop;
pub mod stream;
mod tools;
