//! The endpoints that new turns get: those of the current configuration, with the overrides in force.

use std::sync::{Arc, RwLock};
use std::time::Instant;

use super::overrides::Overrides;
use crate::accounts::Places;
use crate::config::Config;
use crate::config::watch::Live;
use crate::route::endpoint_set::EndpointSet;
use crate::route::memory::Memory;
use crate::sync::{read, write};

/// Builds the set of endpoints anew when the configuration or the overrides have changed. A turn keeps the set it began with.
pub(super) struct CurrentEndpoints {
    live: Arc<Live>,
    memory: Arc<Memory>,
    /// Changes for a while; the next set has them.
    pub(super) overrides: Overrides,
    built: RwLock<Built>,
}

/// A set of endpoints, and what it was built from.
struct Built {
    endpoints: Arc<EndpointSet>,
    config: Arc<Config>,
    /// The generation of the overrides in it.
    overrides: u64,
}

impl Built {
    fn is_from(&self, config: &Arc<Config>, overrides: u64) -> bool {
        Arc::ptr_eq(&self.config, config) && self.overrides == overrides
    }
}

impl CurrentEndpoints {
    /// Builds the first set. Accounts are looked for in `places`.
    pub(super) fn new(live: Arc<Live>, memory: Arc<Memory>, places: Option<Arc<Places>>) -> Self {
        let config = live.current();
        let endpoints = EndpointSet::new(Arc::clone(&config), Arc::clone(&memory), places, None);
        let built = Built { endpoints: Arc::new(endpoints), config, overrides: 0 };
        Self { live, memory, overrides: Overrides::default(), built: RwLock::new(built) }
    }

    /// The set of this moment. The first call after a change builds it; the ones that did not change keep their connections.
    pub(super) fn get(&self, now: Instant) -> Arc<EndpointSet> {
        let (config, generation) = (self.live.current(), self.overrides.generation(now));
        {
            let built = read(&self.built);
            if built.is_from(&config, generation) {
                return Arc::clone(&built.endpoints);
            }
        }
        let mut built = write(&self.built);
        if !built.is_from(&config, generation) {
            let changed = self.overrides.apply(&config, now);
            let before = &built.endpoints;
            let endpoints =
                EndpointSet::new(changed, Arc::clone(&self.memory), before.places.clone(), Some(before));
            *built = Built { endpoints: Arc::new(endpoints), config, overrides: generation };
        }
        Arc::clone(&built.endpoints)
    }

    /// From now on, turns make new connections to an endpoint, or to all.
    pub(super) fn reconnect(&self, endpoint: Option<&str>, now: Instant) {
        // Takes up a changed configuration first, so that the newest set is reconnected.
        drop(self.get(now));
        let mut built = write(&self.built);
        built.endpoints = Arc::new(built.endpoints.reconnected(endpoint));
        tracing::info!(event = "route.reconnected", endpoint = endpoint.unwrap_or("*"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latimer_protocol::status::{OverrideRequest, OverrideWhat};

    use super::*;
    use crate::clock;
    use crate::config::parse::{ParsedConfig, load};

    fn loaded(endpoint: &str) -> ParsedConfig {
        let text =
            format!("[[endpoint]]\nname = \"{endpoint}\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n");
        load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into())).expect("a configuration")
    }

    fn current() -> (Arc<Live>, CurrentEndpoints) {
        let live = Arc::new(Live::new(loaded("a").config, None));
        let endpoints = CurrentEndpoints::new(Arc::clone(&live), Arc::new(Memory::new(None)), None);
        (live, endpoints)
    }

    #[tokio::test]
    async fn the_set_is_built_anew_only_after_a_change() {
        let (live, current) = current();
        let now = clock::now();
        let first = current.get(now);
        assert!(Arc::ptr_eq(&first, &current.get(now)), "nothing changed");
        live.replace(Ok(loaded("b")));
        let second = current.get(now);
        assert_eq!(second.endpoints()[0].endpoint.name.as_str(), "b");
        assert_eq!(first.endpoints()[0].endpoint.name.as_str(), "a", "a turn keeps the one it began with");

        let what = OverrideWhat::AvoidEndpoint { endpoint: "b".to_owned() };
        let request = OverrideRequest { what, seconds: 60, why: String::new() };
        current.overrides.add(request, &live.current(), now).expect("in force");
        let third = current.get(now);
        assert!(!Arc::ptr_eq(&second, &third), "an override changes the set");
        let later = now + Duration::from_secs(61);
        assert!(!Arc::ptr_eq(&third, &current.get(later)), "and so does its end");
    }

    #[tokio::test]
    async fn a_reconnected_set_is_another_one() {
        let (_live, current) = current();
        let now = clock::now();
        let first = current.get(now);
        current.reconnect(Some("a"), now);
        assert!(!Arc::ptr_eq(&first, &current.get(now)));
    }
}
