//! The keeper: a process that owns the listening socket, starts the proxy behind it, and keeps it alive.
//!
//! [`run`] is the process side: it senses what happens and does what was decided.

pub mod run;
