//! What is kept of the work that runs by itself: one trait for each table, so that another engine can take SQLite's place.
//!
//! Every function blocks its thread for as long as the database takes; whoever is asynchronous goes through `blocking`. Each is one
//! atomic step: of two who ask for the same at once, one gets it.

mod schedules;

use std::fmt;

pub use self::schedules::{DueStep, ScheduleStore};
use super::message::{AgentMessage, MessageState, NewMessage};
use super::names::RunId;
use super::profile::AgentProfile;
use super::run::{AgentRun, RunOutcome, RunStatus, RunUsage};

/// Everything that is kept. One engine has all of it.
pub trait AgentStore:
    ProfileStore + RunStore + MessageStore + ScheduleStore + fmt::Debug + Send + Sync
{
}

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AgentStoreError {
    /// There is no file: `agents.db` could not be opened, or nothing is kept at all.
    #[error(
        "profiles, runs and messages are off: the file agents.db of the state directory could not be opened (the log says why, at `agents.store_unavailable`)"
    )]
    Off,
    /// What the database says.
    #[error("agents.db: {0}")]
    Database(#[from] rusqlite::Error),
    /// What is written there makes no sense.
    #[error("agents.db: {0}")]
    Unreadable(String),
    /// The thread that asked it is gone.
    #[error("agents.db: the question was broken off")]
    BrokenOff,
}

/// The table of profiles.
pub trait ProfileStore {
    /// Keeps a profile, in the place of an older one of its name. True where there was none.
    ///
    /// # Errors
    /// It cannot be written.
    fn put_profile(&self, profile: &AgentProfile) -> Result<bool, AgentStoreError>;

    /// All profiles, by name.
    ///
    /// # Errors
    /// They cannot be read.
    fn profiles(&self) -> Result<Vec<AgentProfile>, AgentStoreError>;

    /// Forgets a profile; whether there was one.
    ///
    /// # Errors
    /// It cannot be written.
    fn delete_profile(&self, id: &str) -> Result<bool, AgentStoreError>;
}

/// Which runs are wanted, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunQuery {
    /// Only those of this profile.
    pub profile: Option<String>,
    /// Only those that stand here.
    pub status: Option<RunStatus>,
    /// Only those that this schedule began.
    pub schedule: Option<String>,
    /// Only those behind this one.
    pub after: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

/// What became of a run that was to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedRun {
    /// It is over now.
    Ended(Box<AgentRun>),
    /// It cannot be completed: further input has come for it.
    InputWaits,
    /// It was over before, or there is none.
    WasOver,
}

/// What became of further input for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushedInput {
    /// It is kept, under this number, and the run cannot complete before it was said.
    Waits(u64),
    /// So much waits for the run already.
    Full,
    /// The run is over.
    Over,
    /// There is no such run.
    Unknown,
}

/// Further input of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInput {
    /// In the order in which they came.
    pub number: u64,
    /// The words.
    pub text: String,
}

/// The process that works on a run: its id, and when the system started it. Another process of the same id is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOwner(pub String);

/// How many runs stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// Those that wait for a place.
    pub queued: u64,
    /// Those that work.
    pub running: u64,
}

/// The table of runs, with their further input and their events.
pub trait RunStore {
    /// Keeps a new run, unless so many are queued already; whether it is kept.
    ///
    /// # Errors
    /// It cannot be written.
    fn add_run(&self, run: &AgentRun, max_queued: u64) -> Result<bool, AgentStoreError>;

