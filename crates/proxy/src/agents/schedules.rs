//! Schedules, alive: looked at by the clockwork, begun as runs.
//!
//! Invariant: the next due time is written down before a run begins, in the step that claims the due time. So no due time begins two runs,
//! however many processes look; one that is claimed by a process that dies at once begins none.

mod lookout;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::lookout::Lookout;
use super::names::RunId;
use super::run::{NewRun, RunMode, RunStatus};
use super::runs::{Runs, StartError, me};
use super::schedule::{AgentSchedule, NewSchedule, ScheduleError, ScheduleId, ScheduleStatus};
use super::store::{AgentStore, AgentStoreError, DueStep, RunQuery};
use crate::clockwork::due::{Decision, Passed, Slot, Work, decide};
use crate::clockwork::moment::Moment;

/// Schedules that are kept.
const MAX_SCHEDULES: u64 = 1000;
/// How long a due time is claimed while its run is being kept.
const CLAIM: Duration = Duration::from_secs(10);

/// The schedules of a state directory.
pub struct Schedules {
    runs: Arc<Runs>,
    lookout: Lookout,
    /// This process, told apart from every other one.
    owner: String,
}

/// Why something cannot be done with a schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleRefusal {
    /// It cannot be made.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
    /// There are so many already.
    #[error("there are {MAX_SCHEDULES} schedules already; `latimer agents cron rm ID` deletes one")]
    Full,
    /// There is none of this name.
    #[error("there is no schedule of this name; `latimer agents cron list` lists them")]
    Unknown,
    /// Its last run still works.
    #[error("its last run {0} still works; wait for it, or end it: `latimer agents cancel {0}`")]
    StillRuns(RunId),
    /// Another process begins it at this moment.
    #[error("it is being begun at this moment; `latimer agents runs` shows its run")]
    Claimed,
    /// It will never come due again.
    #[error("its time has passed; make a new schedule with a time that is ahead")]
    Over,
    /// Its run cannot begin.
    #[error("{0}")]
    Run(#[from] StartError),
    /// It cannot be kept.
    #[error("{0}")]
    Store(#[from] AgentStoreError),
}

impl fmt::Debug for Schedules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Schedules").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Schedules {
    /// Those of the directory that these runs are kept in.
    pub fn new(runs: Arc<Runs>) -> Self {
        Self { runs, lookout: Lookout::default(), owner: me().0 }
    }

    /// Makes a schedule of this name.
    ///
    /// # Errors
    /// It makes no sense, there is no such profile, there are too many, or it cannot be kept.
    pub async fn add(
        &self,
        id: ScheduleId,
        new: NewSchedule,
        now: Moment,
    ) -> Result<AgentSchedule, ScheduleRefusal> {
        let profile = new.profile.clone();
        let schedule = new.into_schedule(id, now)?;
        self.runs.with_store(|_| Ok(())).await?;
        if self.runs.profile(&profile).is_none() {
            return Err(StartError::UnknownProfile(profile).into());
        }
        let kept = schedule.clone();
        if !self.runs.with_store(move |store| store.add_schedule(&kept, MAX_SCHEDULES)).await? {
            return Err(ScheduleRefusal::Full);
        }
        self.lookout.changed();
        let (schedule_id, profile) = (schedule.id.as_str(), schedule.profile.as_str());
        tracing::info!(event = "agents.schedule_kept", schedule = schedule_id, profile);
        Ok(schedule)
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self) -> Result<Vec<AgentSchedule>, AgentStoreError> {
        if self.runs.are_kept() && !self.runs.is_in_use() {
            return Ok(Vec::new());
        }
        self.runs.with_store(|store| store.schedules()).await
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn get(&self, id: &ScheduleId) -> Result<AgentSchedule, ScheduleRefusal> {
        let id = id.clone();
        self.runs.with_store(move |store| store.schedule(&id)).await?.ok_or(ScheduleRefusal::Unknown)
    }

    /// Has one come due again, or not any more. A run under way goes on.
    ///
    /// # Errors
    /// There is none, it would never come due again, or it cannot be written.
    pub async fn switch(
        &self,
        id: &ScheduleId,
        enabled: bool,
        now: Moment,
    ) -> Result<AgentSchedule, ScheduleRefusal> {
        let schedule = self.get(id).await?;
        let next = match enabled {
            false => None,
            true if schedule.enabled => return Ok(schedule),
            true => Some(next_of(&schedule, now)?.ok_or(ScheduleRefusal::Over)?.unix()),
        };
        let id = id.clone();
        let switched = self.runs.with_store(move |store| store.switch_schedule(&id, next)).await?;
        self.lookout.changed();
        switched.ok_or(ScheduleRefusal::Unknown)
    }

    /// Deletes one. A run under way goes on.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    pub async fn delete(&self, id: &ScheduleId) -> Result<(), ScheduleRefusal> {
        let id = id.clone();
        let was_there = self.runs.with_store(move |store| store.delete_schedule(&id)).await?;
        if was_there { Ok(()) } else { Err(ScheduleRefusal::Unknown) }
    }

    /// Begins a run of one now, whenever it is due and even where it is paused.
    ///
    /// # Errors
    /// There is none, its last run still works, or no run can begin.
    pub async fn run_now(&self, id: &ScheduleId, now: Moment) -> Result<RunId, ScheduleRefusal> {
        let (schedule, owner) = (self.get(id).await?, self.owner.clone());
        let claimed = self
            .runs
            .with_store(move |store| {
                if let Some(run) = open_run(store, &schedule.id)? {
                    return Ok(Err(ScheduleRefusal::StillRuns(run)));
                }
                let claimed = claim(store, &schedule, DueStep::ByHand, &owner, now)?;
                Ok(claimed.ok_or(ScheduleRefusal::Claimed))
            })
            .await??;
        Ok(self.begin(claimed).await??)
    }

    /// Looks at what is due now, and begins it. The table is asked only where something may be due.
    ///
    /// # Errors
    /// The store cannot be used. What cannot be begun is written down at its schedule, and is no error here.
    pub async fn tick(&self, now: Moment) -> Result<(), AgentStoreError> {
        if !self.lookout.is_to_look(now) {
            return Ok(());
        }
        let owner = self.owner.clone();
        let (claimed, next) = self
            .runs
            .with_store(move |store| {
                let (due, mut claimed) = (store.due_schedules(now.unix())?, Vec::new());
                // What runs or waits is looked at again at once.
                let is_busy = !due.is_empty();
                for schedule in &due {
                    claimed.extend(look(store, schedule, &owner, now)?);
                }
                let next = if is_busy { Some(now.unix()) } else { store.next_due()? };
                Ok((claimed, next))
            })
            .await?;
        self.lookout.looked(now, next.map(Moment::from_unix));
        let mut written = Ok(());
        for schedule in claimed {
            // One that is not written down takes none of the others along: they are claimed.
            match self.begin(schedule).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(event = "agents.schedule_failed", error = %error),
                Err(error) => written = Err(error),
            }
        }
        written
    }

    /// Begins the run of a due time that this process has claimed.
    async fn begin(&self, schedule: AgentSchedule) -> Result<Result<RunId, StartError>, AgentStoreError> {
        let AgentSchedule { id, profile, input, .. } = schedule;
        let new =
            NewRun { schedule: Some(id.to_string()), ..NewRun::new(profile, input, RunMode::Scheduled) };
        let began = self.runs.start(new).await;
        let told = began.as_ref().map(RunId::clone).map_err(ToString::to_string);
        if let Ok(run) = &told {
            tracing::info!(event = "agents.schedule_began", schedule = id.as_str(), run = run.as_str());
        }
        let owner = self.owner.clone();
        self.runs.with_store(move |store| store.schedule_began(&id, &owner, &told)).await?;
        self.lookout.changed();
        Ok(began)
    }
}

