//! What one key uses at the moment: turns that are open, and what was counted in each time.
//!
//! A limit for a second or a minute is a bucket: of `60/min` sixty pass at once, and one a second after that. A limit for an hour, a
//! day or a month holds for the hour, the day or the month of the calendar (UTC), through restarts, and over all processes that share a
//! store. What a turn uses is known at its end; so turns under way count as much as the last one that ended did.
//!
//! Where nodes share a store, `admission` asks them.

mod admission;

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::Notify;

pub(super) use self::admission::First;
use self::admission::NodesView;
use super::bucket::{Flow, RequestBucket};
use super::limits::Limits;
use super::nodes::Reach;
pub use super::over_limit::OverLimit;
use super::over_limit::RETRY_SECONDS;
use super::period::{Amounts, LimitWindow, Period};
use crate::clock::Clocks;
use crate::sync::lock;

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
    bucket: Option<RequestBucket>,
    windows: BTreeMap<LimitWindow, Counted>,
    /// What the last turn that ended used.
    last: Amounts,
    /// What other nodes were told, and said.
    told: NodesView,
}

/// What one key uses.
#[derive(Debug, Default)]
pub struct LiveUse {
    state: Mutex<State>,
    /// Something was heard of it, or nothing will be.
    heard: Notify,
}

impl LiveUse {
    /// A turn begins, if no limit forbids it.
    ///
    /// # Errors
    /// The first limit it would be over; nothing is counted then.
    pub(super) fn begin(&self, limits: &Limits, at: Clocks) -> Result<(), OverLimit> {
        let mut state = lock(&self.state);
        state.check(limits, at, Reach::Alone)?;
        state.grant(limits, at);
        Ok(())
    }

    /// A turn ended, and used so much.
    pub(super) fn end(&self, limits: &Limits, unix: u64, used: Amounts) {
        let mut state = lock(&self.state);
        state.open = state.open.saturating_sub(1);
        if used.tokens > 0 || used.micro_usd > 0 {
            state.last = used;
            state.add(limits, unix, used);
        }
    }

    /// Turns that are open.
    pub fn open(&self) -> u32 {
        lock(&self.state).open
    }

    /// What was used in the window of this length in which a moment lies, by all processes as far as this one knows.
    pub fn used(&self, period: Period, unix: u64) -> Amounts {
        lock(&self.state).counted(period, unix).0.total()
    }

    /// What the store has to be told, and with `all` also the windows of limits of which only the others' part is wanted. Until
    /// [`LiveUse::settle`] or [`LiveUse::take_back`] it is on its way.
    pub(super) fn send(&self, limits: &Limits, unix: u64, all: bool) -> Vec<(LimitWindow, Amounts)> {
        lock(&self.state).send(limits, unix, all)
    }

    /// The store has it, and says what all processes used.
    pub(super) fn settle(&self, window: LimitWindow, shared: Amounts) {
        if let Some(counted) = lock(&self.state).windows.get_mut(&window) {
            counted.sending = Amounts::default();
            counted.shared = shared;
        }
    }

    /// The store did not take it: it is told again the next time, and nobody waits for its answer.
    pub(super) fn take_back(&self) {
        let mut state = lock(&self.state);
        for counted in state.windows.values_mut() {
            let sending = std::mem::take(&mut counted.sending);
            counted.pending += sending;
        }
        state.told.take_back();
        drop(state);
        self.heard.notify_waiters();
    }
}

impl State {
    fn counted(&self, period: Period, unix: u64) -> (Counted, LimitWindow) {
        let window = period.window(unix);
        (self.windows.get(&window).copied().unwrap_or_default(), window)
    }

    /// Whether one more turn may begin.
    fn check(&mut self, limits: &Limits, at: Clocks, reach: Reach) -> Result<(), OverLimit> {
        let parts = reach.parts();
        let (others, shares) = self.told.others(reach, at.now);
        let open = u64::from(self.open) + u64::from(others.open) + u64::from(others.wanting);
        if let Some(max) = limits.parallel.filter(|max| open >= u64::from((max.get() / shares).max(1))) {
            return Err(OverLimit::Parallel(max.get()));
        }
        for (rate, of, over) in [
            (limits.budget, Amount::Money, OverLimit::Budget as fn(_, _) -> _),
            (limits.tokens, Amount::Tokens, OverLimit::Tokens),
        ] {
            let Some(rate) = rate else { continue };
            let (counted, window) = self.counted(rate.per, at.unix);
            let limit = part(rate.amount, of.of(counted.shared), parts);
            let expected = self.expected(of, counted).saturating_mul(open);
            check(limit, of.of(counted.total()), expected, window.end.saturating_sub(at.unix))
                .map_err(|wait| over(rate, wait))?;
        }
        let Some(rate) = limits.requests else { return Ok(()) };
        let checked = if rate.per.flows() {
            let flow = Flow::of(rate, parts);
            let bucket = self.bucket.get_or_insert_with(|| RequestBucket::full(flow, at.now));
            bucket.fill(flow, at.now);
            bucket.check(flow, others.wanting)
        } else {
            let (counted, window) = self.counted(rate.per, at.unix);
            let limit = part(rate.amount, counted.shared.requests, parts);
            let left = window.end.saturating_sub(at.unix);
            check(limit, counted.total().requests, others.wanting.into(), left)
        };
        checked.map_err(|wait| OverLimit::Requests(rate, wait))
    }

    /// What a turn is expected to use: as much as the last one, else as all of the window on average.
    fn expected(&self, of: Amount, counted: Counted) -> u64 {
        match of.of(self.last) {
            0 => of.of(counted.shared).checked_div(counted.shared.requests).unwrap_or(0),
            last => last,
        }
    }

    /// Counts a turn that begins.
    fn grant(&mut self, limits: &Limits, at: Clocks) {
        self.open += 1;
        if limits.requests.is_some_and(|rate| rate.per.flows())
            && let Some(bucket) = &mut self.bucket
        {
            bucket.take();
            self.told.took();
        }
        self.told.began();
        self.add(limits, at.unix, Amounts { requests: 1, ..Amounts::default() });
    }

    fn send(&mut self, limits: &Limits, unix: u64, all: bool) -> Vec<(LimitWindow, Amounts)> {
        self.windows.retain(|window, counted| window.end > unix || !counted.pending.is_nothing());
        if all {
            for period in limits.windows() {
                self.windows.entry(period.window(unix)).or_default();
            }
        }
        let mut sent = Vec::new();
        for (window, counted) in &mut self.windows {
            if all || !counted.pending.is_nothing() {
                counted.sending = std::mem::take(&mut counted.pending);
                sent.push((*window, counted.sending));
            }
        }
        sent
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

/// What of the amounts is limited.
#[derive(Debug, Clone, Copy)]
enum Amount {
    Money,
    Tokens,
}

impl Amount {
    fn of(self, amounts: Amounts) -> u64 {
        match self {
            Self::Money => amounts.micro_usd,
            Self::Tokens => amounts.tokens,
        }
    }
}

/// How far one node may go, where what all used is known and what is left is divided.
fn part(limit: u64, shared: u64, parts: u32) -> u64 {
    let left = limit.saturating_sub(shared);
    if left == 0 { limit } else { shared + (left / u64::from(parts)).max(1) }
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
    use std::time::{Duration, Instant};

    use super::*;
    use crate::clock;
    use crate::keys::limits::Rate;

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
