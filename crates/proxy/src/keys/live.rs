//! What a key uses, while it is used: turns at once, a bucket of requests, and what was used in each window.
//!
//! A limit for a second or a minute is a bucket: it is full at first and flows back evenly, so that the first sixty of `60/min` pass
//! at once and one a second after that. A limit for an hour, a day or a month holds for the hour, the day or the month of the
//! calendar (UTC), through restarts, and over all processes that share a store. What a turn uses is known at its end; so turns under
//! way count as much as the last one that ended did.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::limits::{Limits, Rate, count_text, money_text};
use super::period::{Amounts, LimitWindow, Period};
use crate::clock::Clocks;
use crate::sync::lock;

/// After so long a turn that may free something is worth another try.
const RETRY_SECONDS: u64 = 2;

/// The longest that a client may be expected to wait.
const MAX_WAIT_SECONDS: u64 = 60;

/// Which limit a turn would be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverLimit {
    /// Requests in a time. The seconds until one more may come.
    Requests(Rate, u64),
    /// Tokens in a time. The seconds until it ends.
    Tokens(Rate, u64),
    /// Money in a time. The seconds until it ends.
    Budget(Rate, u64),
    /// So many turns at once.
    Parallel(u32),
}

impl OverLimit {
    /// When one may come again, in seconds.
    pub fn wait_seconds(self) -> u64 {
        match self {
            Self::Requests(_, wait) | Self::Tokens(_, wait) | Self::Budget(_, wait) => wait.max(1),
            Self::Parallel(_) => RETRY_SECONDS,
        }
    }

    /// Whether the limit holds for so long that a client had better not wait.
    pub fn lasts(self) -> bool {
        self.wait_seconds() > MAX_WAIT_SECONDS
    }

    /// Its name in logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Requests(..) => "requests",
            Self::Tokens(..) => "tokens",
            Self::Budget(..) => "budget",
            Self::Parallel(_) => "parallel",
        }
    }

    /// What the key may do, and when it may again. `name` is the key's.
    pub fn message(self, name: &str) -> String {
        let wait = wait_text(self.wait_seconds());
        match self {
            Self::Requests(Rate { amount, per }, _) => {
                format!(
                    "the key `{name}` may make {} requests a {}; the next one may come in {wait}",
                    count_text(amount),
                    per.words()
                )
            }
            Self::Tokens(Rate { amount, per }, _) => {
                format!(
                    "the key `{name}` may use {} tokens a {}, and has; the next turn may come in {wait}",
                    count_text(amount),
                    per.words()
                )
            }
            Self::Budget(Rate { amount, per }, _) => {
                format!(
                    "the budget of the key `{name}` is ${} a {}, and it is spent; the next turn may come in {wait}",
                    money_text(amount),
                    per.words()
                )
            }
            Self::Parallel(max) => {
                format!(
                    "the key `{name}` may have {max} turns open at once; another one may begin when one of them ends"
                )
            }
        }
    }
}

fn wait_text(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// Whether a limit of this length flows back evenly.
fn is_bucket(period: Period) -> bool {
    matches!(period, Period::Second | Period::Minute)
}

/// Requests that flow back evenly.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), u64> {
        #[expect(clippy::cast_precision_loss, reason = "a rate has few digits")]
        let (capacity, seconds) = (rate.amount as f64, rate.per.seconds() as f64);
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.left = (self.left + passed * capacity / seconds).min(capacity);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) * seconds / capacity;
        Err(Duration::try_from_secs_f64(wait.ceil()).map_or(u64::MAX, |wait| wait.as_secs()).max(1))
    }
}

/// What was used in one window.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// By all processes, as the store said last.
    shared: Amounts,
    /// By this one, not yet told to the store.
    pending: Amounts,
    /// By this one, on its way to the store.
    sending: Amounts,
}

impl Counted {
    fn total(self) -> Amounts {
        let mut total = self.shared;
        total += self.pending;
        total += self.sending;
        total
    }
}

#[derive(Debug, Default)]
struct State {
    open: u32,
    bucket: Option<Bucket>,
    windows: BTreeMap<LimitWindow, Counted>,
    /// What the last turn that ended used.
    last: Amounts,
}

/// What one key uses.
#[derive(Debug, Default)]
pub struct LiveUse(Mutex<State>);

