//! What is not well: one sentence for each thing, with what to do. The same in `latimer status`, on the page and as JSON. Pure.

use serde::{Deserialize, Serialize};

use super::{EndpointState, Health, StoreState};

/// Something that is not well; gone as soon as it is well again. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What it is about: `lab`, `configuration`.
    pub who: String,
    /// What is wrong, in the provider's words where it had any.
    pub what: String,
    /// Since when.
    pub since: Option<u64>,
    /// Until when, where that is known.
    pub until: Option<u64>,
    /// The next command.
    pub next: String,
}

impl Problem {
    /// One line: who, what, since when, until when, and the next command.
    pub fn line(&self, now: u64) -> String {
        let since = self
            .since
            .map_or_else(String::new, |at| format!(", since {} ago", duration_text(now.saturating_sub(at))));
        let until = self
            .until
            .map_or_else(String::new, |at| format!(", for {} more", duration_text(at.saturating_sub(now))));
        format!("{}: {}{since}{until}; {}", self.who, self.what, self.next)
    }
}

/// Everything that is not well.
pub fn problems(health: &Health) -> Vec<Problem> {
    let config = health.config.refused.as_ref().map(|why| Problem {
        who: "configuration".to_owned(),
        what: format!("the changed file is not in use: {}", why.lines().next().unwrap_or_default()),
        next: "`latimer check` says what is wrong with it".to_owned(),
        ..Problem::default()
    });
    let lost = (health.usage_lost > 0).then(|| Problem {
        who: "usage".to_owned(),
        what: format!("{} rows were not written", health.usage_lost),
        next: "look for `store.` in the log: the disk may be full".to_owned(),
        ..Problem::default()
    });
    let endpoints = health.endpoints.iter().filter_map(endpoint_problem);
    let store = health.store.as_ref().and_then(store_problem);
    config.into_iter().chain(endpoints).chain(store).chain(lost).collect()
}

/// What is not well with the database that nodes share; `None` where all is.
pub fn store_problem(store: &StoreState) -> Option<Problem> {
    let who = format!("database {}", store.database);
    if !store.reachable {
        let why = store.away.as_deref().unwrap_or("nobody has reached it yet");
        let waiting = match store.waiting {
            0 => String::new(),
            1 => "; 1 row waits for it".to_owned(),
            rows => format!("; {rows} rows wait for it"),
        };
        return Some(Problem {
            who,
            what: format!("{why}; turns go on, and each node allows its share of what keys may use{waiting}"),
            since: store.away_since,
            next: "`latimer store check`".to_owned(),
            ..Problem::default()
        });
    }
    (!store.limits_global).then(|| Problem {
        who,
        what:
            "it answers too slowly for turns to wait for it; each node allows its share of what keys may use"
                .to_owned(),
        since: store.limits_since,
        next: "look at its load, and at the network between".to_owned(),
        ..Problem::default()
    })
}

/// What is not well with an endpoint, and until when it rests.
pub fn endpoint_problem(endpoint: &EndpointState) -> Option<Problem> {
    let code = endpoint.last_failure.as_deref();
    let said = endpoint.last_message.as_deref().or(code);
    let what = match (&endpoint.rests_because, said) {
        (Some(why), Some(said)) => format!("{why}: {said}"),
        (Some(why), None) => why.clone(),
        (None, Some(said)) if code.is_some() => format!("its last turn failed: {said}"),
        (None, _) => return None,
    };
    let name = &endpoint.name;
    let next = match code {
        Some("unauthorized" | "forbidden") => {
            format!("look at its key: `latimer endpoints show {name}`, `latimer accounts`")
        }
        Some("quota_exhausted") => "add credit there, or use another endpoint".to_owned(),
        Some("unreachable") => "look at its `base_url` and at the network: `latimer check`".to_owned(),
        _ => format!("`latimer endpoints show {name}`"),
    };
    Some(Problem {
        who: name.clone(),
        what,
        since: endpoint.last_failure_at,
        until: endpoint.rests_until,
        next,
    })
}

/// `42 s`, `7 min`, `3 h 5 min`, `2 d 4 h`.
pub fn duration_text(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointState {
        EndpointState { name: "lab".to_owned(), ..EndpointState::default() }
    }

    #[test]
    fn a_database_is_told_of_when_it_is_away_or_too_slow() {
        let well = StoreState {
            database: "db:5432/latimer".to_owned(),
            reachable: true,
            limits_global: true,
            ..StoreState::default()
        };
        assert_eq!(store_problem(&well), None);
        let slow = StoreState { limits_global: false, limits_since: Some(90), ..well.clone() };
        let line = store_problem(&slow).expect("a problem").line(100);
        assert!(line.starts_with("database db:5432/latimer: it answers too slowly"), "{line}");
        let away = StoreState {
            reachable: false,
            away_since: Some(40),
            away: Some("it did not answer in time".to_owned()),
            waiting: 3,
            ..slow
        };
        let line = store_problem(&away).expect("a problem").line(100);
        for words in ["it did not answer in time", "3 rows wait", "since 1 min ago", "latimer store check"] {
            assert!(line.contains(words), "{words}: {line}");
        }
    }

    #[test]
    fn what_is_well_is_not_told() {
        assert_eq!(endpoint_problem(&endpoint()), None);
        let mended = EndpointState { last_message: Some("busy".to_owned()), ..endpoint() };
        assert_eq!(endpoint_problem(&mended), None, "it was tried again, and worked");
    }

    #[test]
    fn a_problem_says_who_why_since_until_and_what_next() {
        let resting = EndpointState {
            last_failure: Some("rate_limited".to_owned()),
            last_message: Some("Slow down".to_owned()),
            last_failure_at: Some(1000),
            rests_until: Some(1100),
            rests_because: Some("all of its keys rest".to_owned()),
            ..endpoint()
        };
        assert_eq!(
            endpoint_problem(&resting).expect("a problem").line(1010),
            "lab: all of its keys rest: Slow down, since 10 s ago, for 1 min more; `latimer endpoints show lab`"
        );
        let refused = EndpointState { last_failure: Some("unauthorized".to_owned()), ..endpoint() };
        let line = endpoint_problem(&refused).expect("a problem").line(0);
        assert!(line.contains("unauthorized") && line.contains("look at its key"), "{line}");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [42, 420, 11_100, 187_200].map(duration_text);
        assert_eq!(texts, ["42 s", "7 min", "3 h 5 min", "2 d 4 h"]);
    }
}
