//! What is to be done with something that may be due: one pure decision, for a schedule in a store and for a job in memory.
//!
//! Missed times never come in a burst: of all due times that passed, the newest counts, once. A clock that was set back does not let what
//! has run run again for [`MAX_STEP_BACK`]; set back farther, it is believed.

use std::time::Duration;

use super::moment::Moment;
use super::timing::Timing;

/// How late a due time may be taken and still counts as taken in time: the clockwork looks at least once a minute.
pub const MAX_LATE: Duration = Duration::from_secs(120);
/// A clock that goes back less than this is only waited for.
pub const MAX_STEP_BACK: Duration = Duration::from_secs(3 * 3600);

/// What becomes of due times that passed while nobody looked: the process was down, the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// The newest is taken, once.
    #[default]
    One,
    /// They are passed over.
    None,
}

/// What becomes of a due time that comes while the work of the last one still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// It waits, and more of them are one.
    Queue,
}

/// What is known of something that comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When it comes due next.
    pub due: Moment,
    /// When its work was begun last; when it was made, where it never was.
    pub last_run: Option<Moment>,
    /// What its work is doing.
    pub work: Work,
}

/// What the work of something that comes due is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    Rests,
    /// A due time waits, and nothing runs any more.
    Waits,
    /// It runs.
    Runs,
    /// It runs, and a due time waits.
    RunsAndWaits,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is not due.
    NotDue,
    /// Begin, for the due time `due`; `next` is written down before anything is begun.
    Begin {
        /// The due time that this is for.
        due: Moment,
        /// The due time after it.
        next: Option<Moment>,
    },
    /// Begin what has waited.
    BeginWaiting,
    /// Pass it over.
    Pass {
        /// Why.
        why: Passed,
        /// The due time after it.
        next: Option<Moment>,
    },
    /// Let it wait until what runs has ended.
    Wait {
        /// The due time after it.
        next: Option<Moment>,
    },
    /// The clock was set back: only the due time is another one.
    Reckon {
        /// The due time.
        next: Moment,
    },
}

/// Why a due time was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The work of the last one still runs.
    StillRuns,
    /// It was missed, and is not made up for.
    Missed,
}

/// What is to be done now.
pub fn decide(timing: &Timing, catch_up: CatchUp, overlap: Overlap, slot: Slot, now: Moment) -> Decision {
    if slot.work == Work::Waits {
        return Decision::BeginWaiting;
    }
    if slot.due > now {
        let was_set_back = slot.last_run.is_some_and(|ran| ran.since(now) > MAX_STEP_BACK);
        let next = if was_set_back { timing.anew(slot.due, now) } else { None };
        return match next {
            Some(earlier) if earlier < slot.due => Decision::Reckon { next: earlier },
            _ => Decision::NotDue,
        };
    }
    let due = timing.latest(slot.due, now);
    let next = timing.next(due, now);
    match slot.work {
        Work::Runs if overlap == Overlap::Queue => Decision::Wait { next },
        Work::Runs | Work::RunsAndWaits => Decision::Pass { why: Passed::StillRuns, next },
        Work::Rests | Work::Waits if catch_up == CatchUp::None && now.since(due) > MAX_LATE => {
            Decision::Pass { why: Passed::Missed, next }
        }
        Work::Rests | Work::Waits => Decision::Begin { due, next },
    }
}

#[cfg(test)]
mod tests;
