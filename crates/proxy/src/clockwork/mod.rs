//! When things come due, and the one place that begins them.
//!
//! [`timing`] says when something comes due, [`due`] what is to be done with it now: both are pure, and serve the schedules of agents
//! as well as the jobs of the proxy itself. [`runner`] begins the jobs of this process.
//!
//! Invariant: what is written down before the work begins is enough to never begin it twice for one due time.

pub mod calendar;
pub mod due;
pub mod every;
pub mod job;
pub mod moment;
pub mod runner;
pub mod timing;
pub mod zone;
