//! What stands behind an answer while it arrives: work that ends with it, and a way for more words to the turn.

use std::fmt;
use std::sync::Arc;

/// Work that belongs to an answer: done when it is dropped.
pub trait StreamGuard: Send {
    /// The answer is over; it failed, or not. Not called when nobody wanted the rest of it.
    fn ended(&mut self, failed: bool);

    /// How more words reach the turn while it runs; `None` where they wait for its end.
    fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        None
    }
}

/// Says more to a turn that runs.
pub trait SteerTurn: fmt::Debug + Send + Sync {
    /// Whether the words were taken: they are seen in this turn then, or begin the next one of the same answer. Otherwise it is over.
    fn push(&self, text: &str) -> bool;
}