impl LiveUse {
    /// A turn begins, if no limit forbids it.
    ///
    /// # Errors
    /// The first limit it would be over; nothing is counted then.
    pub(super) fn begin(&self, limits: &Limits, at: Clocks) -> Result<(), OverLimit> {
        let mut state = lock(&self.0);
        if let Some(max) = limits.parallel.filter(|max| state.open >= max.get()) {
            return Err(OverLimit::Parallel(max.get()));
        }
        let open = u64::from(state.open);
        if let Some(rate) = limits.budget {
            let (used, window) = state.used(rate.per, at.unix);
            let expected = state.last.micro_usd.saturating_mul(open);
            check(rate.amount, used.micro_usd, expected, window.end - at.unix)
                .map_err(|wait| OverLimit::Budget(rate, wait))?;
        }
        if let Some(rate) = limits.tokens {
            let (used, window) = state.used(rate.per, at.unix);
            let expected = state.last.tokens.saturating_mul(open);
            check(rate.amount, used.tokens, expected, window.end - at.unix)
                .map_err(|wait| OverLimit::Tokens(rate, wait))?;
        }
        if let Some(rate) = limits.requests {
            if is_bucket(rate.per) {
                #[expect(clippy::cast_precision_loss, reason = "a rate has few digits")]
                let full = Bucket { left: rate.amount as f64, filled: at.now };
                let bucket = state.bucket.get_or_insert(full);
                bucket.take(rate, at.now).map_err(|wait| OverLimit::Requests(rate, wait))?;
            } else {
                let (used, window) = state.used(rate.per, at.unix);
                check(rate.amount, used.requests, 0, window.end - at.unix)
                    .map_err(|wait| OverLimit::Requests(rate, wait))?;
            }
        }
        state.open += 1;
        state.add(limits, at.unix, Amounts { requests: 1, ..Amounts::default() });
        Ok(())
    }

    /// A turn ended, and used so much.
    pub(super) fn end(&self, limits: &Limits, unix: u64, used: Amounts) {
        let mut state = lock(&self.0);
        state.open = state.open.saturating_sub(1);
        if used.tokens > 0 || used.micro_usd > 0 {
            state.last = used;
            state.add(limits, unix, used);
        }
    }

    /// Turns that are open.
    pub fn open(&self) -> u32 {
        lock(&self.0).open
    }

    /// What was used in the window of this length in which a moment lies, by all processes as far as this one knows.
    pub fn used(&self, period: Period, unix: u64) -> Amounts {
        lock(&self.0).used(period, unix).0
    }

    /// What the store has to be told, and with `all` also the windows of limits of which only the others' part is wanted. Until
    /// [`LiveUse::settle`] or [`LiveUse::take_back`] it is on its way.
    pub(super) fn send(&self, limits: &Limits, unix: u64, all: bool) -> Vec<(LimitWindow, Amounts)> {
        let mut state = lock(&self.0);
        state.windows.retain(|window, counted| window.end > unix || !counted.pending.is_nothing());
        if all {
            for period in limits.periods() {
                state.windows.entry(period.window(unix)).or_default();
            }
        }
        let mut sent = Vec::new();
        for (window, counted) in &mut state.windows {
            if all || !counted.pending.is_nothing() {
                counted.sending = std::mem::take(&mut counted.pending);
                sent.push((*window, counted.sending));
            }
        }
        sent
    }

    /// The store has it, and says what all processes used.
    pub(super) fn settle(&self, window: LimitWindow, shared: Amounts) {
        if let Some(counted) = lock(&self.0).windows.get_mut(&window) {
            counted.sending = Amounts::default();
            counted.shared = shared;
        }
    }

    /// The store did not take it: it is told again the next time.
    pub(super) fn take_back(&self) {
        for counted in lock(&self.0).windows.values_mut() {
            let sending = std::mem::take(&mut counted.sending);
            counted.pending += sending;
        }
    }
}

impl State {
    fn used(&self, period: Period, unix: u64) -> (Amounts, LimitWindow) {
        let window = period.window(unix);
        (self.windows.get(&window).map_or_else(Amounts::default, |counted| counted.total()), window)
    }

    /// Counts in the day and the month, for people, and in the windows of the limits.
    fn add(&mut self, limits: &Limits, unix: u64, amounts: Amounts) {
        let mut periods = [Some(Period::Day), Some(Period::Month), None, None, None];
        for (place, period) in periods.iter_mut().skip(2).zip(limits.periods()) {
            *place = Some(period);
        }
        let mut windows: Vec<LimitWindow> =
            periods.into_iter().flatten().map(|period| period.window(unix)).collect();
        windows.sort_unstable();
        windows.dedup();
        for window in windows {
            self.windows.entry(window).or_default().pending += amounts;
        }
    }
}

