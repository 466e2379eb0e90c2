//! Tier 3, the pure part: what a model is asked, what its answer may mean, and what asking may cost.
//!
//! The call itself belongs to the process side: [`Report`] goes out, the text of the answer comes back as a signal.

use serde::{Deserialize, Serialize};

pub mod budget;
pub mod reply;
pub mod report;
pub mod scrub;

/// One question to a model, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the model is told about its task and the form of its answer.
    pub instructions: String,
    /// What happened: codes, names and numbers, without user text, paths or keys.
    pub text: String,
}

/// The longest answer, in tokens.
pub const MAX_TOKENS: u32 = 200;
/// The temperature to ask with.
pub const TEMPERATURE: f32 = 0.1;
/// How long an answer may take, in milliseconds.
pub const ANSWER_TIMEOUT_MS: u64 = 15_000;
