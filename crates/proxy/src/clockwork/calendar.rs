//! Due times that stand in a calendar: cron expressions, and one time of one day. Pure.
//!
//! Where summer time begins, a time of day that is left out comes due at the first moment after the gap. Where it ends, a fixed time of
//! day comes due the first time only, and what is due all hours or minutes (`*`, `*/15`) in both hours, as real time goes on.

use std::str::FromStr as _;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::moment::Moment;
use super::zone::Zone;
use crate::text;

/// The longest text that is read.
const MAX_TEXT: usize = 200;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct CronTiming {
    cron: Cron,
    text: String,
    zone: Zone,
}

/// Why a text is no time of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The fields cannot be read.
    #[error(
        "is no cron expression ({0}): write five fields, minute hour day month weekday, such as `0 9 * * 1-5`, or `@daily`"
    )]
    Unreadable(String),
    /// There is no such day.
    #[error("never comes due: there is no such day; write one that exists, such as `0 9 1 * *`")]
    Never,
    /// It is no time of a day.
    #[error(
        "is no time: write `2026-12-01T09:00:00+01:00`, or `2026-12-01T09:00` for one of the schedule's zone"
    )]
    NoTime,
}

impl CronTiming {
    /// Five fields (minute, hour, day, month, weekday), six with seconds before them, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`.
    ///
    /// # Errors
    /// It cannot be read, or there is no day that it names.
    pub fn new(text: &str, zone: Zone, now: Moment) -> Result<Self, CalendarError> {
        let text = text.trim();
        let cron = parse(text).map_err(CalendarError::Unreadable)?;
        let timing = Self { cron, text: text.to_owned(), zone };
        timing.next(now).ok_or(CalendarError::Never)?;
        Ok(timing)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where its times of day are.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first due time after this one; `None` where there is none any more.
    pub fn next(&self, after: Moment) -> Option<Moment> {
        let found = self.cron.find_next_occurrence(&zoned(after, self.zone.zone())?, false).ok()?;
        // What the crate finds is trusted to be a due time, but not to be ahead: a loop would depend on it.
        moment(found.timestamp()).filter(|found| *found > after)
    }

    /// The newest due time that is not after this one.
    pub fn latest(&self, until: Moment) -> Option<Moment> {
        let found = self.cron.find_previous_occurrence(&zoned(until, self.zone.zone())?, true).ok()?;
        moment(found.timestamp()).filter(|found| *found <= until)
    }
}

fn parse(text: &str) -> Result<Cron, String> {
    if text.len() > MAX_TEXT {
        return Err("it is too long".to_owned());
    }
    // The nicknames are found by the crate only where they stand alone.
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    parser.parse(text).map_err(|error| text::shown(error.to_string().trim_end_matches('.'), MAX_TEXT))
}

/// One time: RFC 3339, or a time of day in this zone.
///
/// # Errors
/// It is neither.
pub fn one_time(text: &str, zone: &Zone) -> Result<Moment, CalendarError> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return Err(CalendarError::NoTime);
    }
    let timestamp = Timestamp::from_str(text).ok().or_else(|| {
        // One that is left out is taken as if the clocks had not changed yet; of two, the first.
        let civil = DateTime::from_str(text).ok()?;
        Some(civil.to_zoned(zone.zone().clone()).ok()?.timestamp())
    });
    timestamp.and_then(moment).ok_or(CalendarError::NoTime)
}

