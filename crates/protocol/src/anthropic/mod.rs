//! The Anthropic Messages wire: [`request`] as written, [`event`] as read.

pub mod event;
pub mod request;
