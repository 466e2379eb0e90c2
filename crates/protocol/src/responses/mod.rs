//! The Responses wire, seen from outside: what a legal stream is.

pub mod legality;
