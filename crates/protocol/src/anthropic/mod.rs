//! The Anthropic Messages wire: [`request`] as written, [`event`] as read, [`legality`] for whole streams.

pub mod event;
pub mod legality;
pub mod request;
