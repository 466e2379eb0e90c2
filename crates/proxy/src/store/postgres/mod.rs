//! The store that many nodes share, in `PostgreSQL`.

pub mod errors;
