//! What is left of a provider's allowances, from the headers of any answer. Pure. Where a provider has a place that is asked for it is
//! [`crate::quota_place`].
//!
//! Four families are known: `x-ratelimit-*` of OpenAI and those who follow it (OpenRouter, Groq, Mistral, Cerebras, Together),
//! `anthropic-ratelimit-*`, `x-codex-*` of the ChatGPT backend, and `ratelimit-*` of the IETF draft. Names are words between dashes: one
//! says what the value is (`limit`, `remaining`, `reset` …), all others together name the allowance.

use std::collections::BTreeMap;

use hyper::header::HeaderMap;
use latimer_protocol::quota::{QuotaReading, QuotaScope};

use crate::errors::length;

/// What the names of the families begin with, and whether `limit` stands for an allowance of requests where nothing else is said.
const FAMILIES: [&str; 4] = ["x-ratelimit-", "anthropic-ratelimit-", "x-codex-", "ratelimit-"];
/// The most allowances of one answer.
const MAX_READINGS: usize = 24;

/// What one header says of its allowance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Limit,
    Remaining,
    /// A moment, or a time from now.
    Reset,
    /// A share that is used, of a hundred.
    UsedPercent,
    /// A share that is used, of one.
    Utilization,
    WindowMinutes,
}

/// The words of each field, the longest first.
const FIELDS: [(&str, Field); 8] = [
    ("reset-after-seconds", Field::Reset),
    ("window-minutes", Field::WindowMinutes),
    ("used-percent", Field::UsedPercent),
    ("utilization", Field::Utilization),
    ("remaining", Field::Remaining),
    ("reset-at", Field::Reset),
    ("limit", Field::Limit),
    ("reset", Field::Reset),
];

/// The allowances that the headers of an answer tell of, at this time in Unix seconds. Where they tell of none nothing is allocated.
pub fn readings(headers: &HeaderMap, now: u64) -> Vec<QuotaReading> {
    let mut found: BTreeMap<(usize, String), QuotaReading> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Some((family, rest)) = FAMILIES
            .iter()
            .enumerate()
            .find_map(|(place, family)| Some((place, name.strip_prefix(*family)?)))
        else {
            continue;
        };
        let (Some((field, window)), Ok(value)) = (split(rest), value.to_str()) else { continue };
        if found.len() >= MAX_READINGS && !found.contains_key(&(family, window.clone())) {
            continue;
        }
        take(found.entry((family, window)).or_default(), field, value.trim(), now);
    }
    let named = found.into_iter().map(|((_, window), reading)| name(reading, &window, now).settled());
    named.filter(QuotaReading::says_something).collect()
}

/// What a header says, and of which allowance: `remaining-tokens-day` is what remains of `tokens-day`.
fn split(rest: &str) -> Option<(Field, String)> {
    FIELDS.iter().find_map(|(words, field)| {
        let at = rest.find(words)?;
        let (before, after) = (&rest[..at], &rest[at + words.len()..]);
        let is_word =
            (before.is_empty() || before.ends_with('-')) && (after.is_empty() || after.starts_with('-'));
        let window = match (before.trim_end_matches('-'), after.trim_start_matches('-')) {
            ("", after) => after.to_owned(),
            (before, "") => before.to_owned(),
            (before, after) => format!("{before}-{after}"),
        };
        is_word.then_some((*field, window))
    })
}

fn take(reading: &mut QuotaReading, field: Field, value: &str, now: u64) {
    // The draft of the IETF writes `100, 100;w=60`.
    let number = value.split([',', ';']).next().and_then(|first| first.trim().parse::<f64>().ok());
    match field {
        Field::Limit => reading.limit = number,
        Field::Remaining => reading.remaining = number,
        Field::Reset => reading.resets_at = moment(value, now).or(reading.resets_at),
        Field::UsedPercent => reading.remaining_percent = number.map(|used| 100.0 - used),
        Field::Utilization => reading.remaining_percent = number.map(|used| 100.0 - used * 100.0),
        Field::WindowMinutes => {
            reading.window_s = value.parse::<u64>().ok().map(|minutes| minutes.saturating_mul(60));
        }
    }
}

/// The name of an allowance, its scope and its unit, by the words of its headers and by when it is back.
fn name(reading: QuotaReading, window: &str, now: u64) -> QuotaReading {
    let has = |word: &str| window.split('-').any(|part| part == word);
    let unit = match window {
        _ if reading.limit.is_none() && reading.remaining.is_none() => None,
        _ if window.contains("token") => Some("tokens"),
        _ => Some("requests"),
    };
    let by_word = [
        ("minute", 60),
        ("hour", 3600),
        ("5h", 18_000),
        ("day", 86_400),
        ("week", 604_800),
        ("7d", 604_800),
        ("month", 2_592_000),
    ];
    let named = by_word.iter().find(|(word, _)| has(word)).map(|(_, seconds)| *seconds);
    let window_s = reading.window_s.or(named);
    let until = reading.resets_at.map(|at| at.saturating_sub(now));
    let scope = match (window_s, until) {
        (Some(3600), _) => QuotaScope::Session,
        (Some(seconds), _) | (None, Some(seconds)) => QuotaScope::of_seconds(seconds),
        (None, None) => QuotaScope::Burst,
    };
    let name = match window_s {
        Some(18_000) => "5 h".to_owned(),
        Some(604_800) if unit.is_none() => "week".to_owned(),
        Some(seconds) if unit.is_none() => format!("{} h", seconds.div_ceil(3600)),
        _ if window.is_empty() => "requests".to_owned(),
        _ => window.replace('-', " "),
    };
    QuotaReading { name, scope, unit: unit.map(str::to_owned), window_s, ..reading }
}

