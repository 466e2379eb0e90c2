//! From a plan to an answer: which key, how long to wait, when to give up. The policies are pure and take `now`;
//! [`attempt`] is the one that acts.

pub mod attempt;
pub mod backoff;
pub mod budget;
pub mod fleet;
pub mod keys;
