//! The watchdog: a process that owns the listening socket, starts the proxy behind it, and keeps it alive.
//!
//! [`run`] is the process side: it senses what happens and carries out what was decided. Everything else is pure:
//! [`signal::Signal`]s go into [`decide`] together with the time, [`action::Order`]s come out, and a recorded night can be played
//! again ([`simulate`]).
//!
//! The pure part must never know a runtime, a socket or the clock; and nothing in this crate knows the proxy's code: the two
//! meet in [`latimer_protocol::status`].

pub mod action;
pub mod decide;
pub mod diagnose;
pub mod files;
pub mod guard;
pub mod ids;
pub mod incidents;
pub mod pattern;
pub mod proposer;
pub mod record;
pub mod rules;
pub mod run;
pub mod settings;
pub mod signal;
pub mod signatures;
pub mod simulate;
pub mod time;
pub mod trend;
