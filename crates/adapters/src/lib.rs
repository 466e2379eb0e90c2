//! Upstreams: a turn goes out in the provider's own protocol, events of the turn model come back.
//!
//! Each protocol is a folder: `request.rs` encodes a turn, `stream.rs` reads the answer, `errors.rs` says what its refusals mean, and
//! `mod.rs` knows headers, URL and credentials. Where the client speaks the same protocol, `rewrite.rs` makes its own request
//! fit for the upstream and `passthrough_reader.rs` reads along. All but `mod.rs` are pure.
//!
//! What they share stands beside them: [`prepared_request`] (a turn on its way out), [`endpoint_client`] (how it is sent),
//! [`reader`] (what every reader keeps), [`errors`] (refusals by status and wording), [`pairing`] and [`tool_names`] (histories and
//! names that every provider takes). One loop in [`drive`] joins bytes, frames, a reader and timeouts.
//!
//! This crate must never know client protocols, routing, stores, configuration files, or which client asked.

pub mod adapter;
pub mod agents;
mod arguments;
pub mod auth;
mod body_room;
pub mod by_model;
mod call_halves;
pub mod chat;
pub mod claude_code;
mod clock;
pub mod codebuff;
pub mod codex_app_server;
pub mod codex_exec;
pub mod command_code;
pub mod credential;
pub mod drive;
pub mod endpoint_client;
pub mod errors;
mod exchange;
pub mod field_rules;
pub mod fields;
pub mod frame_guard;
pub mod gemini;
pub mod inspection;
pub mod limitation;
pub mod messages;
pub mod model_list;
mod nearest;
pub mod opencode;
pub mod pairing;
mod percent;
pub mod prepared_request;
pub mod quota;
pub mod quota_place;
pub mod reader;
pub mod repair;
mod repeated_shape;
pub mod responses;
mod schema;
pub mod scripted;
mod sync;
pub mod teaching;
pub mod tool_names;
pub mod transport;
mod wording;
