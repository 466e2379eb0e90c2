//! Calls of the upstream's own while they arrive. Nothing of a call goes on before it is whole: what a client was handed cannot be taken
//! back, and a call whose arguments turn out broken is asked for again, or told, as if it had never begun.
//!
//! Invariant: calls come out in the order in which they began. A client runs them in that order, and the second may need the first.

use std::collections::VecDeque;

/// The most bytes of arguments that are held for one answer.
const MAX_HELD: usize = 16 << 20;

/// The calls that are under way.
#[derive(Debug, Default)]
pub(super) struct HeldCalls {
    calls: VecDeque<HeldCall>,
    bytes: usize,
}

/// A call and what came of its arguments.
#[derive(Debug)]
pub(super) struct HeldCall {
    /// The upstream's number for it.
    slot: u32,
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: HeldArguments,
    /// The upstream has ended it.
    ended: bool,
}

/// Arguments as they came.
#[derive(Debug)]
pub(super) enum HeldArguments {
    Text(String),
    /// More than is held.
    TooLarge,
}

impl HeldCalls {
    pub(super) fn begin(&mut self, slot: u32, id: Option<&str>, name: &str) {
        let arguments = HeldArguments::Text(String::new());
        let (id, name) = (id.map(str::to_owned), name.to_owned());
        self.calls.push_back(HeldCall { slot, id, name, arguments, ended: false });
    }

    /// The hot path: a piece is copied once.
    pub(super) fn arguments(&mut self, slot: u32, json: &str) {
        let Some(call) = self.calls.iter_mut().rev().find(|call| call.slot == slot) else { return };
        let HeldArguments::Text(text) = &mut call.arguments else { return };
        if self.bytes + json.len() > MAX_HELD {
            self.bytes -= text.len();
            call.arguments = HeldArguments::TooLarge;
        } else {
            self.bytes += json.len();
            text.push_str(json);
        }
    }

    pub(super) fn end(&mut self, slot: u32) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.slot == slot && !call.ended) {
            call.ended = true;
        }
    }

    /// The next call that is whole, as far as its end is known.
    pub(super) fn next_ended(&mut self) -> Option<HeldCall> {
        let is_next = self.calls.front().is_some_and(|call| call.ended && call.shows_its_end());
        if is_next { self.take_first() } else { None }
    }

    /// The answer has ended. `by_itself` says that nothing cut it: then every call has ended with it.
    pub(super) fn next_at_end(&mut self, by_itself: bool) -> Option<HeldCall> {
        let is_whole =
            self.calls.front().is_some_and(|call| by_itself || (call.ended && call.shows_its_end()));
        if is_whole { self.take_first() } else { None }
    }

    /// The tool of the first call that is under way.
    pub(super) fn first_name(&self) -> Option<&str> {
        self.calls.front().map(|call| call.name.as_str())
    }

    /// Whether no call is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn take_first(&mut self) -> Option<HeldCall> {
        let call = self.calls.pop_front()?;
        if let HeldArguments::Text(text) = &call.arguments {
            self.bytes -= text.len();
        }
        Some(call)
    }
}

impl HeldCall {
    /// Free text without a bracket or a quotation mark around it does not show whether it is whole: the upstream says that a call has
    /// ended also where a limit cut it.
    fn shows_its_end(&self) -> bool {
        match &self.arguments {
            HeldArguments::Text(text) => text.trim_start().starts_with(['{', '[', '"', '`']),
            HeldArguments::TooLarge => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mut next: impl FnMut() -> Option<HeldCall>) -> Vec<String> {
        std::iter::from_fn(|| next().map(|call| call.name)).collect()
    }

    #[test]
    fn calls_come_out_whole_and_in_order() {
        let mut calls = HeldCalls::default();
        for (slot, name) in [(0, "a"), (1, "b"), (2, "c")] {
            calls.begin(slot, None, name);
            calls.arguments(slot, "{}");
        }
        calls.end(1);
        assert!(calls.next_ended().is_none(), "the first is still open");
        calls.end(0);
        assert_eq!(names(|| calls.next_ended()), ["a", "b"]);
        assert!(names(|| calls.next_at_end(false)).is_empty() && !calls.is_empty(), "cut");
        assert_eq!(names(|| calls.next_at_end(true)), ["c"]);
        assert!(calls.is_empty() && calls.bytes == 0);
    }

    #[test]
    fn text_without_brackets_waits_for_the_end_of_the_answer() {
        let mut calls = HeldCalls::default();
        calls.begin(0, None, "a");
        calls.arguments(0, "*** Begin Patch");
        calls.end(0);
        assert!(calls.next_ended().is_none() && calls.next_at_end(false).is_none());
        assert!(calls.next_at_end(true).is_some());
    }

    #[test]
    fn what_is_held_has_a_limit() {
        let mut calls = HeldCalls::default();
        calls.begin(0, None, "a");
        let piece = "x".repeat(1 << 20);
        for _ in 0..20 {
            calls.arguments(0, &piece);
        }
        assert_eq!(calls.bytes, 0);
        assert!(matches!(calls.next_at_end(true).expect("a call").arguments, HeldArguments::TooLarge));
    }
}
