//! When the table of schedules is looked at again, so that it is not asked every second for what is due tomorrow.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clockwork::moment::Moment;
use crate::sync::lock;

/// How long it is not looked at, at most: another process may have changed it.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// What is known of the table.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    has_changed: AtomicBool,
    looked: Mutex<Option<Looked>>,
}

/// What the last look has shown.
#[derive(Debug, Clone, Copy)]
struct Looked {
    at: Moment,
    /// When it is to be looked again.
    again: Moment,
}

impl Lookout {
    /// This process has changed the table.
    pub(super) fn changed(&self) {
        self.has_changed.store(true, Ordering::Release);
    }

    /// Whether the table is to be looked at now. What changes from here on is seen by the next look.
    pub(super) fn is_to_look(&self, now: Moment) -> bool {
        let has_changed = self.has_changed.swap(false, Ordering::AcqRel);
        // A clock that was set back is looked at, too.
        has_changed || lock(&self.looked).is_none_or(|looked| now >= looked.again || now < looked.at)
    }

    /// It was looked at this time, and the next due time is there.
    pub(super) fn looked(&self, at: Moment, next: Option<Moment>) {
        let latest = at.plus(MAX_WAIT);
        *lock(&self.looked) = Some(Looked { at, again: next.map_or(latest, |next| next.min(latest)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_at_when_something_is_due_was_changed_or_may_have_been() {
        let start = Moment::from_unix(1_780_000_000);
        let after = |seconds| start.plus(Duration::from_secs(seconds));
        let lookout = Lookout::default();
        assert!(lookout.is_to_look(start), "nothing is known yet");
        lookout.looked(start, Some(after(3)));
        assert_eq!(
            [1, 2, 3, 4].map(|seconds| lookout.is_to_look(after(seconds))),
            [false, false, true, true]
        );
        lookout.looked(after(4), Some(after(86_400)));
        assert_eq!([5, 13, 14].map(|seconds| lookout.is_to_look(after(seconds))), [false, false, true]);
        lookout.looked(after(14), None);
        lookout.changed();
        assert!(lookout.is_to_look(after(15)));
        assert!(!lookout.is_to_look(after(16)), "once");
        assert!(lookout.is_to_look(start), "the clock was set back");
    }
}
