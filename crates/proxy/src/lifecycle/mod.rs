//! Where the process stands between its start and its end, and which turns are open in it.
//!
//! Turns and the server both read this floor; it must never know either of them, nor HTTP.

pub mod force_stop;
pub mod open_turns;
pub mod phase;
pub mod run_name;
pub mod traces;
