//! What stands behind an endpoint whose upstream is a whole coding agent: a program with its own loop, history and tools.
//!
//! An agent is an upstream like any other: a turn is written for it ([`query`]), its lines are read by a `Reader` into turn events,
//! and dropping the stream of an answer interrupts it. Here stands what the four protocols share. Pure: [`settings`], [`query`],
//! [`history`], [`environment`], [`instructions`], [`refusal`], [`codex`]. The process side: [`endpoint`] (what every agent's endpoint has),
//! [`launch`] (what a process needs before its start), [`child`] (a process group with both pipes drained), [`children`] (the files by
//! which the next start finds what a killed proxy left), [`processes`] (how the system shows processes), [`queue`] and [`body`] (lines
//! on their way to a turn), [`admission`] (how many turns at once), [`thread_book`] (which conversation is where), [`place`] (folders on disk).
//!
//! Nothing here knows a client protocol or a route.

/// The header that an agent's own model is asked with: a latimer that is asked so does not ask an agent again.
pub const AGENT_HEADER: &str = "x-latimer-agent";

pub mod admission;
pub mod agents_md;
pub mod archive;
pub mod body;
pub mod child;
pub mod children;
pub mod codex;
pub mod endpoint;
pub mod environment;
pub mod history;
pub mod instructions;
mod journal;
pub mod launch;
pub mod line_process;
pub mod login;
pub mod place;
pub mod probe;
pub mod processes;
pub mod query;
pub mod queue;
pub mod refusal;
pub mod settings;
pub mod thread_book;
pub mod turn_end;
