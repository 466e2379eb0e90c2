//! Changes for a while, on top of the configuration: avoid an endpoint, raise the timeouts of one. They live in memory, end by
//! themselves, can be removed, and are shown in the health document. The configuration file is never touched.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::status::{OverrideRequest, OverrideState, OverrideWhat};

use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::sync::lock;

/// The longest that an override may last.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);
/// Overrides in force at once.
const MAX_OVERRIDES: usize = 50;
/// The largest factor by which timeouts can be raised.
const MAX_FACTOR: f64 = 10.0;
/// No timeout is raised past this.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The overrides in force.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Grows with every change of the list; what was built from an older list is out of date.
    generation: u64,
    list: Vec<Override>,
}

#[derive(Debug, Clone)]
struct Override {
    id: u64,
    what: OverrideWhat,
    why: String,
    until: Instant,
}

impl Overrides {
    /// Puts an override in force, in the place of an earlier one of the same kind for the same endpoint. Returns its id.
    ///
    /// # Errors
    ///
    /// There is no such endpoint, the factor or the duration is out of range, or too many overrides are in force (400).
    pub(super) fn add(
        &self,
        request: OverrideRequest,
        config: &Config,
        now: Instant,
    ) -> Result<u64, Refusal> {
        let invalid = |message: String| Err(Refusal::invalid(400, "invalid_value").message(message));
        let endpoint = request.what.endpoint();
        if !config.endpoints.iter().any(|known| known.name.as_str() == endpoint) {
            let shown = crate::text::shown(endpoint, crate::text::MAX_NAME);
            return invalid(format!("there is no endpoint `{shown}`"));
        }
        if let OverrideWhat::RaiseTimeouts { factor, .. } = request.what
            && !(factor > 1.0 && factor <= MAX_FACTOR)
        {
            return invalid(format!("`factor` is more than 1 and at most {MAX_FACTOR}"));
        }
        let duration = Duration::from_secs(request.seconds);
        if duration.is_zero() || duration > MAX_DURATION {
            return invalid(format!("`seconds` is between 1 and {}", MAX_DURATION.as_secs()));
        }
        let mut inner = self.in_force(now);
        inner.list.retain(|known| {
            known.what.endpoint() != endpoint
                || std::mem::discriminant(&known.what) != std::mem::discriminant(&request.what)
        });
        if inner.list.len() >= MAX_OVERRIDES {
            return invalid(format!("at most {MAX_OVERRIDES} overrides are in force at once"));
        }
        inner.next += 1;
        inner.generation += 1;
        let id = inner.next;
        let why = crate::text::shown(&request.why, 200);
        tracing::info!(
            event = "override.set",
            id,
            endpoint,
            kind = request.what.kind(),
            seconds = request.seconds
        );
        inner.list.push(Override { id, what: request.what, why, until: now + duration });
        Ok(id)
    }

    /// Removes an override, or all of them. Returns how many that were.
    pub(super) fn remove(&self, id: Option<u64>, now: Instant) -> usize {
        let mut inner = self.in_force(now);
        let before = inner.list.len();
        inner.list.retain(|known| id.is_some_and(|id| known.id != id));
        let removed = before - inner.list.len();
        if removed > 0 {
            inner.generation += 1;
            tracing::info!(event = "override.removed", count = removed);
        }
        removed
    }

    /// A number that is another one after every override that was added, was removed or has ended.
    pub(super) fn generation(&self, now: Instant) -> u64 {
        self.in_force(now).generation
    }

    /// The overrides in force, for the health document.
    pub(super) fn states(&self, now: Instant) -> Vec<OverrideState> {
        let state = |known: &Override| OverrideState {
            id: known.id,
            what: known.what.clone(),
            why: known.why.clone(),
            seconds_left: known.until.saturating_duration_since(now).as_secs(),
        };
        self.in_force(now).list.iter().map(state).collect()
    }

