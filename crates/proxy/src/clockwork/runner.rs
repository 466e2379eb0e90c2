//! Begins the jobs of this process when they come due: one loop for all of them, in the task of whoever drives it.
//!
//! Due times are of the calendar, so that a machine that slept goes on at once; it is looked at once a minute at least, so that a clock
//! that is set is noticed. A job that fails or panics ends nothing but its own run.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;

use super::job::{BeginWork, JobReport, JobStatus, JobTimes, JobWork, PlannedJob};
use super::moment::Moment;
use crate::clock;
use crate::sync::lock;

/// The longest time without a look at the clock.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// Tells which moment it is; a test brings its own.
pub type ReadCalendar = fn() -> Moment;

/// The jobs of this process.
#[derive(Debug)]
pub struct Clockwork {
    jobs: Mutex<Vec<PlannedJob>>,
    changed: Notify,
    calendar: ReadCalendar,
}

impl Default for Clockwork {
    fn default() -> Self {
        Self::with_calendar(|| Moment::from_millis(clock::unix_millis()))
    }
}

/// How a job is called, what it is there for, and when it runs.
#[derive(Debug, Clone, Copy)]
pub struct JobPlan {
    /// What it is called; unique in its process.
    pub name: &'static str,
    /// What it is there for, in a few words.
    pub what: &'static str,
    /// How often.
    pub period: Duration,
    /// When for the first time.
    pub first: FirstRun,
}

/// When a job runs for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRun {
    /// As soon as the clockwork goes.
    AtOnce,
    /// After its period.
    AfterPeriod,
}

impl Clockwork {
    /// By another calendar than that of the machine.
    pub fn with_calendar(calendar: ReadCalendar) -> Self {
        Self { jobs: Mutex::default(), changed: Notify::new(), calendar }
    }

    /// From now on, this is done. A job of the same name is replaced.
    pub fn add<F>(&self, plan: JobPlan, work: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let begin: BeginWork = Box::new(move || Box::pin(work()) as JobWork);
        let delay = if plan.first == FirstRun::AtOnce { Duration::ZERO } else { plan.period };
        let times = JobTimes::new(plan.period, delay, (self.calendar)());
        let mut jobs = lock(&self.jobs);
        jobs.retain(|job| job.name != plan.name);
        jobs.push(PlannedJob { name: plan.name, what: plan.what, begin, times });
        drop(jobs);
        self.changed.notify_one();
    }

    /// All jobs, in the order in which they were added.
    pub fn report(&self) -> Vec<JobReport> {
        lock(&self.jobs).iter().map(|job| job.times.report(job.name, job.what)).collect()
    }

    /// Begins what comes due, for ever. Dropping it drops the work that runs.
    pub async fn drive(&self) {
        let mut running = FuturesUnordered::new();
        loop {
            let (begun, sleep) = self.begin_due();
            running.extend(begun);
            tokio::select! {
                Some((name, status)) = running.next() => self.end(name, status),
                () = self.changed.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// The work that begins now, and how long nothing else does.
    fn begin_due(&self) -> (Vec<impl Future<Output = (&'static str, JobStatus)> + use<>>, Duration) {
        let now = (self.calendar)();
        let mut begun = Vec::new();
        let mut next = now.plus(MAX_SLEEP);
        for job in lock(&self.jobs).iter_mut() {
            if job.times.begin(now) {
                let name = job.name;
                match std::panic::catch_unwind(AssertUnwindSafe(|| (job.begin)())) {
                    Ok(work) => begun.push(async move { (name, outcome(work).await) }),
                    Err(_) => job.times.end(JobStatus::Panicked),
                }
            }
            next = next.min(job.times.due());
        }
        (begun, next.since(now))
    }

    fn end(&self, name: &'static str, status: JobStatus) {
        match &status {
            JobStatus::Failed(error) => tracing::debug!(event = "job.failed", job = name, error),
            JobStatus::Panicked => tracing::error!(event = "job.panicked", job = name),
            _ => {}
        }
        if let Some(job) = lock(&self.jobs).iter_mut().find(|job| job.name == name) {
            job.times.end(status);
        }
    }
}

async fn outcome(work: JobWork) -> JobStatus {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(())) => JobStatus::Done,
        Ok(Err(why)) => JobStatus::Failed(why),
        Err(_) => JobStatus::Panicked,
    }
}

#[cfg(test)]
mod tests;
