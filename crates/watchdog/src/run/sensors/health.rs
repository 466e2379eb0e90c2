//! Whether the proxy answers: its health document every second, and a real turn now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::clock;
use super::super::process::Identity;
use super::super::proxy_client::{ProxyClient, ProxyClientError};
use crate::signal::{HealthReading, MissedCheck, ProbeResult, Signal};

/// Between two real turns: three of them fit into the half minute in which a proxy that only looks alive must be found out.
const PROBE_INTERVAL: Duration = Duration::from_secs(9);
/// The longest a real turn may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the health document for ever. An answer that takes longer than two thirds of the interval counts as none, and the next
/// question follows a late one at once: so a proxy that hangs has missed three of them within three intervals, whenever it began.
pub async fn watch(
    api: Arc<ProxyClient>,
    interval: Duration,
    serving: watch::Receiver<Option<Identity>>,
    signals: mpsc::Sender<Signal>,
) {
    let timeout = interval * 2 / 3;
    let mut clock = tokio::time::interval(interval);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(expected) = *serving.borrow() else { continue };
        let begun = clock::monotonic();
        let seen = api.health(timeout).await;
        if matches!(seen, Err(ProxyClientError::Late(_))) {
            clock.reset_immediately();
        }
        // A proxy that went while it was asked is reported by its end.
        if *serving.borrow() != Some(expected) {
            continue;
        }
        let signal = match seen {
            Ok(health) => {
                let stats = expected.stats();
                Signal::Health(HealthReading {
                    pid: health.pid,
                    uptime_s: health.uptime_s,
                    memory_bytes: if health.memory_bytes > 0 { health.memory_bytes } else { stats.memory },
                    descriptors: health.descriptors.max(stats.descriptors),
                    loop_lag_ms: health.lag_ms,
                    turns_open: health.turns_open,
                    turns_total: health.turns_total,
                    turns_failed: health.turns_failed,
                    draining: health.status == "draining",
                })
            }
            Err(error) => Signal::HealthMissed(miss(&error, begun)),
        };
        if signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// Sends real turns for ever.
pub async fn probe(
    api: Arc<ProxyClient>,
    serving: watch::Receiver<Option<Identity>>,
    signals: mpsc::Sender<Signal>,
) {
    let mut clock = tokio::time::interval(PROBE_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(expected) = *serving.borrow() else { continue };
        let signal = probe_once(&api).await;
        if *serving.borrow() == Some(expected) && signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// One real turn.
pub async fn probe_once(api: &ProxyClient) -> Signal {
    let begun = clock::monotonic();
    match api.probe(PROBE_TIMEOUT).await {
        Ok(probed) => Signal::ProbeOk(ProbeResult {
            first_event_ms: millis(probed.first_event),
            total_ms: millis(begun.elapsed()),
        }),
        Err(error) => Signal::ProbeFailed(miss(&error, begun)),
    }
}

fn miss(error: &ProxyClientError, begun: Instant) -> MissedCheck {
    MissedCheck { why: error.kind(), waited_ms: millis(begun.elapsed()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
