//! The server: client protocols in front, routing behind, configuration around.
//!
//! A request is read into the turn model ([`inbound`]), sent to an endpoint ([`route`]), and answered as the response body
//! is polled ([`turn`]). [`server`] moves bytes and keeps strangers out; [`config`] says what there is.
//!
//! [`http`] and [`lifecycle`] are the floor that turns and the server share: [`turn`] must never import [`server`].
//!
//! This crate must never know the command line, the terminal, the watchdog's code, or a provider's wire format.

pub mod accounts;
pub mod agents;
pub mod clock;
pub mod clockwork;
pub mod compactor;
pub mod config;
pub mod http;
pub mod inbound;
pub mod keys;
pub mod lifecycle;
pub mod metrics;
pub mod probe;
pub mod recent_log;
pub mod route;
pub mod running;
pub mod server;
pub mod store;
mod sync;
mod text;
pub mod trial;
pub mod turn;