/// Whether one more turn fits; else the seconds until it may be tried again. Turns under way are expected to use something.
fn check(limit: u64, used: u64, expected: u64, left: u64) -> Result<(), u64> {
    if used >= limit {
        return Err(left.max(1));
    }
    if used.saturating_add(expected) >= limit {
        return Err(RETRY_SECONDS.min(left.max(1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::clock;

    fn at(seconds: u64) -> Clocks {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let start = *START.get_or_init(clock::now);
        Clocks { now: start + Duration::from_secs(seconds), unix: 86_400 * 100 + seconds }
    }

    fn spent(micro_usd: u64) -> Amounts {
        Amounts { micro_usd, tokens: 10, ..Amounts::default() }
    }

    #[test]
    fn sixty_a_minute_are_sixty_at_once_and_one_a_second_after_that() {
        let limits = Limits { requests: Rate::of_count("60/min").ok(), ..Limits::default() };
        let live = LiveUse::default();
        let passed = (0..100).filter(|_| live.begin(&limits, at(0)).is_ok()).count();
        assert_eq!(passed, 60);
        let over = live.begin(&limits, at(0)).expect_err("over");
        assert_eq!((over.wait_seconds(), over.lasts()), (1, false));
        assert!(over.message("anna").contains("60 requests a minute"), "{}", over.message("anna"));
        let passed = (0..30).filter(|_| live.begin(&limits, at(10)).is_ok()).count();
        assert_eq!(passed, 10);
        assert_eq!(live.used(Period::Day, at(10).unix).requests, 70);
    }

    #[test]
    fn a_limit_of_an_hour_ends_with_the_hour() {
        let limits = Limits { requests: Rate::of_count("2/h").ok(), ..Limits::default() };
        let live = LiveUse::default();
        assert!(live.begin(&limits, at(3000)).is_ok() && live.begin(&limits, at(3000)).is_ok());
        assert_eq!(live.begin(&limits, at(3000)).map_err(OverLimit::wait_seconds), Err(600));
        assert!(live.begin(&limits, at(3600)).is_ok());
    }

    #[test]
    fn turns_at_once_are_counted_until_they_end() {
        let limits = Limits { parallel: NonZeroU32::new(2), ..Limits::default() };
        let live = LiveUse::default();
        assert!(live.begin(&limits, at(0)).is_ok() && live.begin(&limits, at(0)).is_ok());
        assert_eq!(live.begin(&limits, at(0)), Err(OverLimit::Parallel(2)));
        live.end(&limits, at(1).unix, Amounts::default());
        assert!(live.begin(&limits, at(1)).is_ok());
        assert_eq!(live.open(), 2);
    }

    #[test]
    fn a_budget_is_spent_by_what_ended_and_held_by_what_is_under_way() {
        let limits = Limits { budget: Rate::of_money("1.00/day").ok(), ..Limits::default() };
        let live = LiveUse::default();
        assert!(live.begin(&limits, at(0)).is_ok());
        live.end(&limits, at(0).unix, spent(400_000));
        // Two more would be 1.20: the second of them waits for the first.
        assert!(live.begin(&limits, at(1)).is_ok() && live.begin(&limits, at(1)).is_ok());
        let over = live.begin(&limits, at(1)).expect_err("over");
        assert_eq!((over.code(), over.wait_seconds()), ("budget", RETRY_SECONDS));
        live.end(&limits, at(2).unix, spent(400_000));
        live.end(&limits, at(2).unix, spent(400_000));
        let over = live.begin(&limits, at(3)).expect_err("over");
        assert_eq!(over.wait_seconds(), 86_400 - 3);
        assert!(over.lasts() && over.message("anna").contains("budget"), "{}", over.message("anna"));
        assert!(live.begin(&limits, at(86_400)).is_ok(), "another day");
    }

    #[test]
    fn what_others_used_counts_and_nothing_is_told_twice() {
        let limits = Limits { tokens: Rate::of_count("100/day").ok(), ..Limits::default() };
        let live = LiveUse::default();
        live.begin(&limits, at(0)).expect("fits");
        live.end(&limits, at(0).unix, spent(0));
        let day = Period::Day.window(at(0).unix);
        let sent = live.send(&limits, at(1).unix, false);
        assert_eq!(sent.len(), 2, "the day and the month");
        let of_day = sent.iter().find(|(window, _)| *window == day).expect("the day").1;
        assert_eq!((of_day.requests, of_day.tokens), (1, 10));
        live.take_back();
        assert_eq!(live.used(Period::Day, at(1).unix).tokens, 10, "nothing is lost");
        assert_eq!(live.send(&limits, at(1).unix, false), sent);
        live.settle(day, Amounts { requests: 9, tokens: 100, micro_usd: 0 });
        assert_eq!(live.begin(&limits, at(2)).map_err(OverLimit::code), Err("tokens"));
        assert_eq!(live.send(&limits, at(2).unix, true).len(), 2);
        assert!(live.send(&limits, at(86_400 * 40).unix, false).is_empty(), "old windows are forgotten");
    }
}
