//! The database that several nodes share, where the configuration names one.

use std::path::Path;
use std::sync::Arc;

use latimer_protocol::secret::Secret;
use latimer_proxy::config::{Config, StoreSettings};
use latimer_proxy::store::postgres::PostgresStore;

/// Where Linux says how the machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// How a machine without a name is called in rows.
const NO_NAME: &str = "node";

/// The shared store of this configuration; `None` where everything is kept in a file. It does not wait for the database. In rows the node
/// is called as `server.node` says, else as its machine.
///
/// # Errors
/// It cannot be set up at all.
pub(crate) fn shared_store(
    config: &Config,
    state_dir: &Path,
    token: Option<&Secret>,
) -> anyhow::Result<Option<Arc<PostgresStore>>> {
    let StoreSettings::Shared(settings) = &config.store else { return Ok(None) };
    let name = config.server.node.clone().unwrap_or_else(machine_name);
    Ok(Some(PostgresStore::open(settings, state_dir, &name, token)?))
}

fn machine_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    if name.trim().is_empty() { NO_NAME.to_owned() } else { name.trim().to_owned() }
}

/// The same for a command that only looks.
///
/// # Errors
/// As [`shared_store`].
pub(crate) fn shared_view(config: &Config, state_dir: &Path) -> anyhow::Result<Option<Arc<PostgresStore>>> {
    let StoreSettings::Shared(settings) = &config.store else { return Ok(None) };
    Ok(Some(PostgresStore::visitor(settings, state_dir)?))
}
