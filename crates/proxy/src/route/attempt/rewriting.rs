//! The same target once more, with a request that is written anew: without what it does not take, or with a shorter history.

use latimer_adapters::teaching::Teaching;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::Note;

use super::drive::{Attempts, Next, Step};
use super::lessons::TurnLessons;
use super::platform::Platform;
use super::policy::Facts;
use super::state::Uncommitted;
use crate::clock::Clocks;
use crate::inbound::tokens;
use crate::route::limitations::Lesson;
use crate::route::pictures;
use crate::route::shape::MIN_ITEMS;

impl<P: Platform> Attempts<P> {
    /// What counts beside a failure when it is decided what to do.
    pub(super) fn facts<'t>(
        &self,
        turn: &Uncommitted,
        failure: &Failure,
        teaching: Option<&'t Teaching>,
        now: Clocks,
    ) -> Facts<'t> {
        let runtime = &self.target.runtime;
        let prepared = turn.prepared.as_ref();
        let entry = self.entry.as_ref();
        Facts {
            teaching,
            rewrites: turn.rewrites,
            items: prepared.filter(|_| runtime.endpoint.history.adaptive).map(|prepared| prepared.items),
            is_key_ready: entry
                .is_some_and(|(place, _)| runtime.pool.another_ready(*place, failure, now.now)),
            targets_left: self.targets_worth_asking(failure, now.now),
            retries: self.retries,
            max_retries: runtime.endpoint.retries,
            is_in_budget: runtime.budget().has_retry(now.now),
            max_wait: turn.request.max_wait,
            random: self.platform.random(),
        }
    }

    /// The same target as the refusal wants it, which is remembered once the request was taken.
    pub(super) fn rewrite(
        &mut self,
        mut turn: Box<Uncommitted>,
        teaching: Teaching,
        failure: &Failure,
    ) -> Next<P::Sleep> {
        let id = &self.target.id;
        self.notes.push(Note::route(format!(
            "learned of {id}: {} ({})",
            teaching.meaning(),
            failure.message
        )));
        turn.lessons.hold(teaching, &failure.message);
        let turn = Uncommitted { rewrites: turn.rewrites + 1, prepared: None, ..*turn };
        (self.send(Box::new(turn)), Step::Again)
    }

    /// The same target with a third less of items than it failed on: that finds the limit in a few steps.
    pub(super) fn write_fewer_items(&mut self, turn: Box<Uncommitted>) -> Next<P::Sleep> {
        let items = turn.prepared.as_ref().map_or(0, |prepared| prepared.items);
        let id = &self.target.id;
        self.target.runtime.memory.record_item_limit(id, (items - items / 3).max(MIN_ITEMS + 1));
        self.notes.push(Note::route(format!("{id} failed on {items} items; trying fewer")));
        let turn = Uncommitted { rewrites: turn.rewrites + 1, prepared: None, ..*turn };
        (self.send(Box::new(turn)), Step::Again)
    }

    /// A request that was written by these lessons was taken: they are true.
    pub(super) fn remember(&self, turn: &Uncommitted, now: Clocks) {
        let id = &self.target.id;
        let memory = &self.target.runtime.memory;
        for (lesson, words) in turn.lessons.to_remember() {
            memory.limitations.learn(id, &lesson, words, now);
            tracing::info!(event = "endpoint.learned", endpoint = %id, lesson = lesson.code());
        }
        if let Some(counted) = turn.lessons.counted_prompt() {
            let estimate = tokens::count(&turn.request.turn);
            memory.record_prompt_surplus(id, counted.saturating_sub(estimate));
        }
        let items = &turn.request.turn.items;
        for picture in pictures::refused(items, turn.lessons.pictures()) {
            memory.refused_pictures.remember(id, picture);
        }
    }

    /// Another target knows nothing of what this one does not take.
    pub(super) fn forget_lessons(turn: &mut Uncommitted) {
        turn.lessons = TurnLessons::default();
    }
}

/// For people: what a lesson is about.
impl Lesson {
    fn code(&self) -> &str {
        match self {
            Self::Whole(limitation) => limitation.code(),
            Self::Field { path, .. } => path,
        }
    }
}
