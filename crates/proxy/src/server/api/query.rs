//! The parameters of a document.

use std::borrow::Cow;

use super::bad;
use crate::http::refusal::Refusal;
use crate::store::moment::{Edge, moment};
use crate::store::reader::Window;
use crate::store::turn_rows::{MAX_PAGE, TurnQuery};
use crate::text;

/// Turns of a page, where nothing is said.
const PAGE: usize = 100;
/// Bytes of one parameter that are read.
const MAX_VALUE: usize = 200;

/// The pairs of a query string.
pub(in crate::server) struct Query<'q>(Vec<(&'q str, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Reads them; what has no `=` has no value.
    pub(in crate::server) fn read(text: &'q str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name, text::decoded(value.get(..MAX_VALUE).unwrap_or(value))))
                .collect(),
        )
    }

    /// A parameter that says something.
    pub(in crate::server) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    pub(in crate::server) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
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

    /// The time that is asked for: `since` and `until`, each as `24h`, `yesterday`, a local date or Unix seconds; with `breakdown=1`
    /// each line by model, too.
    pub(super) fn window(&self, now: u64) -> Result<Window, Refusal> {
        let (since, until) = (self.get("since").unwrap_or("30d"), self.get("until"));
        let at = |text: &str, edge| {
            // Seconds since 1970, however few.
            let moment = text.parse().ok().or_else(|| moment(text, edge, now));
            moment.ok_or_else(|| {
                bad("`since` and `until` are `24h`, `7d`, `yesterday`, a date such as `2026-11-29` or seconds since 1970")
            })
        };
        Ok(Window {
            text: format!("{since} {}", until.unwrap_or_default()),
            since: at(since, Edge::Since)?,
            until: until.map(|until| at(until, Edge::Until)).transpose()?,
            breaks_down: matches!(self.get("breakdown"), Some("1" | "true")),
        })
    }
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
        assert!(Query::read("since=soon").window(9).is_err());
        assert!(window("since=yesterday&breakdown=1").breaks_down);
    }
}
