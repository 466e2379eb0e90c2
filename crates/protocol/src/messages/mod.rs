//! The Anthropic Messages wire: [`request`] as written, [`event`] as read, [`legality`] for whole streams.
//!
//! The fields are those of Anthropic's API reference ("Messages", "Streaming messages").

pub mod event;
pub mod legality;
pub mod request;
