//! Turn events in, turn events out: what a model meant as a call becomes one.
//!
//! Text goes through the `toolcall-parser` crate, and calls found in it become real ones; the markup never reaches the client.
//! Calls that the upstream itself reported are held to the same rules. Whatever was done is said in a note. When nothing can be
//! recovered, the text is delivered as it is: a turn never ends empty because of this layer.
//!
//! - `plan`: what is the same for all answers of a turn; `history`: what the conversation so far says about it; `untrusted`: what of it
//!   the model did not write.
//! - `answer`: one answer as a state machine, event by event, with its stages (being read, going on, ended).
//! - `state`: the phases of an answer's text (read, withheld, hidden, behind a call), and the calls that were handed out.
//! - `thoughts`: calls that stand in thoughts which no answer follows.
//! - `held_calls`: calls of the upstream's own while they arrive; `native_calls`: what becomes of them; `call_rules`, `call_guard`,
//!   `frame_calls`: the same where nothing is repaired.
//! - `continuation`: where an answer that goes on joins the one that was cut.
//! - `follow_up`: when the model is asked again, and in which words; `note`: what the log is told.
//!
//! Pure: no clock, no socket. What a client or a configuration wants arrives as a [`RepairLevel`].

mod answer;
mod call_guard;
mod call_rules;
mod continuation;
mod follow_up;
mod frame_calls;
mod held_calls;
mod history;
mod native_calls;
mod note;
mod plan;
mod state;
mod thoughts;
mod untrusted;

pub use self::answer::Repair;
pub use self::call_guard::CallGuard;
pub use self::call_rules::{CallRules, broken_call_message};
pub use self::follow_up::FollowUp;
pub use self::frame_calls::FrameCalls;
pub(crate) use self::frame_calls::{HeldFrames, emit};
pub use self::plan::{RepairLevel, RepairPlan};
