//! One proxy that runs: since when, whether it answered, whether it was told to end.

use tokio::time::Instant;

use super::super::clock;
use super::super::process::Identity;

/// A proxy that runs, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) identity: Identity,
    pub(super) since: Instant,
    /// It answered a turn.
    pub(super) is_well: bool,
    /// When it was told to end, if it was.
    pub(super) leaving: Option<Leaving>,
}

/// How a proxy was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) since: Instant,
    /// Its turns may end by themselves, because another one serves.
    pub(super) drains: bool,
}

impl Running {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, since: clock::monotonic(), is_well: false, leaving: None }
    }

    /// Keeps the first time it was told.
    pub(super) fn leaves(&mut self, drains: bool) {
        self.leaving.get_or_insert(Leaving { since: clock::monotonic(), drains });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_to_end_counts() {
        let mut running = Running::new(Identity { pid: 1, started: 2 });
        assert_eq!(running.leaving, None);
        running.leaves(true);
        let first = running.leaving;
        running.leaves(false);
        assert!(first.is_some_and(|leaving| leaving.drains) && running.leaving == first);
    }
}
