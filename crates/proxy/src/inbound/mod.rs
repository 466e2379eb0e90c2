//! Client protocols: requests in, events out.

pub mod gemini;
pub mod models;
pub mod responses;
pub mod tokens;
