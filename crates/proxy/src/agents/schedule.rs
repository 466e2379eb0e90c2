//! Schedules: an input that a profile gets again and again, or once, by the clock.

use serde::{Deserialize, Serialize};

use super::names::{RunId, table_id, words};
use super::run::RunStatus;
use crate::clockwork::calendar::rfc3339;
use crate::clockwork::due::{CatchUp, Overlap};
use crate::clockwork::moment::Moment;
use crate::clockwork::timing::{Timing, TimingError};
use crate::clockwork::zone::{UnknownZone, Zone};

/// The longest input of a schedule, in bytes.
pub const MAX_INPUT: usize = 256 << 10;

table_id! {
    /// The name of a schedule, such as `sch_5f2c90d1a7b3e846`.
    ScheduleId, "sch_"
}

words! {
    /// How a schedule says when.
    TimingKind {
        /// After each time of some length.
        Every = "every",
        /// By a cron expression.
        Cron = "cron",
        /// Once.
        At = "at",
    }
}

words! {
    /// What becomes of a due time that comes while the last run still works.
    OverlapRule {
        /// It is passed over.
        Skip = "skip",
        /// It waits, and several are one.
        Queue = "queue",
    }
}

words! {
    /// What becomes of due times that nobody looked at.
    CatchUpRule {
        /// The newest is made up for.
        One = "one",
        /// They are passed over.
        None = "none",
    }
}

words! {
    /// What became of a schedule the last time that it came due.
    ScheduleStatus {
        /// Its run waits or works.
        Running = "running",
        /// Its run has a result.
        Completed = "completed",
        /// Its run has an error, or could not be begun.
        Failed = "failed",
        /// Its run took longer than it may.
        TimedOut = "timed_out",
        /// Somebody has ended its run.
        Cancelled = "cancelled",
        /// It was passed over, for the run before still worked.
        Skipped = "skipped",
        /// It was passed over, for it came due while nobody looked.
        Missed = "missed",
    }
}

impl ScheduleStatus {
    /// That of a schedule whose run stands here.
    pub const fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Queued | RunStatus::Running => Self::Running,
            RunStatus::Completed => Self::Completed,
            RunStatus::Failed => Self::Failed,
            RunStatus::TimedOut => Self::TimedOut,
            RunStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<OverlapRule> for Overlap {
    fn from(rule: OverlapRule) -> Self {
        match rule {
            OverlapRule::Skip => Self::Skip,
            OverlapRule::Queue => Self::Queue,
        }
    }
}

impl From<CatchUpRule> for CatchUp {
    fn from(rule: CatchUpRule) -> Self {
        match rule {
            CatchUpRule::One => Self::One,
            CatchUpRule::None => Self::None,
        }
    }
}

/// A schedule that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Whose work it is.
    pub profile: String,
    /// What is asked each time.
    pub input: String,
    /// A duration, such as `2h`.
    #[serde(default)]
    pub every: Option<String>,
    /// A cron expression, such as `0 9 * * 1-5`.
    #[serde(default)]
    pub cron: Option<String>,
    /// A time, such as `2026-12-01T09:00`.
    #[serde(default)]
    pub at: Option<String>,
    /// The time zone of `cron` and `at`; else that of the machine.
    #[serde(default)]
    pub zone: Option<String>,
    /// `skip` or `queue`.
    #[serde(default)]
    pub overlap: Option<OverlapRule>,
    /// `one` or `none`.
    #[serde(default)]
    pub catch_up: Option<CatchUpRule>,
}

/// Why there is no such schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// None or several of the three are said.
    #[error("say exactly one of `every`, `cron` and `at`: how often, by which calendar, or when")]
    NotOneTiming,
    /// What is said of it makes no sense.
    #[error("{0}")]
    Timing(#[from] TimingError),
    /// There is no such zone.
    #[error("{0}")]
    Zone(#[from] UnknownZone),
    /// Nothing is asked, or too much.
    #[error("the input of a schedule is 1 to {MAX_INPUT} bytes, and this one has {0}")]
    Input(usize),
}

/// A schedule as it is kept. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentSchedule {
    /// Its name.
    pub id: ScheduleId,
    /// Whose work it is.
    pub profile: String,
    /// What is asked each time.
    pub input: String,
    /// How it says when.
    #[serde(flatten)]
    pub when: WrittenTiming,
    /// What becomes of a due time while the last run works.
    pub overlap: OverlapRule,
    /// What becomes of missed ones.
    pub catch_up: CatchUpRule,
    /// Whether it comes due.
    pub enabled: bool,
    /// When it comes due next.
    pub next_run_at: Option<u64>,
    /// Whether a due time waits for the run under way.
    pub waits: bool,
    /// When a run was begun last.
    pub last_run_at: Option<u64>,
    /// The run that was begun last.
    pub last_run: Option<RunId>,
    /// What became of the last due time.
    pub last_status: Option<ScheduleStatus>,
    /// Why the last run could not be begun.
    pub last_error: Option<String>,
    /// How often a run was begun.
    pub run_count: u64,
    /// When it was made.
    pub created: u64,
}

/// When a schedule comes due, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenTiming {
    /// In which of the three ways.
    pub kind: TimingKind,
    /// What was written: a duration, the fields of cron, or RFC 3339.
    pub text: String,
    /// The name of its time zone.
    pub zone: String,
}

impl Serialize for WrittenTiming {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.kind.name(), &self.text)?;
        map.serialize_entry("zone", &self.zone)?;
        map.end()
    }
}

