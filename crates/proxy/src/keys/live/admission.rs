//! Asks the other nodes whether a turn may begin.
//!
//! A node tells of every turn a moment after it began. It asks before only near a limit: as long as it has fewer turns of which nobody
//! heard than a fortieth of the limit, divided by the nodes, it goes by what it knows, so that all of them together are never further
//! off than that fortieth. A turn that asks *wants* to begin; others count it until it is decided.

use std::time::{Duration, Instant};

use super::{Amount, LiveUse, State};
use crate::clock::Clocks;
use crate::keys::bucket::{Flow, RequestBucket};
use crate::keys::limits::Limits;
use crate::keys::nodes::{HeardAt, KeyHeard, KeyNow, Reach};
use crate::keys::over_limit::OverLimit;
use crate::keys::over_limit::RETRY_SECONDS;
use crate::keys::period::{Amounts, LimitWindow};
use crate::keys::secret::KeyId;
use crate::sync::lock;

/// Which part of a limit may pass before anybody hears of it.
const UNHEARD_PART: u64 = 40;
/// So long a limit that frees itself when a turn ends is taken to be as it was heard.
const FRESH: Duration = Duration::from_millis(10);
/// So long one that only time frees is.
const LASTING: Duration = Duration::from_millis(500);
/// So long what others said of their turns counts where they do not answer in time: longer than they are silent.
const RECENT: Duration = Duration::from_secs(5);
/// How often other nodes are told of turns that go on: who is silent for longer has died with them.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// Turns on other nodes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others {
    pub(super) open: u32,
    pub(super) wanting: u32,
}

/// What other nodes were told of a key, and said.
#[derive(Debug, Default)]
pub(super) struct NodesView {
    others: Others,
    heard_at: HeardAt,
    /// Turns that wait for the answer.
    wanting: u32,
    /// Turns that began and of which nobody was told; those of which somebody is being told.
    unheard: u32,
    unheard_sent: u32,
    /// The same of what was taken from the bucket.
    taken: f64,
    taken_sent: f64,
    /// Questions that were asked, sent, and answered.
    asked: u64,
    asked_sent: u64,
    answered: u64,
    /// Turns that were open and that wanted to begin when others were told last, and when that was.
    last: Option<(u32, u32, Instant)>,
}

impl NodesView {
    /// What counts of the others' turns at once, and into how many parts the limit of those is divided: where the others are too slow to
    /// be asked, what they said last is better than a share.
    pub(super) fn others(&self, reach: Reach, now: Instant) -> (Others, u32) {
        match reach {
            Reach::Share(nodes) if !self.heard_at.is_within(RECENT, now) => (Others::default(), nodes.max(1)),
            _ => (self.others, 1),
        }
    }

    pub(super) fn took(&mut self) {
        self.taken += 1.0;
    }

    pub(super) fn began(&mut self) {
        self.unheard = self.unheard.saturating_add(1);
    }

    pub(super) fn take_back(&mut self) {
        self.taken += std::mem::take(&mut self.taken_sent);
        self.unheard = self.unheard.saturating_add(std::mem::take(&mut self.unheard_sent));
        self.answered = self.asked;
        self.last = None;
    }
}

/// What is known of a turn at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keys) enum First {
    /// It began.
    Begun,
    /// It would be over this limit.
    Over(OverLimit),
    /// The others are asked: the number of the question.
    Wants(u64),
}

impl LiveUse {
    /// A turn begins, or would be over a limit, or the others have to be asked first. After [`First::Wants`] somebody has to call
    /// [`LiveUse::decide`] or [`LiveUse::withdraw`].
    pub(in crate::keys) fn first(&self, limits: &Limits, at: Clocks, reach: Reach) -> First {
        let mut state = lock(&self.state);
        let checked = state.check(limits, at, reach);
        let asks = match (reach, checked) {
            (Reach::All(nodes), Ok(())) => {
                let unheard = state.told.unheard + state.told.unheard_sent + state.told.wanting;
                u64::from(unheard) >= state.allowance(limits, at, nodes)
            }
            (Reach::All(_), Err(over)) => !state.told.is_still_over(over, at.now),
            _ => false,
        };
        if asks {
            state.told.wanting += 1;
            state.told.asked += 1;
            return First::Wants(state.told.asked);
        }
        match checked {
            Ok(()) => {
                state.grant(limits, at);
                First::Begun
            }
            Err(over) => First::Over(over),
        }
    }