/// The due time after now; `None` where it never comes due again.
fn next_of(schedule: &AgentSchedule, now: Moment) -> Result<Option<Moment>, ScheduleError> {
    let timing = schedule.when.timing(now)?;
    Ok(match schedule.next_run_at {
        Some(due) => timing.anew(Moment::from_unix(due), now).filter(|next| *next > now),
        None => timing.first(now),
    })
}

/// Decides what is to be done with one schedule, and writes that down; the schedule, where a run is to begin.
fn look(
    store: &dyn AgentStore,
    schedule: &AgentSchedule,
    owner: &str,
    now: Moment,
) -> Result<Option<AgentSchedule>, AgentStoreError> {
    settle(store, schedule, now)?;
    let (true, Some(due)) = (schedule.enabled, schedule.next_run_at) else { return Ok(None) };
    let id = &schedule.id;
    let timing = match schedule.when.timing(now) {
        Ok(timing) => timing,
        Err(error) => {
            // It never changes by itself.
            store.pass_schedule(id, due, None, Some(ScheduleStatus::Failed), Some(&error.to_string()))?;
            return Ok(None);
        }
    };
    let slot = Slot {
        due: Moment::from_unix(due),
        last_run: schedule.last_run_at.max(Some(schedule.created)).map(Moment::from_unix),
        work: match (open_run(store, id)?.is_some(), schedule.waits) {
            (false, false) => Work::Rests,
            (false, true) => Work::Waits,
            (true, false) => Work::Runs,
            (true, true) => Work::RunsAndWaits,
        },
    };
    let unix = |moment: Option<Moment>| moment.map(Moment::unix);
    match decide(&timing, schedule.catch_up.into(), schedule.overlap.into(), slot, now) {
        Decision::NotDue => {}
        Decision::Begin { next, .. } => {
            return claim(store, schedule, DueStep::Due { due, next: unix(next) }, owner, now);
        }
        Decision::BeginWaiting => return claim(store, schedule, DueStep::Waiting, owner, now),
        Decision::Wait { next } => {
            store.queue_schedule(id, due, unix(next))?;
        }
        Decision::Pass { why, next } => {
            let status = match why {
                Passed::StillRuns => ScheduleStatus::Skipped,
                Passed::Missed => ScheduleStatus::Missed,
            };
            if store.pass_schedule(id, due, unix(next), Some(status), None)? {
                tracing::info!(event = "agents.schedule_passed", schedule = id.as_str(), why = status.name());
            }
        }
        Decision::Reckon { next } => {
            store.pass_schedule(id, due, Some(next.unix()), None, None)?;
        }
    }
    Ok(None)
}

