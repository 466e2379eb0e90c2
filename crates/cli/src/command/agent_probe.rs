//! Whether the agents of a configuration could answer, for `check` and `doctor`.

use std::path::Path;

use latimer_adapters::agents::place::AgentPlace;
use latimer_adapters::agents::probe::{Probe, probe};
use latimer_proxy::config::{Config, Endpoint};

use crate::runtime::runtime;

/// What was found of the program behind an endpoint; `None` for one that is no agent.
pub(super) fn of_endpoint(
    config: &Config,
    endpoint: &Endpoint,
    state_dir: &Path,
) -> Option<anyhow::Result<Probe>> {
    let settings = endpoint.agent.as_deref()?;
    let place = AgentPlace::new(config.agents.folder(state_dir), endpoint.name.as_str(), settings);
    Some(runtime().map(|runtime| runtime.block_on(probe(&place, settings))))
}
