//! One-time codes: each opens the page once, for a minute. Pure: time comes in.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long a code can be used.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);
/// How long no code is taken after too many bad ones.
const LOCK: Duration = Duration::from_secs(60);
/// So many bad codes lock the door.
const MAX_BAD: u32 = 5;
/// Codes that can be used at the same time; the oldest leaves.
const MAX_CODES: usize = 16;

/// The codes that can be used now, as hashes, and how many bad ones came.
#[derive(Debug, Default)]
pub(super) struct Codes {
    open: Vec<([u8; 32], Instant)>,
    bad: u32,
    last_bad: Option<Instant>,
    locked_until: Option<Instant>,
}

/// Why a code opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeError {
    /// It is none, was used, or is too old.
    Unknown,
    /// Too many bad ones came; how long that still holds.
    Locked(Duration),
}

impl Codes {
    /// A code can be used from now on.
    pub(super) fn add(&mut self, code: &str, now: Instant) {
        self.drop_old(now);
        if self.open.len() == MAX_CODES {
            self.open.remove(0);
        }
        self.open.push((hash(code), now));
    }

    /// Uses a code up.
    pub(super) fn take(&mut self, code: &str, now: Instant) -> Result<(), CodeError> {
        if let Some(until) = self.locked_until.filter(|until| *until > now) {
            return Err(CodeError::Locked(until.saturating_duration_since(now)));
        }
        self.drop_old(now);
        let wanted = hash(code);
        let place = self.open.iter().position(|(known, _)| bool::from(known.ct_eq(&wanted)));
        if let Some(place) = place {
            self.open.remove(place);
            self.bad = 0;
            return Ok(());
        }
        if self.last_bad.is_none_or(|last| now.saturating_duration_since(last) > LOCK) {
            self.bad = 0;
        }
        self.bad += 1;
        self.last_bad = Some(now);
        if self.bad >= MAX_BAD {
            self.bad = 0;
            self.locked_until = now.checked_add(LOCK);
        }
        Err(CodeError::Unknown)
    }

    fn drop_old(&mut self, now: Instant) {
        self.open.retain(|(_, made)| now.saturating_duration_since(*made) < LIFETIME);
    }
}

fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_code_opens_once_and_for_a_minute() {
        let (mut codes, now) = (Codes::default(), clock::now());
        codes.add("a", now);
        codes.add("b", now);
        assert_eq!(codes.take("a", now), Ok(()));
        assert_eq!(codes.take("a", now), Err(CodeError::Unknown));
        assert_eq!(codes.take("b", now + LIFETIME), Err(CodeError::Unknown));
    }

    #[test]
    fn five_bad_ones_lock_for_a_minute_and_good_ones_do_not_help() {
        let (mut codes, now) = (Codes::default(), clock::now());
        for _ in 0..MAX_BAD {
            assert_eq!(codes.take("x", now), Err(CodeError::Unknown));
        }
        codes.add("a", now);
        assert_eq!(codes.take("a", now), Err(CodeError::Locked(LOCK)));
        let later = now + LOCK;
        codes.add("b", later);
        assert_eq!(codes.take("b", later), Ok(()));
        for _ in 0..MAX_BAD - 1 {
            let _ = codes.take("x", later);
        }
        let much_later = later + LOCK + LOCK;
        let _ = codes.take("x", much_later);
        codes.add("c", much_later);
        assert_eq!(codes.take("c", much_later), Ok(()), "slips of an hour ago do not count");
    }

    #[test]
    fn codes_are_few() {
        let (mut codes, now) = (Codes::default(), clock::now());
        for number in 0..=MAX_CODES {
            codes.add(&number.to_string(), now);
        }
        assert_eq!(codes.open.len(), MAX_CODES);
        assert_eq!(codes.take("0", now), Err(CodeError::Unknown), "the oldest left");
    }
}
