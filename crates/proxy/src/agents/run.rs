//! Runs: one piece of work of a profile, from its input to its result.

use serde::{Deserialize, Serialize};

use super::names::{RunId, words};
use super::profile::Cleanup;

/// The longest input of a run, and the longest further input, in bytes.
pub const MAX_INPUT: usize = 4 << 20;
/// The most bytes of a result that are kept.
pub const MAX_RESULT: usize = 1 << 20;

words! {
    /// Where a run stands. It only goes forward.
    RunStatus {
        /// It waits for a place.
        Queued = "queued",
        /// It works.
        Running = "running",
        /// It has a result.
        Completed = "completed",
        /// It has an error.
        Failed = "failed",
        /// It took longer than it may.
        TimedOut = "timed_out",
        /// Somebody has ended it.
        Cancelled = "cancelled",
    }
}

impl RunStatus {
    /// Whether nothing will change any more.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// Who began a run.
    RunMode {
        /// Somebody who asks for its result later.
        Detached = "detached",
        /// Somebody who waits for it.
        Waited = "waited",
        /// A schedule.
        Scheduled = "scheduled",
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Whose work it is.
    pub profile: String,
    /// What is asked.
    pub input: String,
    /// Who begins it.
    pub mode: RunMode,
    /// How long it may take, in seconds; else as the profile says.
    pub timeout: Option<u64>,
    /// What becomes of it; else as the profile says.
    pub cleanup: Option<Cleanup>,
    /// The run that began it.
    pub parent: Option<RunId>,
    /// The schedule that began it.
    pub schedule: Option<String>,
}

impl NewRun {
    /// A run of which nothing but this is said.
    pub fn new(profile: impl Into<String>, input: impl Into<String>, mode: RunMode) -> Self {
        Self {
            profile: profile.into(),
            input: input.into(),
            mode,
            timeout: None,
            cleanup: None,
            parent: None,
            schedule: None,
        }
    }
}

/// A run as it is kept. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// Its name.
    pub id: RunId,
    /// Whose work it is.
    pub profile: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Who began it.
    pub mode: RunMode,
    /// What was asked.
    pub input: String,
    /// What was answered last.
    pub result: Option<String>,
    /// Why there is no result.
    pub error: Option<RunError>,
    /// The name of the answer it can be gone on with.
    pub turn: Option<String>,
    /// The run that began it.
    pub parent: Option<RunId>,
    /// The schedule that began it.
    pub schedule: Option<String>,
    /// How long it may take, in seconds.
    pub timeout: u64,
    /// What becomes of it when it is over.
    pub cleanup: Cleanup,
    /// When it was asked for.
    pub created: u64,
    /// When it began to work.
    pub started: Option<u64>,
    /// When it was over.
    pub ended: Option<u64>,
    /// When it is ended.
    pub deadline: Option<u64>,
    /// What its turns used.
    pub usage: RunUsage,
}

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// A word for programs.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl RunError {
    /// An error of this word and these words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Tokens of all turns of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunUsage {
    /// Turns that came to their end.
    pub turns: u64,
    /// Input, cached input included.
    pub input_tokens: u64,
    /// Of it, what was read from a cache.
    pub cached_tokens: u64,
    /// Output, thoughts included.
    pub output_tokens: u64,
    /// Of it, thoughts.
    pub reasoning_tokens: u64,
}

impl RunUsage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            turns: self.turns.saturating_add(other.turns),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
        }
    }
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// With this answer.
    Completed(String),
    /// Without one.
    Failed(RunError),
    /// It took too long.
    TimedOut,
    /// Somebody has ended it.
    Cancelled,
}

impl RunOutcome {
    /// Where the run stands then.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::TimedOut => RunStatus::TimedOut,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }
}

/// A run is over: told to whoever asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnded {
    /// Which one.
    pub id: RunId,
    /// The schedule that began it.
    pub schedule: Option<String>,
    /// How it ended.
    pub status: RunStatus,
    /// When, in Unix seconds.
    pub at: u64,
}
