//! The senses: small loops that look at one thing each and report it as signals.
//!
//! A sense judges nothing: how many misses are a failure, and what follows, is decided elsewhere.

pub mod clients;
pub mod files;
pub mod foreign_logs;
pub mod health;
pub mod proxy_log;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::files::WatchedFiles;
use super::process::Identity;
use super::proxy_client::ProxyClient;
use super::registry::Registry;
use crate::settings::Settings;
use crate::signal::Signal;

/// What the senses need.
pub struct SensorConfig {
    /// The proxy's interface.
    pub api: Arc<ProxyClient>,
    /// Who was started by whom.
    pub registry: Registry,
    /// Files and the port.
    pub watched: WatchedFiles,
    /// How often to look.
    pub settings: Settings,
}

/// Starts every sense. They end with the set. `serving` says which proxy is expected to answer, if any.
pub fn start(
    sensor_config: SensorConfig,
    serving: &watch::Receiver<Option<Identity>>,
    signals: &mpsc::Sender<Signal>,
) -> JoinSet<()> {
    let mut senses = JoinSet::new();
    let SensorConfig { api, registry, watched, settings } = sensor_config;
    senses.spawn(health::watch(Arc::clone(&api), settings.health_interval, serving.clone(), signals.clone()));
    senses.spawn(health::probe(Arc::clone(&api), serving.clone(), signals.clone()));
    senses.spawn(clients::watch(registry.clone(), signals.clone()));
    senses.spawn(foreign_logs::watch(registry, watched.foreign_logs.clone(), signals.clone()));
    senses.spawn(files::watch(watched, api, serving.clone(), signals.clone()));
    senses
}
