//! What follows a failure of which the client saw nothing: the same target once more, the next one, or the end.

use std::time::Duration;

use latimer_adapters::endpoint_client::OpenError;
use latimer_protocol::failure::{Again, Failure};
use latimer_protocol::turn::Note;

use super::drive::{Attempts, Next, Step};
use super::platform::Platform;
use super::policy::{self, Verdict};
use super::state::{AttemptPhase, Progress, State, Uncommitted, missing_key_said, wait_words};
use crate::clock::Clocks;
use crate::route::endpoint_set::{RouteTarget, TurnOutcome};
use crate::route::rest::RESTING;

impl<P: Platform> Attempts<P> {
    /// Carries out what the policy says about a failure of which the client saw nothing.
    pub(super) fn failed(&mut self, mut turn: Box<Uncommitted>, refused: OpenError) -> Next<P::Sleep> {
        let now = self.platform.clocks();
        let OpenError { failure, teaching, .. } = refused;
        let failure = missing_key_said(failure, &self.target.runtime.endpoint);
        self.usage.forget_answer();
        let Uncommitted { lessons, prepared, .. } = &mut *turn;
        let teaching = teaching.map(|teaching| *teaching);
        let teaching = prepared
            .as_ref()
            .and_then(|prepared| lessons.news(teaching, &failure.message, prepared.written_by()));
        let verdict = policy::after(&failure, &self.facts(&turn, &failure, teaching.as_ref(), now));
        self.running.end_attempt(&failure, verdict.name(), verdict.wait());
        match (verdict, teaching) {
            (Verdict::Rewrite, Some(teaching)) => return self.rewrite(turn, teaching, &failure),
            (Verdict::FewerItems, _) => return self.write_fewer_items(turn),
            _ => {}
        }
        if failure.cause != Some(RESTING) {
            let RouteTarget { runtime, id, .. } = &self.target;
            runtime.memory.failed(id, &failure, now.now);
            runtime.stats.note(&failure, now.unix);
            if let Some((place, _)) = self.entry {
                runtime.pool.failed(place, &failure, now.now);
            }
        }
        if let Verdict::Retry { wait } = verdict {
            return self.retry(turn, &failure, wait, now);
        }
        if verdict == Verdict::NextTarget
            && let Some(next) = self.targets_left.next()
        {
            return self.next_target(turn, next, &failure);
        }
        self.leave(TurnOutcome::Failed(failure.kind));
        let again = if verdict == Verdict::HandOver { Again::ByClient } else { Again::ByNobody };
        let failure = turn.final_failure(Failure { again, ..failure });
        (State::Over, Step::Progress(Progress::Failed(failure)))
    }

    /// The same target once more.
    fn retry(
        &mut self,
        turn: Box<Uncommitted>,
        failure: &Failure,
        wait: Duration,
        now: Clocks,
    ) -> Next<P::Sleep> {
        self.target.runtime.budget().take_retry(now.now);
        self.retries += 1;
        tracing::info!(
            event = "turn.retry",
            endpoint = %self.target.runtime.endpoint.name,
            attempt = self.retries + 1,
            failure = failure.kind.code(),
            status = failure.status,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        );
        if wait.is_zero() {
            return (self.send(turn), Step::Again);
        }
        self.running.wait(wait_words(&self.target, failure), Some(wait));
        (State::Uncommitted(turn, AttemptPhase::Waiting(self.platform.sleep(wait))), Step::Again)
    }

    /// The next target of the route.
    fn next_target(
        &mut self,
        mut turn: Box<Uncommitted>,
        next: RouteTarget,
        failure: &Failure,
    ) -> Next<P::Sleep> {
        self.leave(TurnOutcome::Failed(failure.kind));
        let last = std::mem::replace(&mut self.target, next);
        self.take_first_free(self.platform.clocks().now);
        self.retries += 1;
        turn.refusals.push(format!("{}: {}", last.id, failure.message));
        turn.prepared = None;
        Self::forget_lessons(&mut turn);
        let next = &self.target;
        self.notes.push(Note::route(format!(
            "{} did not answer ({}); {} is asked",
            last.id, failure.message, next.id
        )));
        tracing::info!(
            event = "turn.failover",
            from = %last.id,
            to = %next.id,
            failure = failure.kind.code(),
            status = failure.status,
        );
        (self.enter(turn), Step::Again)
    }
}