/// A time of RFC 3339 as people of a zone write it.
pub fn rfc3339(moment: Moment, zone: &Zone) -> String {
    let Some(zoned) = zoned(moment, zone.zone()) else { return String::new() };
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn zoned(moment: Moment, zone: &TimeZone) -> Option<Zoned> {
    let timestamp = Timestamp::from_second(i64::try_from(moment.unix()).ok()?).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

fn moment(timestamp: Timestamp) -> Option<Moment> {
    u64::try_from(timestamp.as_second()).ok().map(Moment::from_unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2026-01-01T00:00:00Z";

    fn at(text: &str) -> Moment {
        one_time(text, &Zone::utc()).expect("a time")
    }

    fn cron(text: &str, zone: &str) -> CronTiming {
        CronTiming::new(text, Zone::named(zone).expect("a zone"), at(START)).expect("a timing")
    }

    /// So many due times after this one, as they are written in the zone.
    fn times(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timing = cron(text, zone);
        let mut moment = at(after);
        let mut next = || {
            moment = timing.next(moment).expect("a due time");
            rfc3339(moment, timing.zone())
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn expressions_have_five_fields_or_six_or_a_nickname() {
        assert_eq!(times("0 9 * * 1-5", "UTC", "2026-11-27T10:00:00Z", 1), ["2026-11-30T09:00:00+00:00"]);
        assert_eq!(times("30 0 9 * * *", "UTC", START, 1), ["2026-01-01T09:00:30+00:00"]);
        assert_eq!(times("@weekly", "UTC", START, 1), ["2026-01-04T00:00:00+00:00"]);
        assert_eq!(times("0 8 L * *", "UTC", "2028-02-10T00:00:00Z", 1), ["2028-02-29T08:00:00+00:00"]);
        assert_eq!(times("0 0 29 2 *", "UTC", START, 1), ["2028-02-29T00:00:00+00:00"], "a leap day");
    }

    #[test]
    fn a_wrong_expression_is_refused_with_the_remedy() {
        let new = |text: &str| CronTiming::new(text, Zone::utc(), at(START)).map(|_| ());
        for wrong in
            ["", "often", "0 9 * *", "61 * * * *", "0 25 * * *", "* * * * * * * *", "\u{7}", "@fortnightly"]
        {
            let error = new(wrong).expect_err(wrong).to_string();
            assert!(error.contains("`0 9 * * 1-5`") && error.len() < 350, "{wrong}: {error}");
        }
        assert!(new(&"* ".repeat(4000)).is_err());
        assert_eq!(new("0 0 30 2 *"), Err(CalendarError::Never));
        assert_eq!(new("0 0 0 1 1 * 2020"), Err(CalendarError::Never), "a year that is over");
    }

    #[test]
    fn a_time_of_day_that_summer_time_leaves_out_comes_due_after_the_gap() {
        // 29 March 2026, 02:00 becomes 03:00.
        assert_eq!(
            times("30 2 * * *", "Europe/Vienna", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
        assert_eq!(
            times("*/30 * * * *", "Europe/Vienna", "2026-03-29T00:29:00Z", 3),
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]
        );
    }

    #[test]
    fn a_time_of_day_that_comes_twice_is_due_once() {
        // 25 October 2026, 03:00 becomes 02:00.
        assert_eq!(
            times("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
        assert_eq!(
            times("0 * * * *", "Europe/Vienna", "2026-10-24T23:30:00Z", 3),
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
            "each hour that passes"
        );
    }

    #[test]
    fn the_newest_due_time_is_found_backwards() {
        let daily = cron("0 9 * * *", "Europe/Vienna");
        assert_eq!(daily.latest(at("2026-07-02T06:59:59Z")), Some(at("2026-07-01T07:00:00Z")));
        assert_eq!(daily.latest(at("2026-07-02T07:00:00Z")), Some(at("2026-07-02T07:00:00Z")));
    }

    #[test]
    fn one_time_has_an_offset_or_is_of_the_zone() {
        let vienna = Zone::named("Europe/Vienna").expect("a zone");
        let time = |text: &str| one_time(text, &vienna).map(|moment| rfc3339(moment, &vienna));
        assert_eq!(time("2026-12-01T09:00:00Z").as_deref(), Ok("2026-12-01T10:00:00+01:00"));
        assert_eq!(time("2026-12-01T09:00").as_deref(), Ok("2026-12-01T09:00:00+01:00"));
        assert_eq!(time("2026-12-01 09:00").as_deref(), Ok("2026-12-01T09:00:00+01:00"));
        assert_eq!(time("2026-03-29T02:30").as_deref(), Ok("2026-03-29T03:30:00+02:00"), "a gap");
        assert_eq!(time("2026-10-25T02:30").as_deref(), Ok("2026-10-25T02:30:00+02:00"), "a fold");
        for wrong in ["", "tomorrow", "09:00", "2026-13-01T09:00", "1800-01-01T00:00:00Z", &"9".repeat(9000)]
        {
            assert_eq!(time(wrong), Err(CalendarError::NoTime), "{wrong}");
        }
    }
}
