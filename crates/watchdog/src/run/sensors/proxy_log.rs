//! The proxy's own log: one JSON object a line, of which the codes count and never the words.

use super::super::proxy_client::CLIENT;
use crate::signal::{ProxyEvent, Signal};

/// The signal in a line of the log, if it is one of a decision.
pub fn read(line: &str) -> Option<Signal> {
    #[derive(serde::Deserialize)]
    struct Line {
        #[serde(flatten)]
        event: ProxyEvent,
        #[serde(default)]
        client: String,
    }
    // Most lines are notes for people; a glance is cheaper than reading them.
    if !line.starts_with('{') || !line.contains("\"event\"") {
        return None;
    }
    let line: Line = serde_json::from_str(line).ok()?;
    (line.client != CLIENT && !line.event.event.is_empty()).then_some(Signal::Proxy(line.event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_words_are_not() {
        let line = r#"{"timestamp":"2026-11-21T08:00:00Z","level":"WARN","event":"turn.done","turn":"t7","endpoint":"lab","model":"glm-5","account":"1","client":"codex","finish":"failed","failure":"rate_limited","status":429,"retry_after_ms":1500,"ms":12,"message":"slow down"}"#;
        let Some(Signal::Proxy(event)) = read(line) else { panic!("no event") };
        assert_eq!(
            (event.event.as_str(), event.failure.as_deref(), event.status, event.retry_after_ms),
            ("turn.done", Some("rate_limited"), Some(429), Some(1500))
        );
    }

    #[test]
    fn other_lines_and_our_own_turns_are_not_events() {
        let own = format!(r#"{{"event":"turn.done","client":"{CLIENT}","failure":"unreachable"}}"#);
        for line in ["", "thread panicked", "{\"event\":", "{\"level\":\"INFO\"}", "{\"event\":7}", &own] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
