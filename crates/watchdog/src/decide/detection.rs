//! One fault that was seen, with what is needed to act on it.

use std::time::Duration;

use latimer_protocol::status::Fault;

use crate::action::{Action, Level};
use crate::guard::backoff::RemedyKey;
use crate::ids::ProcessId;
use crate::pattern::{Fact, Pattern};
use crate::rules::Remedy;
use crate::time::Time;

/// A provider is switched, and a timeout raised, for this long.
const OVERRIDE_DURATION: Duration = Duration::from_secs(600);
/// How much longer is waited for an endpoint that was too slow, in per cent.
const RAISED_TIMEOUT_PERCENT: u32 = 200;
/// How long an endpoint rests that asked for a wait without saying how long.
const DEFAULT_REST: Duration = Duration::from_secs(30);
/// The longest rest that is ordered; a longer one is told to the person by the proxy's own view of its keys.
const MAX_REST: Duration = Duration::from_secs(3600);

/// A fault with its facts, and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detection {
    pub(super) pattern: Pattern,
    /// What rests by itself without being a pattern of its own: a thread, a process.
    pub(super) scope: Option<String>,
    /// The provider's status.
    pub(super) status: Option<u16>,
    /// How long the provider asked to wait.
    pub(super) retry_after: Option<Duration>,
    /// What to end, or to take out of the registry.
    pub(super) processes: Vec<ProcessId>,
    /// Whose settings to write again.
    pub(super) client: Option<String>,
    /// What a person is told in place of the general sentence.
    pub(super) what: Option<String>,
    /// What a person can run, in place of the general advice.
    pub(super) run: Option<String>,
    /// How much it matters, in place of the general level.
    pub(super) level: Option<Level>,
    /// The proxy is dead or hangs: it is started without waiting for a cancel.
    pub(super) is_dead: bool,
}

impl Detection {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            scope: None,
            status: None,
            retry_after: None,
            processes: Vec::new(),
            client: None,
            what: None,
            run: None,
            level: None,
            is_dead: false,
        }
    }

    pub(super) fn of(fault: Fault) -> Self {
        Self::new(Pattern::new(fault))
    }

    pub(super) fn fault(&self) -> Fault {
        self.pattern.fault
    }

    /// What rests after a remedy for this.
    pub(super) fn key(&self, remedy: Remedy) -> RemedyKey {
        RemedyKey { pattern: self.pattern.clone(), scope: self.scope.clone(), remedy }
    }

    /// Why something is done about it, in one sentence.
    pub(super) fn reason(&self) -> String {
        match &self.what {
            Some(what) => what.clone(),
            None => format!("{} ({})", self.fault().title(), self.pattern),
        }
    }

    /// The action that a remedy means here; none when what it needs is not known, such as the endpoint.
    pub(super) fn action(&self, remedy: Remedy, safe_mode: bool, wall: Time) -> Option<Action> {
        let endpoint = self.pattern.endpoint().map(str::to_owned);
        let expires_at = wall.plus(OVERRIDE_DURATION);
        let action = match remedy {
            Remedy::RestartProxy => Action::Restart { safe_mode, hung: self.is_dead },
            Remedy::ReplaceProxy => Action::Replace,
            Remedy::KillStaleProcesses => {
                let processes = self.processes.clone();
                return (!processes.is_empty()).then_some(Action::KillStale { processes });
            }
            Remedy::ClearSchemaCache => Action::ClearCapabilities { endpoint },
            Remedy::SwitchProvider => Action::SwitchProvider { from: endpoint?, expires_at },
            Remedy::IncreaseTimeout => {
                Action::RaiseTimeout { endpoint: endpoint?, percent: RAISED_TIMEOUT_PERCENT, expires_at }
            }
            Remedy::RegenerateConfig => Action::RegenerateConfig { client: self.client.clone() },
            Remedy::CleanupCodexStale => Action::CleanState { processes: self.processes.clone() },
            Remedy::RetryNow => Action::Retry { endpoint },
            Remedy::Wait => Action::Wait { endpoint: Some(endpoint?), for_ms: millis(self.rest()) },
            Remedy::Reconnect => Action::Reconnect { endpoint },
            Remedy::Probe => Action::Probe,
            Remedy::Ignore => Action::Ignore,
            Remedy::AlertUser | Remedy::SuggestModel | Remedy::SuggestProvider | Remedy::Diagnose => {
                return None;
            }
        };
        Some(action)
    }

    /// How long the endpoint rests.
    pub(super) fn rest(&self) -> Duration {
        self.retry_after.unwrap_or(DEFAULT_REST).clamp(Duration::from_secs(1), MAX_REST)
    }

    /// It was read in a log of somebody else.
    pub(super) fn is_hearsay(&self) -> bool {
        self.pattern.fact(Fact::Source).is_some()
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Time = Time::from_secs(1000);

    #[test]
    fn a_remedy_without_what_it_needs_is_no_action() {
        let bare = Detection::of(Fault::ServerError);
        for remedy in
            [Remedy::SwitchProvider, Remedy::IncreaseTimeout, Remedy::Wait, Remedy::KillStaleProcesses]
        {
            assert_eq!(bare.action(remedy, false, WALL), None, "{remedy:?}");
        }
        for remedy in [Remedy::AlertUser, Remedy::SuggestModel, Remedy::SuggestProvider, Remedy::Diagnose] {
            assert_eq!(bare.action(remedy, false, WALL), None, "{remedy:?} is no action of its own");
        }
        let named = Detection::new(Pattern::new(Fault::ServerError).with(Fact::Endpoint, "kimi"));
        let expires_at = WALL.plus(OVERRIDE_DURATION);
        let want = Action::SwitchProvider { from: "kimi".to_owned(), expires_at };
        assert_eq!(named.action(Remedy::SwitchProvider, false, WALL), Some(want));
    }

    #[test]
    fn a_rest_is_what_the_provider_asked_for_within_an_hour() {
        let mut detection = Detection::of(Fault::RateLimited);
        assert_eq!(detection.rest(), DEFAULT_REST);
        detection.retry_after = Some(Duration::ZERO);
        assert_eq!(detection.rest(), Duration::from_secs(1));
        detection.retry_after = Some(Duration::MAX);
        assert_eq!(detection.rest(), MAX_REST);
    }

    #[test]
    fn a_reason_is_the_sentence_or_the_title() {
        let mut detection = Detection::of(Fault::ProxyGone);
        assert_eq!(detection.reason(), "the proxy is gone (A1)");
        detection.what = Some("it fell over".to_owned());
        assert_eq!(detection.reason(), "it fell over");
    }
}
