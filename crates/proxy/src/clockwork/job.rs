//! A job of this process: a name, a period, what it does, and what became of it. Pure, but for the work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::moment::Moment;

/// Work of a job under way. An error is a sentence.
pub type JobWork = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Begins the work of a job.
pub(super) type BeginWork = Box<dyn Fn() -> JobWork + Send + Sync>;

/// What became of the work of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// It was not begun yet.
    Waiting,
    /// It runs.
    Running,
    /// It did what it is there for.
    Done,
    /// It did not: a sentence.
    Failed(String),
    /// It panicked; the log has where.
    Panicked,
}

impl JobStatus {
    /// As people and programs read it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "completed",
            Self::Failed(_) => "failed",
            Self::Panicked => "panicked",
        }
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            Self::Panicked => Some("it panicked; the log has where"),
            _ => None,
        }
    }
}

/// A job, as it is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// What it is called; unique in its process.
    pub name: &'static str,
    /// What it is there for.
    pub what: &'static str,
    /// How often it comes due.
    pub period: Duration,
    /// When it was begun last.
    pub last_run: Option<Moment>,
    /// What became of that.
    pub status: JobStatus,
    /// How often it was begun.
    pub runs: u64,
    /// When it comes due next.
    pub next: Moment,
}

/// A job in the table.
pub(super) struct PlannedJob {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) begin: BeginWork,
    pub(super) times: JobTimes,
}

impl fmt::Debug for PlannedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedJob")
            .field("name", &self.name)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// When a job runs. Its last run is its own, and is set before its work begins: however often it is looked at, it runs once a period.
#[derive(Debug, Clone)]
pub(super) struct JobTimes {
    period: Duration,
    due: Moment,
    last_run: Option<Moment>,
    status: JobStatus,
    runs: u64,
}

impl JobTimes {
    /// Due first after `delay`.
    pub(super) fn new(period: Duration, delay: Duration, now: Moment) -> Self {
        // A period of nothing would never let anything else run.
        let period = period.max(Duration::from_millis(1));
        Self { period, due: now.plus(delay), last_run: None, status: JobStatus::Waiting, runs: 0 }
    }

    /// True where its work is to begin now; it counts as begun then.
    pub(super) fn begin(&mut self, now: Moment) -> bool {
        // The clock was set back: what is due in a period at most stays so.
        self.due = self.due.min(now.plus(self.period));
        if self.due > now {
            return false;
        }
        // Times that were missed are one. While it still runs, they are none. The step stays.
        let step = u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX);
        let missed = now.since(self.due).as_millis() / u128::from(step);
        let steps = u64::try_from(missed).unwrap_or(u64::MAX).saturating_add(1);
        self.due = Moment::from_millis(self.due.millis().saturating_add(steps.saturating_mul(step)));
        if self.status == JobStatus::Running {
            return false;
        }
        self.last_run = Some(now);
        self.status = JobStatus::Running;
        self.runs += 1;
        true
    }

    /// The work has ended.
    pub(super) fn end(&mut self, status: JobStatus) {
        self.status = status;
    }

    pub(super) const fn due(&self) -> Moment {
        self.due
    }

    pub(super) fn report(&self, name: &'static str, what: &'static str) -> JobReport {
        JobReport {
            name,
            what,
            period: self.period,
            last_run: self.last_run,
            status: self.status.clone(),
            runs: self.runs,
            next: self.due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_unix(1_780_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_thousand_looks_in_a_second_begin_one_run() {
        let mut times = JobTimes::new(SECOND, Duration::ZERO, START);
        let mut begun = 0;
        for millis in 0..1000 {
            if times.begin(START.plus(Duration::from_millis(millis))) {
                begun += 1;
                times.end(JobStatus::Done);
            }
        }
        assert_eq!(begun, 1);
        assert!(times.begin(START.plus(SECOND)));
    }

    #[test]
    fn a_run_that_takes_long_is_alone_and_leaves_no_burst_behind() {
        let mut times = JobTimes::new(SECOND, Duration::ZERO, START);
        assert!(times.begin(START));
        for second in 1..100 {
            assert!(!times.begin(START.plus(SECOND * second)), "it still runs");
        }
        times.end(JobStatus::Failed("no".to_owned()));
        assert!(!times.begin(START.plus(SECOND * 99)), "what it missed is gone");
        assert!(times.begin(START.plus(SECOND * 100)));
        assert_eq!(times.report("job", "").runs, 2);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_by_one_period_at_most() {
        let mut times = JobTimes::new(SECOND * 60, Duration::ZERO, START);
        assert!(times.begin(START));
        times.end(JobStatus::Done);
        let year_before = Moment::from_unix(START.unix() - 365 * 86_400);
        assert!(!times.begin(year_before));
        assert!(!times.begin(year_before.plus(SECOND * 59)));
        assert!(times.begin(year_before.plus(SECOND * 60)));
    }

    #[test]
    fn a_machine_that_slept_runs_it_once() {
        let mut times = JobTimes::new(SECOND * 60, SECOND * 60, START);
        assert!(!times.begin(START), "not at once");
        let woken = START.plus(SECOND * 30_000);
        assert!(times.begin(woken));
        times.end(JobStatus::Done);
        assert!(!times.begin(woken.plus(SECOND)));
    }
}
