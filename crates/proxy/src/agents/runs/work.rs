//! Carries runs: as many at once as there are places, each to its end, within its time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::event::RunEvent;
use super::live::LiveRun;
use super::open::{break_off_orphans, me};
use super::{MAX_RUNNING, Runs};
use crate::agents::door::{DoorState, RunDoor};
use crate::agents::run::{AgentRun, RunOutcome, RunStatus};
use crate::agents::store::AgentStoreError;
use crate::clock;
use crate::sync::lock;

/// How often claims are renewed, and it is looked for runs that others have ended or left.
const BEAT: Duration = Duration::from_secs(5);
/// How many beats nothing is looked at between two looks, where no run is at work or waits: another process may have left some.
const IDLE_BEATS: u32 = 12;
/// How long a claim holds without being renewed, in seconds.
const CLAIM: u64 = 30;
/// How long runs and messages are kept that may be deleted, in seconds: 7 days.
const KEEP: u64 = 7 * 24 * 3600;

impl Runs {
    /// Works until it is dropped, which ends every turn under way: what was running then is for the next process to say.
    pub async fn work(self: &Arc<Self>, door: &dyn RunDoor) {
        // As long as nobody keeps anything here, there is no file and nothing to look at.
        while !self.is_in_use() {
            self.queued.notified().await;
        }
        if self.with_store(|_| Ok(())).await.is_err() {
            return std::future::pending().await;
        }
        let mut carried = FuturesUnordered::new();
        let mut idle_beats: u32 = 0;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.queued.notified() => {}
                Some(()) = carried.next(), if !carried.is_empty() => {}
                _ = beat.tick() => {
                    let is_idle = lock(&self.live).is_empty() && !idle_beats.is_multiple_of(IDLE_BEATS);
                    idle_beats = if lock(&self.live).is_empty() { idle_beats.wrapping_add(1) } else { 0 };
                    if is_idle {
                        continue;
                    }
                    self.beat().await;
                }
            }
            while carried.len() < MAX_RUNNING && door.state() == DoorState::Open {
                let Some(run) = self.claim().await else { break };
                carried.push(self.carry(run, door));
            }
        }
    }

    async fn claim(self: &Arc<Self>) -> Option<AgentRun> {
        let claimed = self.with_store(|store| {
            let now = clock::unix_now();
            store.claim_run(&me(), now, now.saturating_add(CLAIM))
        });
        match claimed.await {
            Ok(run) => run,
            Err(error) => {
                tracing::warn!(event = "agents.run_not_claimed", error = %error);
                None
            }
        }
    }

    /// Deletes runs and messages that are older than 7 days and may be deleted; how many. For whoever keeps the clock.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn cleanup_expired(self: &Arc<Self>, now_unix: u64) -> Result<u64, AgentStoreError> {
        self.with_store(move |store| store.clean_up(now_unix.saturating_sub(KEEP))).await
    }

    /// Renews claims, ends what others have ended, and takes up what a process that is gone has left.
    async fn beat(self: &Arc<Self>) {
        let ids: Vec<_> = lock(&self.live).keys().cloned().collect();
        let runs = Arc::clone(self);
        let looked = self
            .with_store(move |store| {
                let now = clock::unix_now();
                let gone = store.renew_runs(&me(), &ids, now.saturating_add(CLAIM))?;
                let again = |id: &str| runs.profile(id).is_some_and(|profile| profile.retry);
                break_off_orphans(store, again)?;
                let mut over = Vec::new();
                for id in gone {
                    over.extend(store.run(&id)?.filter(|run| run.status.is_over()));
                }
                Ok(over)
            })
            .await;
        match looked {
            Ok(over) => {
                for run in over {
                    if let Some(live) = self.find_live(&run.id) {
                        live.end();
                        self.tell_end(&run, Some(live)).await;
                    }
                }
            }
            Err(error) => tracing::warn!(event = "agents.beat_failed", error = %error),
        }
    }

    /// One run to its end.
    async fn carry(self: &Arc<Self>, run: AgentRun, door: &dyn RunDoor) {
        let was_there = self.find_live(&run.id).is_some();
        let live = self.live(&run.id);
        // Looked at behind that: whoever ends the run from now on finds it there. Whoever has ended it since it was claimed tells of that end,
        // and takes out of the list what was there.
        if self.run(&run.id).await.is_ok_and(|found| found.is_none_or(|found| found.status.is_over())) {
            if !was_there {
                live.is_over_now();
                lock(&self.live).remove(&run.id);
            }
            return;
        }
        live.tell(&RunEvent::Status { status: RunStatus::Running });
        tracing::info!(event = "agents.run_started", run = %run.id, profile = run.profile, mode = run.mode.name());
        let limit = Duration::from_secs(run.timeout);
        let outcome = tokio::select! {
            biased;
            () = live.is_to_end() => Some(RunOutcome::Cancelled),
            () = tokio::time::sleep(limit) => Some(RunOutcome::TimedOut),
            outcome = self.turns(&run, &live, door) => outcome,
        };
        if let Some(outcome) = outcome {
            self.finish(&run, &live, outcome, door).await;
        }
    }

    /// Writes down how a run ended that did not complete.
    async fn finish(
        self: &Arc<Self>,
        run: &AgentRun,
        live: &Arc<LiveRun>,
        outcome: RunOutcome,
        door: &dyn RunDoor,
    ) {
        if matches!(outcome, RunOutcome::Failed(_)) && door.state() == DoorState::Stopping {
            // It ends with the process. The next one says so, or begins it again.
            return;
        }
        match self.end(&run.id, outcome).await {
            Ok(Some(_)) => {}
            // Somebody else has ended it, and it is told to those who listen here.
            Ok(None) => self.forget(run, live).await,
            Err(error) => {
                tracing::error!(event = "agents.run_not_ended", run = %run.id, error = %error);
                self.forget(run, live).await;
            }
        }
    }

    async fn forget(self: &Arc<Self>, run: &AgentRun, live: &Arc<LiveRun>) {
        if live.is_over() {
            return;
        }
        match self.run(&run.id).await {
            Ok(Some(run)) if run.status.is_over() => self.tell_end(&run, Some(Arc::clone(live))).await,
            _ => {
                live.is_over_now();
                lock(&self.live).remove(&run.id);
            }
        }
    }

    /// The folder in which a profile's exchanges are kept; below none of an agent's own.
    pub(super) fn archive(&self, profile: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join("agent-archive").join(profile))
    }

    /// What only the log is told of.
    pub(super) fn note(result: Result<(), AgentStoreError>, run: &AgentRun, what: &'static str) {
        if let Err(error) = result {
            tracing::warn!(event = "agents.not_written", run = %run.id, what, error = %error);
        }
    }
}
