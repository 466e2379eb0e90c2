//! Chat Completions upstreams.

pub mod errors;
pub mod quirks;
pub mod request;
pub mod stream;