impl WrittenTiming {
    /// What it means. A cron expression of an older latimer may have no meaning any more, and a zone may be gone.
    ///
    /// # Errors
    /// As the parts of it.
    pub fn timing(&self, now: Moment) -> Result<Timing, ScheduleError> {
        let zone = || Zone::named(&self.zone);
        Ok(match self.kind {
            TimingKind::Every => Timing::every(&self.text)?,
            TimingKind::Cron => Timing::cron(&self.text, zone()?, now)?,
            TimingKind::At => Timing::At(Timing::one_time(&self.text, &zone()?)?),
        })
    }
}

impl NewSchedule {
    /// A schedule of this name, made now.
    ///
    /// # Errors
    /// It would never come due, or says nothing that could be done.
    pub fn into_schedule(self, id: ScheduleId, now: Moment) -> Result<AgentSchedule, ScheduleError> {
        if self.input.trim().is_empty() || self.input.len() > MAX_INPUT {
            return Err(ScheduleError::Input(self.input.len()));
        }
        let zone = match &self.zone {
            Some(name) => Zone::named(name)?,
            None => Zone::of_machine(),
        };
        let (kind, text, timing) = match (self.every, self.cron, self.at) {
            (Some(text), None, None) => {
                let timing = Timing::every(&text)?;
                (TimingKind::Every, text.trim().to_owned(), timing)
            }
            (None, Some(text), None) => {
                let timing = Timing::cron(&text, zone.clone(), now)?;
                (TimingKind::Cron, text.trim().to_owned(), timing)
            }
            (None, None, Some(text)) => {
                let at = Timing::ahead(&text, &zone, now)?;
                (TimingKind::At, rfc3339(at, &zone), Timing::At(at))
            }
            _ => return Err(ScheduleError::NotOneTiming),
        };
        Ok(AgentSchedule {
            id,
            profile: self.profile,
            input: self.input,
            next_run_at: timing.first(now).map(Moment::unix),
            when: WrittenTiming { kind, text, zone: zone.name().to_owned() },
            overlap: self.overlap.unwrap_or(OverlapRule::Skip),
            catch_up: self.catch_up.unwrap_or(CatchUpRule::One),
            enabled: true,
            waits: false,
            last_run_at: None,
            last_run: None,
            last_status: None,
            last_error: None,
            run_count: 0,
            created: now.unix(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_unix(1_780_000_000);

    fn made(json: &str) -> Result<AgentSchedule, String> {
        let new: NewSchedule = serde_json::from_str(json).map_err(|error| error.to_string())?;
        new.into_schedule(ScheduleId::new(7), NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schedule_says_when_in_one_of_three_ways() {
        let every = made(r#"{"profile":"p","input":"look","every":"2h","zone":"UTC"}"#).expect("fine");
        assert_eq!(every.next_run_at, Some(NOW.unix() + 7200));
        let cron = made(
            r#"{"profile":"p","input":"look","cron":"0 9 * * *","zone":"Europe/Vienna","overlap":"queue"}"#,
        )
        .expect("fine");
        let json = serde_json::to_value(&cron).expect("JSON");
        assert_eq!(
            (&json["cron"], &json["zone"], &json["overlap"]),
            (&"0 9 * * *".into(), &"Europe/Vienna".into(), &"queue".into())
        );
        assert_eq!(cron.next_run_at.expect("due") % 86_400, 7 * 3600, "09:00 in summer");
        let at = made(r#"{"profile":"p","input":"look","at":"2026-12-01T09:00","zone":"Europe/Vienna"}"#)
            .expect("fine");
        assert_eq!(at.when.text, "2026-12-01T09:00:00+01:00");
        for schedule in [every, cron, at] {
            let timing = schedule.when.timing(NOW).expect("can be read again");
            assert_eq!(timing.first(NOW).map(Moment::unix), schedule.next_run_at);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_remedy() {
        for (fields, words) in [
            (r#""input":"x""#, "exactly one of"),
            (r#""input":"x","every":"1h","cron":"@daily""#, "exactly one of"),
            (r#""input":"x","every":"0s""#, "`every` is too short"),
            (r#""input":"x","every":"11000d""#, "ten years"),
            (r#""input":"x","cron":"0 25 * * *""#, "`cron` is no cron expression"),
            (r#""input":"x","cron":"0 0 31 2 *""#, "`cron` never comes due"),
            (r#""input":"x","at":"2020-01-01T00:00:00Z""#, "`at` has passed"),
            (r#""input":"x","at":"noon""#, "`at` is no time"),
            (r#""input":"x","every":"1h","zone":"Wien""#, "`Europe/Vienna`"),
            (r#""input":"  ","every":"1h""#, "1 to 262144 bytes"),
            (r#""input":"x","every":"1h","overlap":"pile""#, "skip"),
            (r#""input":"x","evry":"1h""#, "evry"),
        ] {
            let error = made(&format!("{{\"profile\":\"p\",{fields}}}")).expect_err(fields);
            assert!(error.contains(words), "{fields}: {error}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let id = ScheduleId::new(0x2a);
        assert_eq!(id.as_str(), "sch_000000000000002a");
        assert_eq!(ScheduleId::read(id.as_str()), Some(id));
        for text in ["", "sch_", "run_000000000000002a", "sch_00000000000000zz"] {
            assert_eq!(ScheduleId::read(text), None, "{text}");
        }
    }
}
