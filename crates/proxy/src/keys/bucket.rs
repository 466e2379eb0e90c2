//! Requests that flow back evenly: of `60/min` sixty pass at once, and one a second after that. Pure.

use std::time::{Duration, Instant};

use super::limits::Rate;

/// How many are in a bucket at most, and how many come into it in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    pub(super) capacity: f64,
    pub(super) per_second: f64,
}

impl Flow {
    /// The one of a limit, or an equal part of it for each of so many nodes.
    pub(super) fn of(rate: Rate, nodes: u32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate has few digits")]
        let (amount, seconds) = (rate.amount as f64, rate.per.seconds() as f64);
        // A node that may do nothing at all would refuse what nobody used.
        let capacity = (amount / f64::from(nodes.max(1))).max(1.0);
        Self { capacity, per_second: amount / f64::from(nodes.max(1)) / seconds }
    }
}

/// What is left of the requests of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestBucket {
    left: f64,
    filled: Instant,
}

impl RequestBucket {
    /// One from which nothing was taken for long.
    pub(super) fn full(flow: Flow, now: Instant) -> Self {
        Self { left: flow.capacity, filled: now }
    }

    /// One in which so many are left.
    pub(super) fn with(left: f64, now: Instant) -> Self {
        Self { left, filled: now }
    }

    /// Lets in what came since the last time.
    pub(super) fn fill(&mut self, flow: Flow, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.left = (self.left + passed * flow.per_second).min(flow.capacity);
    }

    /// Whether one more is there beside so many that others wait for; else the seconds until it is.
    pub(super) fn check(&self, flow: Flow, others: u32) -> Result<(), u64> {
        if self.left - f64::from(others) >= 1.0 {
            return Ok(());
        }
        // Most of those who want one will not have it: nobody waits for all of them.
        let wait = (1.0 - self.left).max(0.0) / flow.per_second;
        Err(Duration::try_from_secs_f64(wait.ceil()).map_or(u64::MAX, |wait| wait.as_secs()).max(1))
    }

    /// Takes one out.
    pub(super) fn take(&mut self) {
        self.left -= 1.0;
    }

    /// How many were taken and did not come back yet.
    pub(super) fn missing(&self, flow: Flow) -> f64 {
        (flow.capacity - self.left).max(0.0)
    }

    /// Keeps an equal part for each of so many nodes.
    pub(super) fn divide(&mut self, nodes: u32) {
        self.left = self.left.max(0.0) / f64::from(nodes.max(1));
    }
}
