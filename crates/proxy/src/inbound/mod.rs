//! Client protocols: requests in, events out.

pub mod chat;
pub mod messages;
pub mod models;
pub mod responses;
