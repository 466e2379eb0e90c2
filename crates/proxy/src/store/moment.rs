//! Moments as a person writes them: `24h`, `7d`, `yesterday`, `2026-11-29`. Days are local: SQLite, which names the groups of the
//! reports, knows where they begin.

use rusqlite::Connection;

/// Which end of a time a moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A day begins.
    Since,
    /// A day has ended.
    Until,
}

/// A moment in Unix seconds: so long ago (`90m`, `24h`, `7d`, `2w`), `now`, `today`, `yesterday`, a local date with or without a time
/// of day, a month such as `2026-11`, or seconds since 1970. `None` for anything else. A day, and a month, is in the time that ends with it.
pub fn moment(text: &str, edge: Edge, now: u64) -> Option<u64> {
    let text = text.trim();
    let units = [('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        Some(now.saturating_sub(number.saturating_mul(*seconds)))
    });
    if let Some(at) = ago.or_else(|| if text.len() > 4 { text.parse().ok() } else { None }) {
        return Some(at);
    }
    match text {
        "now" => Some(now),
        "today" => day_of(now, edge, 0),
        "yesterday" => day_of(now, edge, -1),
        _ => date(text, edge),
    }
}

/// The difference between local time and UTC at this moment, as `UTC+02:00`.
pub fn zone(at: u64) -> String {
    let seconds =
        ask("SELECT CAST(strftime('%s', ?1, 'unixepoch', 'localtime') AS INTEGER) - ?1", at.cast_signed());
    let minutes = seconds.unwrap_or(0) / 60;
    if minutes == 0 {
        return "UTC".to_owned();
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// The beginning of a day so many days after that of a moment; or its end.
fn day_of(now: u64, edge: Edge, days: i64) -> Option<u64> {
    let days = days + i64::from(edge == Edge::Until);
    let text = format!(
        "SELECT CAST(strftime('%s', ?1, 'unixepoch', 'localtime', 'start of day', '{days} days', 'utc') AS INTEGER)"
    );
    ask(&text, now.cast_signed()).and_then(|at| u64::try_from(at).ok())
}

fn date(text: &str, edge: Edge) -> Option<u64> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (day, time) = text.split_once(['T', ' ']).map_or((text, None), |(day, time)| (day, Some(time)));
    let parts: Vec<&str> = day.split('-').collect();
    if !parts.iter().all(|part| is_number(part)) || parts.first().is_some_and(|year| year.len() != 4) {
        return None;
    }
    let (day, step) = match (&parts[..], time) {
        ([_, month], None) if month.len() == 2 => (format!("{day}-01"), "+1 month"),
        ([_, month, date], None) if (month.len(), date.len()) == (2, 2) => (day.to_owned(), "+1 day"),
        ([_, month, date], Some(time)) if (month.len(), date.len()) == (2, 2) && time.len() >= 5 => {
            (format!("{day} {time}"), "+0 days")
        }
        _ => return None,
    };
    let step = if edge == Edge::Until { step } else { "+0 days" };
    // A day that does not exist is another one after the calendar was asked.
    ask(
        "SELECT CAST(strftime('%s', ?1, ?2, 'utc') AS INTEGER) WHERE date(?1) = substr(?1, 1, 10)",
        (day, step),
    )
    .and_then(|at| u64::try_from(at).ok())
}

trait Values {
    fn ask(self, connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>>;
}

impl Values for i64 {
    fn ask(self, connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>> {
        connection.query_row(text, [self], |row| row.get(0))
    }
}

impl Values for (String, &str) {
    fn ask(self, connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>> {
        connection.query_row(text, [self.0.as_str(), self.1], |row| row.get(0))
    }
}

/// Asks SQLite's calendar.
fn ask(text: &str, values: impl Values) -> Option<i64> {
    let connection = Connection::open_in_memory().ok()?;
    values.ask(&connection, text).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_946_400;

    fn since(text: &str) -> Option<u64> {
        moment(text, Edge::Since, NOW)
    }

    fn until(text: &str) -> Option<u64> {
        moment(text, Edge::Until, NOW)
    }

    #[test]
    fn so_long_ago_is_counted_back() {
        assert_eq!((since("24h"), since("7d")), (Some(NOW - 86_400), Some(NOW - 7 * 86_400)));
        assert_eq!((since("90m"), since("2w")), (Some(NOW - 5400), Some(NOW - 14 * 86_400)));
        assert_eq!((since("now"), since("1795946400")), (Some(NOW), Some(NOW)));
    }

    #[test]
    fn days_are_whole_wherever_one_is() {
        let today = since("today").expect("a day");
        assert!(today <= NOW && NOW < until("today").expect("its end"));
        assert_eq!(until("yesterday"), since("today"));
        let length = today - since("yesterday").expect("a day");
        assert!((82_800..=90_000).contains(&length), "a day of 23 to 25 hours: {length}");
        let (begin, end) = (since("2026-11-21").expect("a date"), until("2026-11-21").expect("its end"));
        assert!((82_800..=90_000).contains(&(end - begin)));
        assert_eq!(since("2026-11-21T00:00"), Some(begin));
        let month = until("2026-11").expect("its end") - since("2026-11").expect("a month");
        assert!((29 * 86_400..=31 * 86_400).contains(&month), "{month}");
        assert!(zone(NOW).starts_with("UTC"));
    }

    #[test]
    fn anything_else_is_no_moment() {
        for text in [
            "",
            "soon",
            "2026-13-01",
            "2026-02-31",
            "1-2",
            "26-11-21",
            "99999999999999999999d",
            "2026-11-21T",
            "7",
            "2026-11-21'",
        ] {
            assert_eq!(since(text), None, "{text}");
        }
    }
}
