//! Figures for other people's tools: counted at the end of each turn and with each answer, never with a delta.
//!
//! No label is ever what a client wrote: endpoints, models and keys are those of the configuration and of `latimer keys`, a model
//! that neither lists is `other`, and of each kind of name only so many are told apart. What is only looked at when somebody asks
//! (open turns, cooldowns, the store) stands in [`reading`], and the server fills it in then.

pub mod reading;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use latimer_protocol::turn::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::sync::lock;

/// What a name is called that is not told apart.
pub const OTHER: &str = "other";
/// Keys that are told apart.
const MAX_KEYS: usize = 200;
/// Endpoints that are told apart, those of earlier configurations included.
const MAX_ENDPOINTS: usize = 100;
/// Models of endpoints that are told apart.
const MAX_MODELS: usize = 300;

/// Upper bounds, in seconds, from the request to its first word.
const FIRST_EVENT_BUCKETS: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// The same of whole turns.
const TURN_BUCKETS: [f64; 6] = [1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];
/// The same of what latimer adds before a request goes out.
const ADDED_BUCKETS: [f64; 7] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.5];

type Dollars = Counter<f64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    endpoint: String,
    model: String,
    protocol: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    endpoint: String,
    model: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    endpoint: String,
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    endpoint: String,
    failure: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabels {
    protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    protocol: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    key: String,
    limit: &'static str,
}

/// What is known of a turn at its end.
#[derive(Debug, Clone, Copy)]
pub struct TurnFigures<'t> {
    /// The endpoint that answered; empty where none was asked.
    pub endpoint: &'t str,
    /// The model there; `None` for one that the configuration does not name.
    pub model: Option<&'t str>,
    /// The protocol of the client.
    pub protocol: &'static str,
    /// The finish reason, `failed` or `client_left`.
    pub outcome: &'static str,
    /// The code of the failure.
    pub failure: Option<&'static str>,
    /// Tokens.
    pub usage: Usage,
    /// In US dollars, where the price is known.
    pub cost_usd: Option<f64>,
    /// To the first semantic event.
    pub first_event: Option<Duration>,
    /// To the end.
    pub took: Duration,
    /// From the whole request to the first attempt.
    pub added: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
    /// Calls that were found or mended.
    pub repairs: u32,
    /// The client key, by its name.
    pub key: Option<&'t str>,
}

/// Names that are told apart: the first so many.
#[derive(Debug)]
struct Names {
    max: usize,
    known: Mutex<HashSet<String>>,
}

impl Names {
    fn new(max: usize) -> Self {
        Self { max, known: Mutex::default() }
    }

    fn label(&self, name: &str) -> String {
        let mut known = lock(&self.known);
        if !known.contains(name) {
            if known.len() >= self.max {
                return OTHER.to_owned();
            }
            known.insert(name.to_owned());
        }
        name.to_owned()
    }
}

