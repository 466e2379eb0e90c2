//! The wire of Command Code's `alpha/generate`: [`request`] as written, [`event`] as read.

pub mod event;
pub mod request;
