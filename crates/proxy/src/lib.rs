//! The server: client protocols in front, routing behind, configuration around.
//!
//! This crate must never know the command line, the terminal, the watchdog's code, or a provider's wire format.

pub mod config;
pub mod inbound;
