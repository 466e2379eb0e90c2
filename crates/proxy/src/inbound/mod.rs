//! Client protocols: requests in, events out.

pub mod answer;
pub mod chat;
pub mod client_protocol;
pub mod gemini;
pub mod messages;
pub mod models;
pub mod responses;
pub mod tokens;
pub mod wire;
