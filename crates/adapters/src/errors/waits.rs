//! How long a provider asks to wait: a header, a field, or a few words.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// Fields of seconds, wherever they stand below the error.
const SECONDS: [&str; 4] = ["retry_after", "retry_after_seconds", "resets_in_seconds", "retryAfter"];
/// What stands before a duration in words.
const BEFORE: [&str; 8] = [
    "try again in",
    "retry in",
    "retry after",
    "resets in",
    "reset after",
    "reset in",
    "wait",
    "retry-after:",
];

/// How long the provider asks to wait: the header in seconds or as a date, else a field of the body.
pub fn retry_after(header: Option<&str>, body: &[u8], now_unix: u64) -> Option<Duration> {
    if let Some(header) = header.map(str::trim) {
        if let Ok(seconds) = header.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        if let Ok(date) = httpdate::parse_http_date(header) {
            let at = date.duration_since(UNIX_EPOCH).ok()?;
            return Some(at.saturating_sub(Duration::from_secs(now_unix)));
        }
    }
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let whole = value.get(0).unwrap_or(&value);
    let error = whole.get("error").filter(|error| error.is_object()).unwrap_or(whole);
    let field = |name: &str| [error, whole].iter().find_map(|value| value.get(name)?.as_f64());
    let seconds = SECONDS
        .iter()
        .find_map(|name| field(name))
        .or_else(|| field("retryAfterMs").map(|ms| ms / 1000.0))
        // A moment, where all others are lengths of time.
        .or_else(|| {
            field("resets_at")
                .map(|at| at - Duration::from_secs(now_unix).as_secs_f64())
                .filter(|wait| *wait > 0.0)
        })
        .or_else(|| details(error));
    Duration::try_from_secs_f64(seconds?).ok()
}

/// Google's `details`: `RetryInfo.retryDelay` or `metadata.quotaResetDelay`.
fn details(error: &Value) -> Option<f64> {
    let details = error.get("details")?.as_array()?;
    let text = details
        .iter()
        .find_map(|detail| detail.pointer("/metadata/quotaResetDelay")?.as_str())
        .or_else(|| details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()))?;
    length(&text.to_ascii_lowercase()).map(|length| length.as_secs_f64())
}

/// A wait in a provider's own words, in lower case: `try again in 1h2m3s`, `resets in ~29m`, `retry after 30 seconds`.
pub fn in_words(lower: &str) -> Option<Duration> {
    BEFORE.iter().find_map(|before| length(lower.split_once(before)?.1))
}

/// `34.07s`, `500ms`, `1h2m3s`, `~1 hour 2 minutes`, at the beginning of a text.
pub(crate) fn length(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start_matches([' ', ':', '"', '~']);
    let mut total = Duration::ZERO;
    let mut found = false;
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0) {
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let unit = after.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        let seconds = match unit {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => break,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        found = true;
        rest = after.get(unit.len()..)?.trim_start_matches([' ', ',']);
    }
    found.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_in_every_spelling() {
        let now = 784_111_770;
        let cases: [(Option<&str>, &str, Option<u64>); 11] = [
            (Some("7"), "", Some(7000)),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), "", Some(7000)),
            (Some("Sat, 06 Nov 1993 08:49:37 GMT"), "", Some(0)),
            (Some("soon"), "", None),
            (None, r#"{"error":{"retry_after":7}}"#, Some(7000)),
            (None, r#"{"error":"Daily session limit reached","retryAfterMs":1500}"#, Some(1500)),
            (None, r#"{"error":{"resets_at":784111777}}"#, Some(7000)),
            (None, r#"{"error":{"resets_at":7}}"#, None),
            (None, r#"{"error":{"details":[{"@type":"x.RetryInfo","retryDelay":"34.07s"}]}}"#, Some(34_070)),
            (None, r#"[{"error":{"details":[{"metadata":{"quotaResetDelay":"1h2m3s"}}]}}]"#, Some(3_723_000)),
            (Some("-1"), "", None),
        ];
        for (header, body, want) in cases {
            assert_eq!(
                retry_after(header, body.as_bytes(), now),
                want.map(Duration::from_millis),
                "{header:?} {body}"
            );
        }
    }

    #[test]
    fn waits_in_words() {
        let cases = [
            ("please try again in 20s.", Some(20)),
            ("daily session limit reached. resets in 29m.", Some(29 * 60)),
            ("resets in ~1h2m", Some(3720)),
            ("retry after 30 seconds", Some(30)),
            ("please wait 1 hour, 5 minutes", Some(3900)),
            ("wait for it", None),
            ("try again in a while", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(in_words(text), want.map(Duration::from_secs), "{text}");
        }
    }
}