/// Everything that is counted as it happens.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    endpoints: Names,
    models: Names,
    keys: Names,
    answers: Family<AnswerLabels, Counter>,
    turns: Family<TurnLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<ModelLabels, Dollars>,
    first_event: Histograms<EndpointLabels>,
    took: Histograms<EndpointLabels>,
    added: Histograms<ProtocolLabels>,
    retries: Family<EndpointLabels, Counter>,
    repairs: Family<EndpointLabels, Counter>,
    key_turns: Family<KeyLabels, Counter>,
    key_tokens: Family<KeyLabels, Counter>,
    key_cost: Family<KeyLabels, Dollars>,
    key_limited: Family<LimitLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("latimer"),
            endpoints: Names::new(MAX_ENDPOINTS),
            models: Names::new(MAX_MODELS),
            keys: Names::new(MAX_KEYS),
            answers: Family::default(),
            turns: Family::default(),
            failures: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            first_event: Family::new_with_constructor(|| Histogram::new(FIRST_EVENT_BUCKETS)),
            took: Family::new_with_constructor(|| Histogram::new(TURN_BUCKETS)),
            added: Family::new_with_constructor(|| Histogram::new(ADDED_BUCKETS)),
            retries: Family::default(),
            repairs: Family::default(),
            key_turns: Family::default(),
            key_tokens: Family::default(),
            key_cost: Family::default(),
            key_limited: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "requests",
            "HTTP requests that were answered, by protocol and status",
            self.answers.clone(),
        );
        registry.register(
            "turns",
            "Turns that are over, by who answered and how they ended",
            self.turns.clone(),
        );
        registry.register(
            "turn_failures",
            "Turns that failed, by the code of the failure",
            self.failures.clone(),
        );
        registry.register(
            "tokens",
            "Tokens; cached and cache_write are part of input, reasoning of output",
            self.tokens.clone(),
        );
        registry.register("cost_usd", "US dollars, of models whose price is known", self.cost.clone());
        registry.register(
            "first_event_seconds",
            "From the request to the first word of the answer",
            self.first_event.clone(),
        );
        registry.register("turn_seconds", "From the request to the end of the answer", self.took.clone());
        registry.register(
            "added_latency_seconds",
            "From the whole request to the first request to a provider",
            self.added.clone(),
        );
        registry.register("retries", "Attempts after the first of a turn", self.retries.clone());
        registry.register("repairs", "Calls that were found in text or mended", self.repairs.clone());
        registry.register("key_turns", "Turns of a client key that are over", self.key_turns.clone());
        registry.register(
            "key_tokens",
            "Tokens of a client key, input and output together",
            self.key_tokens.clone(),
        );
        registry.register("key_cost_usd", "US dollars of a client key", self.key_cost.clone());
        registry.register(
            "key_limited",
            "Turns that a limit of a client key refused",
            self.key_limited.clone(),
        );
    }

    /// A request was answered, or its stream begun.
    pub fn answered(&self, protocol: &'static str, status: u16) {
        self.answers.get_or_create(&AnswerLabels { protocol, status }).inc();
    }

    /// A limit of a key refused a turn.
    pub fn limited(&self, key: &str, limit: &'static str) {
        self.key_limited.get_or_create(&LimitLabels { key: self.keys.label(key), limit }).inc();
    }

    /// A turn is over.
    pub fn turn(&self, turn: &TurnFigures<'_>) {
        let endpoint = self.endpoints.label(turn.endpoint);
        let model = turn.model.map_or_else(|| OTHER.to_owned(), |model| self.models.label(model));
        let labels = EndpointLabels { endpoint: endpoint.clone() };
        self.turns
            .get_or_create(&TurnLabels {
                endpoint: endpoint.clone(),
                model: model.clone(),
                protocol: turn.protocol,
                outcome: turn.outcome,
            })
            .inc();
        if let Some(failure) = turn.failure {
            self.failures.get_or_create(&FailureLabels { endpoint: endpoint.clone(), failure }).inc();
        }
        self.count_tokens(&endpoint, &model, turn.usage);
        if let Some(first) = turn.first_event {
            self.first_event.get_or_create(&labels).observe(first.as_secs_f64());
        }
        self.took.get_or_create(&labels).observe(turn.took.as_secs_f64());
        if let Some(added) = turn.added {
            self.added
                .get_or_create(&ProtocolLabels { protocol: turn.protocol })
                .observe(added.as_secs_f64());
        }
        if turn.retries > 0 {
            self.retries.get_or_create(&labels).inc_by(turn.retries.into());
        }
        if turn.repairs > 0 {
            self.repairs.get_or_create(&labels).inc_by(turn.repairs.into());
        }
        if let Some(cost) = turn.cost_usd {
            self.cost.get_or_create(&ModelLabels { endpoint, model }).inc_by(cost);
        }
        if let Some(key) = turn.key {
            let key = KeyLabels { key: self.keys.label(key) };
            self.key_turns.get_or_create(&key).inc();
            let Usage { input, output, .. } = turn.usage;
            self.key_tokens
                .get_or_create(&key)
                .inc_by(input.unwrap_or(0).saturating_add(output.unwrap_or(0)));
            self.key_cost.get_or_create(&key).inc_by(turn.cost_usd.unwrap_or(0.0));
        }
    }

    fn count_tokens(&self, endpoint: &str, model: &str, usage: Usage) {
        let Usage { input, cached, cache_write, output, reasoning } = usage;
        for (kind, tokens) in [
            ("input", input),
            ("cached", cached),
            ("cache_write", cache_write),
            ("output", output),
            ("reasoning", reasoning),
        ] {
            if let Some(tokens) = tokens.filter(|tokens| *tokens > 0) {
                let labels = TokenLabels { endpoint: endpoint.to_owned(), model: model.to_owned(), kind };
                self.tokens.get_or_create(&labels).inc_by(tokens);
            }
        }
    }

    pub(self) fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::reading::MetricsReading;
    use super::*;

    fn figures<'t>(endpoint: &'t str, model: Option<&'t str>) -> TurnFigures<'t> {
        TurnFigures {
            endpoint,
            model,
            protocol: "responses",
            outcome: "stop",
            failure: None,
            usage: Usage { input: Some(10), output: Some(5), ..Usage::default() },
            cost_usd: Some(0.25),
            first_event: Some(Duration::from_millis(300)),
            took: Duration::from_secs(2),
            added: Some(Duration::from_micros(700)),
            retries: 1,
            repairs: 0,
            key: Some("anna"),
        }
    }

    #[test]
    fn a_turn_is_in_every_figure_it_belongs_to() {
        let metrics = Metrics::default();
        metrics.turn(&figures("lab", Some("glm")));
        metrics.turn(&figures("lab", None));
        let text = MetricsReading::default().text(&metrics);
        for line in [
            "# TYPE latimer_turns_total counter",
            "latimer_turns_total{endpoint=\"lab\",model=\"glm\",protocol=\"responses\",outcome=\"stop\"} 1",
            "latimer_turns_total{endpoint=\"lab\",model=\"other\",protocol=\"responses\",outcome=\"stop\"} 1",
            "latimer_tokens_total{endpoint=\"lab\",model=\"glm\",kind=\"input\"} 10",
            "latimer_cost_usd_total{endpoint=\"lab\",model=\"glm\"} 0.25",
            "latimer_first_event_seconds_bucket{endpoint=\"lab\",le=\"0.5\"} 2",
            "latimer_added_latency_seconds_bucket{protocol=\"responses\",le=\"0.001\"} 2",
            "latimer_retries_total{endpoint=\"lab\"} 2",
            "latimer_key_tokens_total{key=\"anna\"} 30",
            "latimer_key_cost_usd_total{key=\"anna\"} 0.5",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        assert!(!text.contains("repairs_total{"), "what never happened has no series");
    }

    #[test]
    fn names_without_end_become_one() {
        let metrics = Metrics::default();
        for number in 0..MAX_KEYS + 50 {
            let key = format!("key-{number}");
            metrics.turn(&TurnFigures { key: Some(&key), ..figures("lab", None) });
        }
        let text = MetricsReading::default().text(&metrics);
        let series = text.lines().filter(|line| line.starts_with("latimer_key_turns_total{")).count();
        assert_eq!(series, MAX_KEYS + 1);
        assert!(text.contains("latimer_key_turns_total{key=\"other\"} 50"));
    }
}