/// A moment in Unix seconds: a date, seconds or milliseconds since 1970, or a time from now as `6m0s`, `1.5s` or seconds.
fn moment(value: &str, now: u64) -> Option<u64> {
    /// Numbers above are moments: so many seconds from now nobody asks for.
    const MOMENTS: f64 = 1e9;
    const MILLISECONDS: f64 = 1e12;
    let whole =
        |seconds: f64| std::time::Duration::try_from_secs_f64(seconds).ok().map(|time| time.as_secs());
    if let Ok(number) = value.parse::<f64>() {
        return match number {
            at if at >= MILLISECONDS => whole(at / 1000.0),
            at if at >= MOMENTS => whole(at),
            seconds => Some(now.saturating_add(whole(seconds.ceil())?)),
        };
    }
    date(value).or_else(|| {
        let time = length(value)?;
        Some(now.saturating_add(time.as_secs() + u64::from(time.subsec_nanos() > 0)))
    })
}

/// A moment as RFC 3339 writes it, such as `2026-11-29T10:00:00Z`, in Unix seconds.
pub(crate) fn date(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let is_date = text.as_bytes().get(4) == Some(&b'-')
        && text.as_bytes().get(10).is_some_and(|byte| b"Tt ".contains(byte));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !is_date || !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    // Days since the first of March of the year 0: leap days come last in a year then.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let local = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    local.checked_add_signed(-offset * 60)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: u64 = 1_795_946_400;

    fn read(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        let pairs = pairs.iter();
        let headers: HeaderMap = pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let line = |reading: &QuotaReading| {
            format!(
                "{} {:?} {:?} {:?}/{:?} {:?}% resets {:?}",
                reading.name,
                reading.scope,
                reading.unit.as_deref().unwrap_or("-"),
                reading.remaining,
                reading.limit,
                reading.remaining_percent,
                reading.resets_at.map(|at| at.saturating_sub(NOW)),
            )
        };
        readings(&headers, NOW).iter().map(line).collect()
    }

    #[test]
    fn each_family_says_what_is_left() {
        insta::assert_debug_snapshot!([
            read(&[
                ("x-ratelimit-limit-requests", "500"),
                ("x-ratelimit-remaining-requests", "499"),
                ("x-ratelimit-reset-requests", "120ms"),
                ("x-ratelimit-limit-tokens", "200000"),
                ("x-ratelimit-remaining-tokens", "150000"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ]),
            read(&[
                ("anthropic-ratelimit-input-tokens-limit", "40000"),
                ("anthropic-ratelimit-input-tokens-remaining", "10000"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-11-29T10:01:00Z"),
                ("anthropic-ratelimit-unified-5h-utilization", "0.25"),
                ("anthropic-ratelimit-unified-5h-reset", "1795950000"),
                ("anthropic-ratelimit-unified-7d-utilization", "0.98"),
                ("anthropic-ratelimit-unified-7d-reset", "1796400000"),
            ]),
            read(&[
                ("x-codex-primary-used-percent", "12"),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-reset-after-seconds", "3600"),
                ("x-codex-secondary-used-percent", "98"),
                ("x-codex-secondary-window-minutes", "10080"),
                ("x-codex-secondary-reset-after-seconds", "100000"),
            ]),
            read(&[
                ("x-ratelimit-limit", "50"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1795960800000"),
            ]),
            read(&[
                ("x-ratelimit-limit-requests-day", "14400"),
                ("x-ratelimit-remaining-requests-day", "288"),
                ("x-ratelimit-reset-requests-day", "5000.5"),
                ("ratelimit-limit", "100, 100;w=60"),
                ("ratelimit-remaining", "50"),
            ]),
        ]);
    }

    #[test]
    fn what_says_nothing_of_what_is_left_is_no_allowance() {
        assert_eq!(read(&[("content-type", "text/plain"), ("x-request-id", "1")]), [] as [&str; 0]);
        assert_eq!(
            read(&[("x-ratelimit-limit-requests", "500"), ("x-codex-turn-state", "x")]),
            [] as [&str; 0]
        );
        assert_eq!(read(&[("x-ratelimit-remaining-requests", "many")]), [] as [&str; 0]);
    }

    #[test]
    fn moments_in_every_spelling() {
        for (text, want) in [
            ("2026-11-29T10:00:00Z", Some(NOW)),
            ("2026-11-29T12:00:00.250+02:00", Some(NOW)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2026-13-29T10:00:00Z", None),
            ("1h2m3s", Some(NOW + 3723)),
            ("7", Some(NOW + 7)),
            ("0.2", Some(NOW + 1)),
            ("1795946400000", Some(NOW)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(moment(text, NOW), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_fall(name in "(x-ratelimit|anthropic-ratelimit|x-codex|ratelimit)-[a-z0-9-]{0,40}", value in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
            for reading in readings(&headers, NOW) {
                proptest::prop_assert!(reading.remaining_percent.is_none_or(|share| (0.0..=100.0).contains(&share)));
            }
        }
    }
}