    /// Waits until a question is answered, or will not be.
    pub(in crate::keys) async fn answered(&self, question: u64) {
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            heard.as_mut().enable();
            if lock(&self.state).told.answered >= question {
                return;
            }
            heard.await;
        }
    }

    /// A turn that wanted to begin does, if what is known by now does not forbid it.
    ///
    /// # Errors
    /// The limit it would be over.
    pub(in crate::keys) fn decide(&self, limits: &Limits, at: Clocks, reach: Reach) -> Result<(), OverLimit> {
        let mut state = lock(&self.state);
        state.told.wanting = state.told.wanting.saturating_sub(1);
        state.check(limits, at, reach)?;
        state.grant(limits, at);
        Ok(())
    }

    /// A turn that wanted to begin does not any more.
    pub(in crate::keys) fn withdraw(&self) {
        let mut state = lock(&self.state);
        state.told.wanting = state.told.wanting.saturating_sub(1);
    }

    /// What others have to be told of a key: what was used, and what holds now where something is limited. `None` where they know it.
    pub(in crate::keys) fn tell(
        &self,
        key: &KeyId,
        limits: &Limits,
        at: Clocks,
        parts: u32,
    ) -> (Vec<(LimitWindow, Amounts)>, Option<KeyNow>) {
        let mut state = lock(&self.state);
        let asks = state.told.asked > state.told.asked_sent;
        let used = state.send(limits, at.unix, asks);
        if limits.is_nothing() {
            state.told.unheard = 0;
            return (used, None);
        }
        let (open, wanting) = (state.open, state.told.wanting);
        let is_known =
            state.told.last.map_or(open == 0 && wanting == 0, |(told_open, told_wanting, at_then)| {
                let is_silent = open > 0 && at.now.saturating_duration_since(at_then) >= HEARTBEAT;
                (told_open, told_wanting) == (open, wanting) && !is_silent
            });
        if is_known && !asks && state.told.taken <= 0.0 && used.is_empty() {
            return (used, None);
        }
        let flow = limits
            .requests
            .filter(|rate| rate.per.flows())
            .map(|rate| (Flow::of(rate, 1), Flow::of(rate, parts)));
        if let (Some((_, flow)), Some(bucket)) = (flow, &mut state.bucket) {
            bucket.fill(flow, at.now);
            let missing = bucket.missing(flow);
            // What flowed back while nobody could be told is not taken twice.
            state.told.taken = state.told.taken.min(missing);
        }
        let told = &mut state.told;
        told.last = Some((open, wanting, at.now));
        told.asked_sent = told.asked;
        told.unheard_sent = std::mem::take(&mut told.unheard);
        told.taken_sent = std::mem::take(&mut told.taken);
        let (capacity, per_second) = flow.map_or((0.0, 0.0), |(flow, _)| (flow.capacity, flow.per_second));
        (used, Some(KeyNow { key: key.clone(), open, wanting, capacity, per_second, taken: told.taken_sent }))
    }

    /// What others said to that.
    pub(in crate::keys) fn hear(&self, limits: &Limits, heard: &KeyHeard, at: Clocks, parts: u32) {
        let mut state = lock(&self.state);
        let told = &mut state.told;
        told.others = Others { open: heard.open, wanting: heard.wanting };
        told.heard_at.set(at.now);
        told.unheard_sent = 0;
        told.taken_sent = 0.0;
        told.answered = told.asked_sent;
        let left = heard.level / f64::from(parts.max(1)) - told.taken;
        if limits.requests.is_some_and(|rate| rate.per.flows()) {
            state.bucket = Some(RequestBucket::with(left, at.now));
        }
        drop(state);
        self.heard.notify_waiters();
    }

    /// From now on each of so many nodes has its share of what was left.
    pub(in crate::keys) fn divide(&self, nodes: u32) {
        if let Some(bucket) = &mut lock(&self.state).bucket {
            bucket.divide(nodes);
        }
    }
}

impl NodesView {
    /// Whether a limit is as it was heard: it was heard a moment ago, or only time can change it.
    fn is_still_over(&self, over: OverLimit, now: Instant) -> bool {
        let lasts = matches!(over, OverLimit::Requests(..)) || over.wait_seconds() > RETRY_SECONDS;
        self.heard_at.is_within(if lasts { LASTING } else { FRESH }, now)
    }
}

impl State {
    /// How many turns may begin before anybody hears of them.
    fn allowance(&self, limits: &Limits, at: Clocks, nodes: u32) -> u64 {
        if !self.told.heard_at.is_known() {
            return if limits.is_nothing() { u64::MAX } else { 0 };
        }
        let part = |amount: u64| amount / UNHEARD_PART / u64::from(nodes.max(1));
        let used_up = [(limits.budget, Amount::Money), (limits.tokens, Amount::Tokens)].map(|(rate, of)| {
            let Some(rate) = rate else { return u64::MAX };
            let (counted, _) = self.counted(rate.per, at.unix);
            let left = rate.amount.saturating_sub(of.of(counted.total()));
            left.checked_div(self.expected(of, counted)).map_or(0, part)
        });
        let requests = limits.requests.map_or(u64::MAX, |rate| part(rate.amount));
        let parallel = limits.parallel.map_or(u64::MAX, |max| part(max.get().into()));
        used_up.into_iter().chain([requests, parallel]).min().unwrap_or(u64::MAX)
    }
}
