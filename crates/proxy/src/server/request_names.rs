//! Names of requests: unique on this machine, and telling nobody how many there were or which process answers.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The odd number nearest to 2^64 divided by the golden ratio: its multiples are far from each other (the step of `SplitMix64`).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Makes names.
pub(super) struct RequestNames {
    next: AtomicU64,
}

impl RequestNames {
    /// Names that begin anywhere: at the process's own random seed.
    pub(super) fn new() -> Self {
        Self { next: AtomicU64::new(RandomState::new().hash_one(std::process::id())) }
    }

    /// The next name.
    pub(super) fn next(&self) -> String {
        format!("req_{:016x}", mixed(self.next.fetch_add(STEP, Ordering::Relaxed)))
    }
}

/// A one-to-one function whose values show nothing of their order (the finalizer of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_not_in_order() {
        let names = RequestNames::new();
        let made: Vec<String> = (0..1000).map(|_| names.next()).collect();
        assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), 1000);
        assert!(!made.is_sorted() && made.iter().all(|name| name.len() == 20));
    }

    #[test]
    fn two_processes_do_not_share_their_names() {
        assert_ne!(RequestNames::new().next(), RequestNames::new().next());
    }
}
