//! Client protocols: requests in, events out.

pub mod models;
pub mod responses;
