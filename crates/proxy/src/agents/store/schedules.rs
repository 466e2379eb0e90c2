//! The table of schedules.

use super::AgentStoreError;
use crate::agents::names::RunId;
use crate::agents::schedule::{AgentSchedule, ScheduleId, ScheduleStatus};

/// Why a schedule begins a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueStep {
    /// It is due, and comes due again at `next`.
    Due {
        /// The due time, in Unix seconds.
        due: u64,
        /// The one after it.
        next: Option<u64>,
    },
    /// A due time had to wait for the run before.
    Waiting,
    /// Somebody wants it now.
    ByHand,
}

/// The table of schedules.
pub trait ScheduleStore {
    /// Keeps a new schedule, unless there are so many; whether it is kept.
    ///
    /// # Errors
    /// It cannot be written.
    fn add_schedule(&self, schedule: &AgentSchedule, max: u64) -> Result<bool, AgentStoreError>;

    /// All schedules, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    fn schedules(&self) -> Result<Vec<AgentSchedule>, AgentStoreError>;

    /// A schedule.
    ///
    /// # Errors
    /// It cannot be read.
    fn schedule(&self, id: &ScheduleId) -> Result<Option<AgentSchedule>, AgentStoreError>;

    /// Schedules with which something may have to be done.
    ///
    /// # Errors
    /// They cannot be read.
    fn due_schedules(&self, now: u64) -> Result<Vec<AgentSchedule>, AgentStoreError>;

    /// When the next one comes due; `None` where none does.
    ///
    /// # Errors
    /// It cannot be read.
    fn next_due(&self) -> Result<Option<u64>, AgentStoreError>;

    /// Takes one due time of a schedule: its count and its next due time change in the same step, so that of all who see it due, one gets
    /// it. Until a time it is nobody else's. `None` for all others, and where it was paused, deleted or begun since it was seen.
    ///
    /// # Errors
    /// It cannot be written.
    fn claim_schedule(
        &self,
        seen: &AgentSchedule,
        step: DueStep,
        owner: &str,
        now: u64,
        until: u64,
    ) -> Result<Option<AgentSchedule>, AgentStoreError>;

    /// Passes a due time over; whether it was still due. Without a next one the schedule rests.
    ///
    /// # Errors
    /// It cannot be written.
    fn pass_schedule(
        &self,
        id: &ScheduleId,
        due: u64,
        next: Option<u64>,
        status: Option<ScheduleStatus>,
        error: Option<&str>,
    ) -> Result<bool, AgentStoreError>;

    /// Lets a due time wait; whether it was still due.
    ///
    /// # Errors
    /// It cannot be written.
    fn queue_schedule(&self, id: &ScheduleId, due: u64, next: Option<u64>) -> Result<bool, AgentStoreError>;

    /// What was claimed has begun a run, or could not: a sentence.
    ///
    /// # Errors
    /// It cannot be written.
    fn schedule_began(
        &self,
        id: &ScheduleId,
        owner: &str,
        began: &Result<RunId, String>,
    ) -> Result<(), AgentStoreError>;

    /// The run that it began last is over, or was never begun although somebody had claimed it.
    ///
    /// # Errors
    /// It cannot be written.
    fn schedule_ended(
        &self,
        id: &ScheduleId,
        run: Option<&RunId>,
        status: ScheduleStatus,
        error: Option<&str>,
        now: u64,
    ) -> Result<(), AgentStoreError>;

    /// Has it come due at this time, or, without one, not any more; as it is then. `None` where there is none.
    ///
    /// # Errors
    /// It cannot be written.
    fn switch_schedule(
        &self,
        id: &ScheduleId,
        next: Option<u64>,
    ) -> Result<Option<AgentSchedule>, AgentStoreError>;

    /// Forgets a schedule; whether there was one. Its runs go on.
    ///
    /// # Errors
    /// It cannot be written.
    fn delete_schedule(&self, id: &ScheduleId) -> Result<bool, AgentStoreError>;
}