    /// The configuration with the overrides applied to it.
    pub(super) fn apply(&self, config: &Arc<Config>, now: Instant) -> Arc<Config> {
        let inner = self.in_force(now);
        if inner.list.is_empty() {
            return Arc::clone(config);
        }
        let mut changed = Config::clone(config);
        for known in &inner.list {
            match &known.what {
                OverrideWhat::AvoidEndpoint { endpoint } => {
                    let name = changed.endpoints.iter().find(|known| known.name.as_str() == endpoint);
                    changed.avoided.extend(name.map(|known| known.name.clone()));
                }
                OverrideWhat::RaiseTimeouts { endpoint, factor } => {
                    for known in &mut changed.endpoints {
                        if known.name.as_str() == endpoint {
                            let longer = |limit: Duration| {
                                limit.mul_f64(factor.clamp(1.0, MAX_FACTOR)).min(MAX_TIMEOUT.max(limit))
                            };
                            known.timeouts.connect = longer(known.timeouts.connect);
                            known.timeouts.first_byte = longer(known.timeouts.first_byte);
                        }
                    }
                }
            }
        }
        Arc::new(changed)
    }

    /// The list without the overrides that have ended.
    fn in_force(&self, now: Instant) -> std::sync::MutexGuard<'_, Inner> {
        let mut inner = lock(&self.inner);
        let before = inner.list.len();
        inner.list.retain(|known| known.until > now);
        if inner.list.len() != before {
            inner.generation += 1;
        }
        inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::config::parse::load;

    fn config() -> Arc<Config> {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nmodels = [\"m\"]\n";
        let loaded = load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        Arc::new(loaded.expect("a configuration").config)
    }

    fn avoid(endpoint: &str, seconds: u64) -> OverrideRequest {
        let what = OverrideWhat::AvoidEndpoint { endpoint: endpoint.to_owned() };
        OverrideRequest { what, seconds, why: "B2".to_owned() }
    }

    fn raise(factor: f64) -> OverrideRequest {
        let what = OverrideWhat::RaiseTimeouts { endpoint: "a".to_owned(), factor };
        OverrideRequest { what, seconds: 60, why: String::new() }
    }

    #[test]
    fn an_avoided_endpoint_comes_last_until_the_time_is_over() {
        let (overrides, config, now) = (Overrides::default(), config(), clock::now());
        let answers = |now| {
            let config = overrides.apply(&config, now);
            config.route("m").expect("routed").0.name.to_string()
        };
        assert_eq!(answers(now), "a");
        let first = overrides.generation(now);
        overrides.add(avoid("a", 60), &config, now).expect("in force");
        assert_eq!(answers(now), "b");
        assert_ne!(overrides.generation(now), first);
        let explicit = overrides.apply(&config, now);
        assert_eq!(explicit.route("a/m").expect("routed").0.name.as_str(), "a", "who names it gets it");
        let later = now + Duration::from_secs(61);
        assert_eq!(answers(later), "a");
        assert!(overrides.states(later).is_empty());
    }

    #[test]
    fn timeouts_grow_by_a_factor_and_shrink_again() {
        let (overrides, config, now) = (Overrides::default(), config(), clock::now());
        let id = overrides.add(raise(2.0), &config, now).expect("in force");
        let timeouts = |now| overrides.apply(&config, now).endpoints[0].timeouts;
        assert_eq!(timeouts(now).connect, 2 * config.endpoints[0].timeouts.connect);
        overrides.add(raise(3.0), &config, now).expect("in force");
        assert_eq!(overrides.states(now).len(), 1, "the newer one is in the place of the older");
        assert_eq!(overrides.remove(Some(id), now), 0, "which is gone");
        assert_eq!(overrides.remove(None, now), 1);
        assert_eq!(timeouts(now), config.endpoints[0].timeouts);
    }

    #[test]
    fn nonsense_is_refused() {
        let (overrides, config, now) = (Overrides::default(), config(), clock::now());
        for request in
            [avoid("c", 60), avoid("a", 0), avoid("a", u64::MAX), raise(1.0), raise(1e9), raise(f64::NAN)]
        {
            let refused = overrides.add(request.clone(), &config, now).expect_err("refused");
            assert_eq!(refused.status, 400, "{request:?}");
        }
        assert!(overrides.states(now).is_empty());
    }
}
