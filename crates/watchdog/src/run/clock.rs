//! The time of decisions: that of the wall when we began, and from then on as long as really passed. A wall clock that is set back
//! or forward shortens no back-off and ends no silence.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Time;

/// One clock for the whole run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Time,
    begun: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Time::ZERO.plus(since), begun: Instant::now() }
    }

    /// This moment.
    pub fn now(&self) -> Time {
        self.wall.plus(self.begun.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
