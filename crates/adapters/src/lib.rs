//! Upstreams: a turn goes out in the provider's own protocol, events of the turn model come back.
//!
//! Each protocol is a folder of three files: `request.rs` (turn to wire, pure), `stream.rs` (wire events to turn events,
//! pure) and `mod.rs` (headers, URL, credentials). One loop in [`drive`] joins bytes, frames, a reader and timeouts.
//!
//! This crate must never know client protocols, routing, stores, configuration files, or which client asked.

pub mod adapter;
pub mod anthropic;
mod arguments;
pub mod auth;
pub mod by_model;
pub mod chat;
mod clock;
pub mod codebuff;
pub mod command_code;
pub mod credential;
pub mod drive;
pub mod endpoint_client;
pub mod errors;
mod exchange;
pub mod fields;
pub mod gemini;
pub mod limitation;
pub mod pairing;
pub mod prepared_request;
pub mod reader;
pub mod repair;
pub mod responses;
pub mod scripted;
mod sync;
pub mod tool_names;
pub mod transport;