fn claim(
    store: &dyn AgentStore,
    seen: &AgentSchedule,
    step: DueStep,
    owner: &str,
    now: Moment,
) -> Result<Option<AgentSchedule>, AgentStoreError> {
    store.claim_schedule(seen, step, owner, now.unix(), now.plus(CLAIM).unix())
}

/// Writes down what became of the run that was begun last.
fn settle(store: &dyn AgentStore, schedule: &AgentSchedule, now: Moment) -> Result<(), AgentStoreError> {
    if schedule.last_status != Some(ScheduleStatus::Running) {
        return Ok(());
    }
    let id = &schedule.id;
    let Some(run) = &schedule.last_run else {
        // Only once the claim has ended: until then somebody is about to begin it.
        let error = "the proxy ended before the run began; it is not begun again";
        return store.schedule_ended(id, None, ScheduleStatus::Failed, Some(error), now.unix());
    };
    let (status, error) = match store.run(run)? {
        Some(known) => (ScheduleStatus::of_run(known.status), known.error.map(|error| error.message)),
        None => (ScheduleStatus::Completed, None),
    };
    if status == ScheduleStatus::Running {
        return Ok(());
    }
    store.schedule_ended(id, Some(run), status, error.as_deref(), now.unix())
}

/// A run of this schedule that is not over.
fn open_run(store: &dyn AgentStore, id: &ScheduleId) -> Result<Option<RunId>, AgentStoreError> {
    for status in [RunStatus::Running, RunStatus::Queued] {
        let wanted = RunQuery {
            schedule: Some(id.to_string()),
            status: Some(status),
            limit: 1,
            ..RunQuery::default()
        };
        if let Some(run) = store.runs(&wanted)?.pop() {
            return Ok(Some(run.id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
