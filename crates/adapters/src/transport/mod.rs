//! Bytes to and from providers: one pooled HTTP client per endpoint, and the bodies it hands out.

mod body;
mod cause;
mod connector;
pub mod exceptions;
mod inflate;
mod roots;

pub mod http;
pub mod network;
pub mod outbound;
pub mod worker;

pub use body::{Body, read_error_body};
