//! The parameters of a document.

use std::borrow::Cow;

use super::bad;
use crate::http::refusal::Refusal;
use crate::store::reader::Window;
use crate::store::turn_rows::{MAX_PAGE, TurnQuery};

/// Turns of a page, where nothing is said.
const PAGE: usize = 100;
/// Bytes of one parameter that are read.
const MAX_VALUE: usize = 200;

/// The pairs of a query string.
pub(super) struct Query<'q>(Vec<(&'q str, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Reads them; what has no `=` has no value.
    pub(super) fn read(text: &'q str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name, decoded(value)))
                .collect(),
        )
    }

    /// A parameter that says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.get(name)
            .map(|value| value.parse().map_err(|_| bad(&format!("`{name}` is a number"))))
            .transpose()
    }

    /// The turns that are asked for.
    pub(super) fn turns(&self) -> Result<TurnQuery, Refusal> {
        let owned = |name: &str| self.get(name).map(str::to_owned);
        Ok(TurnQuery {
            before: self.number("before")?,
            after: self.number("after")?,
            limit: self.number("limit")?.unwrap_or(PAGE).clamp(1, MAX_PAGE),
            filter: owned("filter").unwrap_or_default(),
            errors: matches!(self.get("errors"), Some("1" | "true")),
            client: owned("client"),
            endpoint: owned("endpoint"),
        })
    }

    /// The time that is asked for: `since` and `until`, each as `24h`, `7d` or Unix seconds.
    pub(super) fn window(&self, now: u64) -> Result<Window, Refusal> {
        let (since, until) = (self.get("since").unwrap_or("30d"), self.get("until"));
        let moment = |text: &str| {
            moment(text, now).ok_or_else(|| bad("`since` and `until` are `24h`, `7d` or seconds since 1970"))
        };
        Ok(Window {
            text: format!("{since} {}", until.unwrap_or_default()),
            since: moment(since)?,
            until: until.map(moment).transpose()?,
        })
    }
}

/// A point in time in Unix seconds: so long ago, or as it is.
fn moment(text: &str, now: u64) -> Option<u64> {
    let ago = |number: &str, unit: u64| {
        let number: u64 = number.parse().ok()?;
        Some(now.saturating_sub(number.saturating_mul(unit)))
    };
    match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(hours), _) => ago(hours, 3600),
        (_, Some(days)) => ago(days, 86_400),
        _ => text.parse().ok(),
    }
}

/// A value as it was meant: `+` is a space, `%41` is an `A`.
fn decoded(value: &str) -> Cow<'_, str> {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    if !value.contains(['+', '%']) {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_nonsense_stays_as_it_is() {
        let query = Query::read("filter=a+b%20%C3%A4&x&y=%zz%4&=q");
        assert_eq!(query.get("filter"), Some("a b ä"));
        assert_eq!((query.get("x"), query.get("y"), query.get("z")), (None, Some("%zz%4"), None));
        let turns = Query::read("limit=9999&errors=1&client=codex&before=7").turns().expect("fine");
        assert_eq!((turns.limit, turns.errors, turns.before), (MAX_PAGE, true, Some(7)));
        assert_eq!(turns.client.as_deref(), Some("codex"));
        assert!(Query::read("after=x").turns().is_err());
    }

    #[test]
    fn a_time_is_so_long_ago_or_a_moment() {
        let window = |text| Query::read(text).window(1_000_000_000).expect("a time");
        assert_eq!(window("").since, 1_000_000_000 - 30 * 86_400);
        assert_eq!(window("since=24h").since, 1_000_000_000 - 86_400);
        let both = window("since=5&until=9");
        assert_eq!((both.since, both.until), (5, Some(9)));
        assert!(Query::read("since=yesterday").window(9).is_err());
    }
}
