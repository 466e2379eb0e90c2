//! The Responses wire: what latimer asks of an upstream that speaks it ([`request`]), what that sends ([`event`]), and what
//! a legal stream is, seen from outside ([`legality`]).
//!
//! The fields are those of OpenAI's API reference ("Responses", "Streaming events").

pub mod event;
pub mod legality;
pub mod request;
