//! What is looked at when somebody asks, and the whole document.

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

/// The content type of [`MetricsReading::text`].
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of [`MetricsReading::open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Number = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InfoLabels {
    version: &'static str,
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    key: String,
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    fault: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: String,
    result: &'static str,
}

/// One endpoint at this moment.
#[derive(Debug, Clone, Default)]
pub struct EndpointReading {
    /// As the configuration has it.
    pub name: String,
    /// Turns that are open on it.
    pub turns_open: u64,
    /// No turn goes there while another target answers.
    pub is_resting: bool,
    /// Its keys and accounts.
    pub keys: u64,
    /// Those that rest.
    pub keys_resting: u64,
}

/// One client key at this moment.
#[derive(Debug, Clone, Default)]
pub struct KeyReading {
    /// What its owner called it.
    pub name: String,
    /// Turns that are open.
    pub turns_open: u64,
    /// What is used of each limit, 1 being all of it.
    pub quotas: Vec<(&'static str, f64)>,
}

/// What the watchdog did about a fault.
#[derive(Debug, Clone, Default)]
pub struct WatchdogReading {
    /// How often each fault was seen.
    pub faults: Vec<(String, u64)>,
    /// What was done, how often it helped and how often not.
    pub actions: Vec<(String, u64, u64)>,
}

/// Everything at this moment.
#[derive(Debug, Clone, Default)]
pub struct MetricsReading {
    /// The node's name; empty where nodes have none.
    pub node: String,
    /// Whether a load balancer may send requests.
    pub is_ready: bool,
    /// Turns under way, by where they stand.
    pub turns: Vec<(&'static str, u64)>,
    /// In the order of the configuration.
    pub endpoints: Vec<EndpointReading>,
    /// The client keys.
    pub keys: Vec<KeyReading>,
    /// Rows of the usage that wait for the store.
    pub pending_rows: u64,
    /// How long the oldest of them has waited, in seconds.
    pub store_lag_s: u64,
    /// Rows that were lost.
    pub lost_rows: u64,
    /// How late the runtime was at most in the last seconds.
    pub runtime_lag_s: f64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Since when the process serves, in Unix seconds.
    pub started_at: u64,
    /// Where a watchdog keeps the proxy.
    pub watchdog: Option<WatchdogReading>,
}

impl MetricsReading {
    /// Everything in Prometheus's text format.
    pub fn text(&self, metrics: &Metrics) -> String {
        let mut out = String::new();
        // Writing to a text does not fail.
        let _ = prometheus_text::encode(&mut out, metrics.registry());
        let _ = prometheus_text::encode(&mut out, &self.registry());
        let _ = prometheus_text::encode(&mut out, &self.process());
        out
    }

    /// The same in that of `OpenMetrics`.
    pub fn open_metrics(&self, metrics: &Metrics) -> String {
        let mut out = String::new();
        let _ = text::encode_registry(&mut out, metrics.registry());
        let _ = text::encode_registry(&mut out, &self.registry());
        let _ = text::encode_registry(&mut out, &self.process());
        let _ = text::encode_eof(&mut out);
        out
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("latimer");
        let info = Family::<InfoLabels, Gauge>::default();
        info.get_or_create(&InfoLabels { version: env!("CARGO_PKG_VERSION"), node: self.node.clone() })
            .set(1);
        registry.register("build_info", "1, with the version and the node as labels", info);
        number(&mut registry, "ready", "1 while GET /readyz says so", u64::from(self.is_ready));
        let turns = Family::<StateLabels, Number>::default();
        for (state, count) in &self.turns {
            set(&turns.get_or_create(&StateLabels { state }), *count);
        }
        registry.register("turns_open", "Turns under way, by where they stand", turns);
        number(&mut registry, "store_pending_rows", "Usage rows that wait for the store", self.pending_rows);
        number(&mut registry, "store_lag_seconds", "Age of the oldest row that waits", self.store_lag_s);
        total(&mut registry, "usage_lost_rows", "Usage rows that were lost", self.lost_rows);
        let lag = Number::default();
        lag.set(self.runtime_lag_s);
        registry.register("runtime_lag_seconds", "How late the runtime was at most in the last seconds", lag);
        self.register_endpoints(&mut registry);
        self.register_keys(&mut registry);
        if let Some(watchdog) = &self.watchdog {
            watchdog.register(&mut registry);
        }
        registry
    }

    fn register_endpoints(&self, registry: &mut Registry) {
        let families: [Family<EndpointLabels, Number>; 4] = Default::default();
        let [open, resting, keys, keys_resting] = &families;
        for endpoint in &self.endpoints {
            let labels = EndpointLabels { endpoint: endpoint.name.clone() };
            set(&open.get_or_create(&labels), endpoint.turns_open);
            set(&resting.get_or_create(&labels), endpoint.is_resting.into());
            set(&keys.get_or_create(&labels), endpoint.keys);
            set(&keys_resting.get_or_create(&labels), endpoint.keys_resting);
        }
        let [open, resting, keys, keys_resting] = families;
        registry.register("endpoint_turns_open", "Turns open on an endpoint", open);
        registry.register("endpoint_resting", "1 while an endpoint rests after failures or limits", resting);
        registry.register("endpoint_keys", "Keys and accounts of an endpoint", keys);
        registry.register("endpoint_keys_resting", "Those of them that rest", keys_resting);
    }

    fn register_keys(&self, registry: &mut Registry) {
        let open = Family::<KeyLabels, Number>::default();
        let quotas = Family::<QuotaLabels, Number>::default();
        for key in &self.keys {
            set(&open.get_or_create(&KeyLabels { key: key.name.clone() }), key.turns_open);
            for (limit, used) in &key.quotas {
                quotas.get_or_create(&QuotaLabels { key: key.name.clone(), limit }).set(*used);
            }
        }
        registry.register("key_turns_open", "Turns open for a client key", open);
        registry.register(
            "key_quota_used_ratio",
            "What is used of a limit of a client key, 1 being all",
            quotas,
        );
    }

    /// Under the names that all programs have for them.
    fn process(&self) -> Registry {
        let mut registry = Registry::with_prefix("process");
        number(&mut registry, "resident_memory_bytes", "Resident memory", self.memory_bytes);
        number(&mut registry, "open_fds", "Open file descriptors", self.descriptors);
        number(
            &mut registry,
            "start_time_seconds",
            "When the process began, in Unix seconds",
            self.started_at,
        );
        registry
    }
}

impl WatchdogReading {
    fn register(&self, registry: &mut Registry) {
        let faults = Family::<FaultLabels, Counter>::default();
        for (fault, seen) in &self.faults {
            faults.get_or_create(&FaultLabels { fault: fault.clone() }).inc_by(*seen);
        }
        registry.register("watchdog_faults", "Faults that the watchdog saw", faults);
        let actions = Family::<ActionLabels, Counter>::default();
        for (action, helped, failed) in &self.actions {
            for (result, count) in [("helped", *helped), ("failed", *failed)] {
                let labels = ActionLabels { action: action.clone(), result };
                actions.get_or_create(&labels).inc_by(count);
            }
        }
        registry.register(
            "watchdog_actions",
            "What the watchdog did, and whether the fault stayed away",
            actions,
        );
    }
}

fn number(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Number::default();
    set(&gauge, value);
    registry.register(name, help, gauge);
}

fn total(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

#[expect(clippy::cast_precision_loss, reason = "a figure of so many digits is read by nobody")]
fn set(gauge: &Number, value: u64) {
    gauge.set(value as f64);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_sample_has_a_type_and_help_in_both_formats() {
        let metrics = Metrics::default();
        metrics.answered("responses", 200);
        let reading = MetricsReading {
            node: "a".to_owned(),
            turns: vec![("streaming", 3)],
            endpoints: vec![EndpointReading {
                name: "lab".to_owned(),
                keys: 2,
                ..EndpointReading::default()
            }],
            keys: vec![KeyReading {
                name: "anna".to_owned(),
                quotas: vec![("budget", 0.5)],
                ..KeyReading::default()
            }],
            watchdog: Some(WatchdogReading {
                faults: vec![("A1".to_owned(), 2)],
                actions: vec![("restart".to_owned(), 1, 0)],
            }),
            ..MetricsReading::default()
        };
        let text = reading.text(&metrics);
        let named = |what: &str| -> HashSet<String> {
            text.lines()
                .filter_map(|line| line.strip_prefix(what)?.split(' ').next().map(str::to_owned))
                .collect()
        };
        let (types, helps) = (named("# TYPE "), named("# HELP "));
        let mut samples = 0;
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|tail| name.strip_suffix(tail)).unwrap_or(name);
            assert!(types.contains(name) || types.contains(base), "{line}");
            assert!(helps.contains(name) || helps.contains(base), "{line}");
            samples += 1;
        }
        assert!(samples > 15, "{text}");
        for line in [
            "latimer_key_quota_used_ratio{key=\"anna\",limit=\"budget\"} 0.5",
            "latimer_turns_open{state=\"streaming\"} 3.0",
            "latimer_watchdog_actions_total{action=\"restart\",result=\"helped\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(reading.open_metrics(&metrics).ends_with("# EOF\n"));
    }
}
