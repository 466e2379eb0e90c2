//! HTTP answers below turns and the server: the body type that every response has, and refusals.
//!
//! This floor knows client protocols, since a refusal is said in one. It must never know a turn or the server: a turn in
//! progress comes in as a [`ByteStream`](reply::ByteStream).

pub mod refusal;
pub mod reply;
