//! The language of latimer: what is asked of a model, what it answered, and how both look on each wire.
//!
//! Two kinds of type live here and are never mixed:
//!
//! - **hub** types ([`turn`], [`failure`], [`id`], [`secret`], [`printable`]): what the rest of the workspace speaks. They do not derive
//!   `Serialize`, so they can change freely.
//! - **wire** types ([`chat`], [`messages`], [`responses`], [`gemini`], [`command_code`], [`lenient`], [`sse`], [`jsonl`], [`surrogates`], [`words`]): honest
//!   pictures of what travels. Their names begin with the protocol's (`ChatRequest`, `MessagesEvent`). An unknown field, tag or
//!   value of a wire type survives or is reported; it never breaks a stream.
//!
//! This crate is pure data. It must never know a runtime, HTTP, files, the clock, or any provider's address.

pub mod chat;
pub mod command_code;
pub mod failure;
pub mod gemini;
pub mod id;
pub mod json;
pub mod jsonl;
pub mod lenient;
pub mod messages;
pub mod picture;
pub mod printable;
pub mod quantity;
pub mod quota;
pub mod responses;
pub mod secret;
pub mod sse;
pub mod status;
pub mod surrogates;
pub mod trace_context;
pub mod turn;
pub mod whole_object;
pub mod words;
