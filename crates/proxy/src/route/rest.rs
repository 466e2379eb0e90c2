//! Why a target, a key or an endpoint is left alone for a while. Pure.

use std::time::Instant;

/// A time in which no turn goes somewhere, as long as there is another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// When it is over.
    pub until: Instant,
    /// For people.
    pub why: &'static str,
}

impl Rest {
    /// Of an endpoint: its keys rest all, or each of its models does. It is over when the first of them is ready again.
    pub fn of_endpoint(keys: Option<Self>, models: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        let all: Option<Vec<Self>> = models.collect();
        let models = all.and_then(|all| all.into_iter().min_by_key(|rest| rest.until));
        keys.into_iter().chain(models).max_by_key(|rest| rest.until)
    }

    /// In words, with the seconds that are left.
    pub fn words(self, now: Instant) -> String {
        format!("{}, for {} s more", self.why, self.until.saturating_duration_since(now).as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn an_endpoint_rests_only_where_nothing_of_it_is_ready() {
        let now = clock::now();
        let rest = |seconds| Rest { until: now + Duration::from_secs(seconds), why: "a limit holds" };
        let of = |keys, models: &[Option<Rest>]| Rest::of_endpoint(keys, models.iter().copied());
        assert_eq!(of(None, &[Some(rest(9)), None]), None, "one model is ready");
        assert_eq!(of(None, &[Some(rest(9)), Some(rest(5))]), Some(rest(5)));
        assert_eq!(of(Some(rest(3)), &[None]), Some(rest(3)), "all keys rest");
        assert_eq!(of(Some(rest(3)), &[Some(rest(5))]), Some(rest(5)));
        assert_eq!(rest(9).words(now), "a limit holds, for 9 s more");
    }
}
