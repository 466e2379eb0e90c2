//! From a plan to an answer: which endpoint, which key, how long to wait, when to give up. The policies are pure and take
//! `now`; [`memory`] keeps what they know, and [`attempt`] acts on them.

pub mod affinity;
pub mod attempt;
pub mod bucket;
pub mod budget;
mod build;
pub mod endpoint_set;
pub mod health;
pub mod keys;
pub mod limitations;
pub mod memory;
pub mod pictures;
pub mod plan;
pub mod pool;
pub mod quota;
pub mod rest;
pub mod shape;
