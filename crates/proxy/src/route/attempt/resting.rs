//! Targets whose provider asked for no requests for a while: a turn waits until the first of them is free, and is given up at once where
//! that is longer than its client is held for.

use std::future::ready;
use std::time::{Duration, Instant};

use latimer_protocol::failure::{Failure, FailureKind, Retry};
use latimer_protocol::status::TurnState;

use super::drive::Attempts;
use super::platform::Platform;
use super::state::{AttemptPhase, State, Uncommitted, asked_words};
use crate::route::endpoint_set::RouteTarget;
use crate::route::rest::RESTING;

impl<P: Platform> Attempts<P> {
    /// Sends the request, after the time that the provider named to somebody else. Waiting for a time of latimer's own choosing would be
    /// a guess: then trying is better.
    pub(super) fn send_unless_resting(&mut self, mut turn: Box<Uncommitted>) -> State<P::Sleep> {
        let now = self.platform.clocks();
        let Some(until) = self.target.named_rest(now.now) else { return self.send_in_turn(turn) };
        let wait = until.saturating_duration_since(now.now);
        let held = turn.held + wait;
        if held > turn.request.max_wait {
            if self.target.runtime.stats.may_look(now.unix) {
                return self.send_in_turn(turn);
            }
            let refused = ready(Err(self.still_resting(wait).into()));
            return State::Uncommitted(turn, AttemptPhase::Opening(Box::pin(refused)));
        }
        turn.held = held;
        let endpoint = &self.target.runtime.endpoint.name;
        tracing::info!(event = "turn.waited", endpoint = %endpoint, ms = millis(wait), why = "retry_after");
        self.running.wait(asked_words(&self.target, &self.words()), Some(wait));
        State::Uncommitted(turn, AttemptPhase::Resting(self.platform.sleep(wait)))
    }

    /// The time is over. Meanwhile another key may be the one to use, and somebody else may have been told another time.
    pub(super) fn rested(&mut self, mut turn: Box<Uncommitted>) -> State<P::Sleep> {
        self.pick(&mut turn);
        self.running.enter(TurnState::Connecting);
        self.running.uses(self.entry.as_ref().map_or("", |(_, entry)| entry.id.as_str()));
        self.send_unless_resting(turn)
    }

    /// Takes the target that is free first, where the next one rests.
    pub(super) fn take_first_free(&mut self, now: Instant) {
        let Some(until) = self.target.named_rest(now) else { return };
        let free_at = |target: &RouteTarget| match target.named_rest(now) {
            Some(other) => (other < until).then_some(other),
            None => (!target.is_failing(now)).then_some(now),
        };
        let left = self.targets_left.as_mut_slice();
        let first = left
            .iter()
            .enumerate()
            .filter_map(|(place, target)| Some((place, free_at(target)?)))
            .min_by_key(|(place, free)| (*free, *place));
        if let Some(target) = first.and_then(|(place, _)| left.get_mut(place)) {
            std::mem::swap(&mut self.target, target);
        }
    }

    /// How many targets are left that may answer before this one does after its failure.
    pub(super) fn targets_worth_asking(&self, failure: &Failure, now: Instant) -> usize {
        let own = failure.retry_after.filter(|_| matches!(failure.retry(), Retry::Same | Retry::NextKey));
        let own = own.and_then(|named| now.checked_add(named));
        let is_later = |target: &RouteTarget| {
            own.is_some_and(|own| target.named_rest(now).is_some_and(|other| other > own))
        };
        self.targets_left.as_slice().iter().filter(|target| !is_later(target)).count()
    }

    /// What the provider said when it named the time.
    fn words(&self) -> String {
        let asked = self.target.runtime.stats.asked_to_wait();
        asked.map_or_else(|| "its limit holds".to_owned(), |asked| asked.words)
    }

    /// Nothing was sent: what the provider said to somebody else holds for this turn, too.
    fn still_resting(&self, wait: Duration) -> Failure {
        let (target, stats) = (&self.target, &self.target.runtime.stats);
        let kind = stats.asked_to_wait().map_or(FailureKind::RateLimited, |asked| asked.kind);
        let message = asked_words(target, &self.words());
        Failure { retry_after: Some(wait), cause: Some(RESTING), ..Failure::new(kind, message) }
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