    /// A run.
    ///
    /// # Errors
    /// It cannot be read.
    fn run(&self, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError>;

    /// A page of runs.
    ///
    /// # Errors
    /// They cannot be read.
    fn runs(&self, wanted: &RunQuery) -> Result<Vec<AgentRun>, AgentStoreError>;

    /// How many runs are not over.
    ///
    /// # Errors
    /// They cannot be counted.
    fn open_runs(&self) -> Result<RunCounts, AgentStoreError>;

    /// Takes the oldest queued run for this process, until a time that it renews: it runs now, and its deadline is set. `None` where
    /// nothing waits.
    ///
    /// # Errors
    /// It cannot be written.
    fn claim_run(&self, owner: &RunOwner, now: u64, until: u64) -> Result<Option<AgentRun>, AgentStoreError>;

    /// Renews what this process has claimed, and tells which of these runs are not its own any more: somebody else has ended them.
    ///
    /// # Errors
    /// It cannot be written.
    fn renew_runs(&self, owner: &RunOwner, runs: &[RunId], until: u64)
    -> Result<Vec<RunId>, AgentStoreError>;

    /// Runs that are said to run, by process; those whose process is gone are for [`break_off`](Self::break_off).
    ///
    /// # Errors
    /// They cannot be read.
    fn claimed_runs(&self) -> Result<Vec<(RunId, RunOwner, u64)>, AgentStoreError>;

    /// Ends a run whose process is gone, or has it begin again where `again` says so. What it had been given and had not said is there
    /// again. Whether it was still claimed by that process.
    ///
    /// # Errors
    /// It cannot be written.
    fn break_off(&self, id: &RunId, owner: &RunOwner, again: bool, now: u64)
    -> Result<bool, AgentStoreError>;

    /// A turn of the run came to its end: what it used, and the name of its answer.
    ///
    /// # Errors
    /// It cannot be written.
    fn add_turn(&self, id: &RunId, usage: RunUsage, turn: Option<&str>) -> Result<(), AgentStoreError>;

    /// Ends a run. It is completed only when no further input waits for it.
    ///
    /// # Errors
    /// It cannot be written.
    fn end_run(&self, id: &RunId, outcome: &RunOutcome, now: u64) -> Result<EndedRun, AgentStoreError>;

    /// Keeps further input for a run that is not over.
    ///
    /// # Errors
    /// It cannot be written.
    fn push_input(&self, id: &RunId, text: &str, now: u64) -> Result<PushedInput, AgentStoreError>;

    /// Takes all further input that waits.
    ///
    /// # Errors
    /// It cannot be written.
    fn take_inputs(&self, id: &RunId) -> Result<Vec<RunInput>, AgentStoreError>;

    /// One further input was said by other means; whether it was still waiting.
    ///
    /// # Errors
    /// It cannot be written.
    fn take_input(&self, id: &RunId, number: u64) -> Result<bool, AgentStoreError>;

    /// Puts further input back that was taken and not said; whether the run is not over.
    ///
    /// # Errors
    /// It cannot be written.
    fn return_input(&self, id: &RunId, number: u64) -> Result<bool, AgentStoreError>;

    /// Keeps what happened in a run that is over.
    ///
    /// # Errors
    /// It cannot be written.
    fn keep_events(&self, id: &RunId, events: &[u8]) -> Result<(), AgentStoreError>;

    /// What happened in a run that is over.
    ///
    /// # Errors
    /// It cannot be read.
    fn events(&self, id: &RunId) -> Result<Option<Vec<u8>>, AgentStoreError>;

    /// Forgets a run that is over; whether there was one.
    ///
    /// # Errors
    /// It cannot be written.
    fn delete_run(&self, id: &RunId) -> Result<bool, AgentStoreError>;

    /// Forgets runs with `cleanup = "delete"` that were over before this moment, and messages that were taken before it; how many.
    ///
    /// # Errors
    /// It cannot be written.
    fn clean_up(&self, before: u64) -> Result<u64, AgentStoreError>;
}

/// Which messages are wanted, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageQuery {
    /// Only those for this recipient.
    pub to: Option<String>,
    /// Only those that stand here.
    pub state: Option<MessageState>,
    /// Only those behind this number.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// The table of messages.
pub trait MessageStore {
    /// Keeps a message; `None` where so many are unread by its recipient already.
    ///
    /// # Errors
    /// It cannot be written.
    fn send(
        &self,
        message: &NewMessage,
        max_unread: u64,
        now: u64,
    ) -> Result<Option<AgentMessage>, AgentStoreError>;

    /// A page of messages.
    ///
    /// # Errors
    /// They cannot be read.
    fn messages(&self, wanted: &MessageQuery) -> Result<Vec<AgentMessage>, AgentStoreError>;

    /// How many messages nobody has taken, by recipient.
    ///
    /// # Errors
    /// They cannot be counted.
    fn unread(&self) -> Result<Vec<(String, u64)>, AgentStoreError>;

    /// Takes the oldest unread messages of a recipient: they are delivered now, and nobody else gets them.
    ///
    /// # Errors
    /// It cannot be written.
    fn take(&self, to: &str, limit: usize, now: u64) -> Result<Vec<AgentMessage>, AgentStoreError>;

    /// Says that a message was read; whether there is one.
    ///
    /// # Errors
    /// It cannot be written.
    fn mark_read(&self, id: u64, now: u64) -> Result<bool, AgentStoreError>;

    /// Sets the oldest unread messages of a recipient aside for a run, so many and of so many bytes at most, but at least one: nobody
    /// else gets them, and they are unread until [`deliver`](Self::deliver).
    ///
    /// # Errors
    /// It cannot be written.
    fn reserve(
        &self,
        to: &str,
        run: &RunId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<AgentMessage>, AgentStoreError>;

    /// The run has said what was set aside for it.
    ///
    /// # Errors
    /// It cannot be written.
    fn deliver(&self, run: &RunId, now: u64) -> Result<(), AgentStoreError>;

    /// The run has not said it: others may take it again.
    ///
    /// # Errors
    /// It cannot be written.
    fn release(&self, run: &RunId) -> Result<(), AgentStoreError>;
}
