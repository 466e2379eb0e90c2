//! Work that runs by itself: profiles (who works, on which model, with which instructions), runs (one piece of work from its input to
//! its result), and messages between them.
//!
//! A run is a turn through the proxy's own Responses door ([`door`]), so it works for an agent as for a plain model. What is kept stands
//! in a file of its own (`sqlite`) behind one trait for each table ([`store`]), so that another engine can take its place. What is live
//! of a run stands in [`runs`].

mod blocking;
pub mod door;
pub mod message;
pub mod names;
pub mod profile;
pub mod run;
pub mod runs;
pub mod schedule;
pub mod schedules;
mod sqlite;
pub mod store;
