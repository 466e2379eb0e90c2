//! Client protocols: requests in, events out.

pub mod chat;
pub mod client_behaviour;
pub mod client_protocol;
pub mod gemini;
pub mod messages;
pub mod models;
pub mod notes;
pub(crate) mod pictures;
pub mod responses;
pub mod tokens;
pub mod wire;
pub mod writer;
