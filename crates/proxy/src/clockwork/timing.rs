//! When something comes due: after each time of some length, by a calendar, or once. Pure: the next due time is a function of the last
//! one and of now.

use super::calendar::{CalendarError, CronTiming, one_time};
use super::every::{Every, EveryError};
use super::moment::Moment;
use super::zone::Zone;

/// When something comes due.
#[derive(Debug, Clone)]
pub enum Timing {
    /// After each time of this length, counted from the beginning.
    Every(Every),
    /// By a calendar.
    Cron(Box<CronTiming>),
    /// Once.
    At(Moment),
}

/// Why something cannot come due so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// What was written as a time between.
    #[error("`every` {0}")]
    Every(#[from] EveryError),
    /// What was written as a cron expression.
    #[error("`cron` {0}")]
    Cron(CalendarError),
    /// What was written as a time.
    #[error("`at` {0}")]
    At(CalendarError),
    /// It is over.
    #[error("`at` has passed: write a time that is still ahead")]
    Past,
}

impl Timing {
    /// After each time of this length.
    ///
    /// # Errors
    /// As [`Every::parse`].
    pub fn every(text: &str) -> Result<Self, TimingError> {
        Ok(Self::Every(Every::parse(text)?))
    }

    /// By a cron expression.
    ///
    /// # Errors
    /// As [`CronTiming::new`].
    pub fn cron(text: &str, zone: Zone, now: Moment) -> Result<Self, TimingError> {
        CronTiming::new(text, zone, now).map(|timing| Self::Cron(Box::new(timing))).map_err(TimingError::Cron)
    }

    /// Once, at a time that is still ahead.
    ///
    /// # Errors
    /// As [`Timing::ahead`].
    pub fn at(text: &str, zone: &Zone, now: Moment) -> Result<Self, TimingError> {
        Self::ahead(text, zone, now).map(Self::At)
    }

    /// A time that is still ahead: RFC 3339, or a time of day in this zone.
    ///
    /// # Errors
    /// It is no time, or has passed.
    pub fn ahead(text: &str, zone: &Zone, now: Moment) -> Result<Moment, TimingError> {
        let at = Self::one_time(text, zone)?;
        if at > now { Ok(at) } else { Err(TimingError::Past) }
    }

    /// A time: RFC 3339, or a time of day in this zone.
    ///
    /// # Errors
    /// It is no time.
    pub fn one_time(text: &str, zone: &Zone) -> Result<Moment, TimingError> {
        one_time(text, zone).map_err(TimingError::At)
    }

    /// The first due time of what begins now.
    pub fn first(&self, now: Moment) -> Option<Moment> {
        match self {
            Self::Every(every) => Some(now.plus(every.time())),
            Self::Cron(cron) => cron.next(now),
            Self::At(at) => (*at > now).then_some(*at),
        }
    }

    /// The due time after `now` of what was due at `due`; `None` where there is none any more. Always after `now` and after `due`.
    pub fn next(&self, due: Moment, now: Moment) -> Option<Moment> {
        match self {
            Self::Every(every) => Some(every.next(due, now.max(due))),
            Self::Cron(cron) => cron.next(now.max(due)),
            Self::At(at) => (*at > now.max(due)).then_some(*at),
        }
    }

    /// The due time after `now`, although another one far ahead was reckoned when the clock stood otherwise.
    pub fn anew(&self, due: Moment, now: Moment) -> Option<Moment> {
        match self {
            Self::Every(every) => Some(every.next(due, now)),
            Self::Cron(cron) => cron.next(now),
            Self::At(at) => Some(*at),
        }
    }

    /// The newest due time until `now`, of what was due at `due` and not taken since.
    pub fn latest(&self, due: Moment, now: Moment) -> Moment {
        match self {
            Self::Every(every) => every.latest(due, now),
            Self::Cron(cron) => cron.latest(now).unwrap_or(due).max(due),
            Self::At(at) => *at,
        }
    }
}
