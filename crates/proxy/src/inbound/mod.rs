//! Client protocols: requests in, events out.

pub mod responses;
