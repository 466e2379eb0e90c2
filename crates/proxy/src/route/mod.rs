//! From a plan to an answer: which endpoint, which key, how long to wait, when to give up. The policies are pure and take
//! `now`; [`memory`] keeps what they know, and [`attempt`] is the one that acts.

pub mod affinity;
pub mod attempt;
pub mod backoff;
pub mod bucket;
pub mod budget;
mod build;
pub mod endpoint_set;
mod gate;
pub mod health;
pub mod keys;
pub mod limitations;
pub mod memory;
mod open;
pub mod plan;
pub mod pool;
pub mod shape;
