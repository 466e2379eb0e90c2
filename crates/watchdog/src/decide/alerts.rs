//! What a person is told: what, since when, what was tried, what can be run.

use std::collections::VecDeque;
use std::time::Duration;

use latimer_protocol::status::Fault;

use super::State;
use super::clock::Clocks;
use super::detection::Detection;
use crate::action::{Action, Alert, Level, Order, Proposer};
use crate::ids::ActionId;
use crate::rules::Remedy;

/// The alerts that are remembered for a person who looks later.
const MAX_ALERTS: usize = 50;

/// The table: fault, how much it matters, what a person can do.
const ADVICE: [(Fault, Level, &str); 38] = {
    use Level::{Info, Urgent, Warning};
    [
        (Fault::ProxyGone, Warning, "latimer-watchdog status"),
        (
            Fault::PortTaken,
            Urgent,
            "end the process that holds the port, or change `listen` in the configuration",
        ),
        (Fault::ProxyMemoryHigh, Warning, "latimer-watchdog upgrade"),
        (Fault::ProxyUnresponsive, Warning, "latimer-watchdog status"),
        (Fault::ProxyCrashed, Warning, "latimer check"),
        (
            Fault::CertificateRejected,
            Warning,
            "check the machine's clock, its certificates, and whether a company or a virus scanner intercepts TLS",
        ),
        (Fault::NameUnresolved, Warning, "check the network and the name servers"),
        (Fault::RateLimited, Warning, "latimer usage"),
        (Fault::ServerError, Warning, "latimer endpoints"),
        (
            Fault::KeyRefused,
            Urgent,
            "latimer endpoints, then correct the key of this endpoint or log in again",
        ),
        (Fault::ClientVersionRefused, Urgent, "raise `client_version` of this endpoint in the configuration"),
        (Fault::ProviderUnreachable, Warning, "latimer endpoints"),
        (Fault::StreamInterrupted, Warning, "latimer endpoints"),
        (Fault::ClientLeft, Info, ""),
        (Fault::RequestRefused, Warning, "latimer explain"),
        (Fault::NoCapacity, Warning, "latimer endpoints"),
        (Fault::BotFilter, Urgent, "set `user_agent` of this endpoint in the configuration"),
        (Fault::BareExplore, Warning, "latimer models, then try another one"),
        (Fault::EscalationRequest, Warning, "latimer endpoints, then try another one"),
        (Fault::CallNotFound, Warning, "latimer explain"),
        (Fault::WrappedCommand, Warning, "latimer explain"),
        (Fault::SuspiciousCommand, Warning, "latimer explain, then try another model"),
        (Fault::EmptyCommand, Warning, "latimer models, then try another one"),
        (Fault::LoneBrace, Warning, "latimer explain"),
        (Fault::BashWithoutCommand, Warning, "latimer explain"),
        (Fault::ParameterSpelling, Info, ""),
        (Fault::RepetitionLoop, Warning, "latimer models, then try another one"),
        (Fault::ClientGone, Warning, "latimer launch"),
        (Fault::ClientMemoryHigh, Warning, "end its session and resume it, before the system ends it"),
        (Fault::ClientStreamLost, Warning, "latimer explain"),
        (Fault::ClientDatabaseMalformed, Urgent, "move the file aside; the client makes a new one"),
        (Fault::ContextTooLong, Warning, "compact the session, or begin a new one"),
        (Fault::ClientReconnecting, Warning, "latimer explain"),
        (Fault::LearnedStateCorrupt, Warning, "latimer endpoints"),
        (Fault::DeadRegistryEntries, Info, ""),
        (Fault::StaleClientPort, Warning, "latimer launch"),
        (Fault::LoginExpiring, Urgent, "latimer login"),
        (Fault::AllRoutesResting, Urgent, "latimer endpoints"),
    ]
};

fn advice(fault: Fault) -> (Level, &'static str) {
    ADVICE.iter().find(|row| row.0 == fault).map_or((Level::Warning, ""), |row| (row.1, row.2))
}

/// The last alerts, for a person who looks later.
#[derive(Debug, Clone, Default)]
pub(super) struct AlertLog {
    alerts: VecDeque<Order>,
}

impl AlertLog {
    /// Remembers those of these orders that are alerts.
    pub(super) fn remember(&mut self, orders: &[Order]) {
        let alerts = orders.iter().filter(|order| matches!(order.action, Action::Alert(_)));
        self.alerts.extend(alerts.cloned());
        let surplus = self.alerts.len().saturating_sub(MAX_ALERTS);
        self.alerts.drain(..surplus);
    }

    /// The newest last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Order> {
        self.alerts.iter()
    }
}

/// Tells of a fault because a remedy says so, at most once in this time.
pub(super) fn tell_of_remedy(
    state: &mut State,
    detection: &Detection,
    remedy: Remedy,
    why: Option<String>,
    every: Duration,
    at: Clocks,
) {
    if !state.guards.may_tell(&detection.key(remedy), every, at) {
        return;
    }
    let level = detection.level.unwrap_or_else(|| advice(detection.fault()).0);
    let mut what = detection.what.clone().unwrap_or_else(|| {
        let endpoint = detection.pattern.endpoint();
        let endpoint = endpoint.map(|endpoint| format!(" on {endpoint}")).unwrap_or_default();
        format!("{}{endpoint}", detection.fault().title())
    });
    match remedy {
        Remedy::SuggestModel => what.push_str("; another model may do better"),
        Remedy::SuggestProvider => what.push_str("; another provider may do better"),
        _ => {}
    }
    if let Some(why) = why {
        what = format!("{what}; {why}");
    }
    alert(state, detection, level, what, None, at);
}

/// Tells of a fault at this level, at most once in this time.
pub(super) fn tell(
    state: &mut State,
    detection: &Detection,
    level: Level,
    run: Option<&str>,
    every: Duration,
    at: Clocks,
) {
    if state.guards.may_tell(&detection.key(Remedy::AlertUser), every, at) {
        alert(state, detection, level, detection.reason(), run.map(str::to_owned), at);
    }
}

/// Tells of a change that a person may accept by this number.
pub(super) fn tell_of_offer(
    state: &mut State,
    detection: &Detection,
    what: String,
    id: ActionId,
    at: Clocks,
) {
    let run = format!("latimer-watchdog accept {id}");
    alert(state, detection, Level::Warning, what, Some(run), at);
}

/// Tells of something that is no single fault.
pub(super) fn tell_plainly(state: &mut State, level: Level, what: String, run: String, at: Clocks) {
    let alert = Alert { level, what: what.clone(), since: at.wall, tried: Vec::new(), run };
    state.orders.give(None, Proposer::Guard, what, Action::Alert(alert));
}

fn alert(
    state: &mut State,
    detection: &Detection,
    level: Level,
    what: String,
    run: Option<String>,
    at: Clocks,
) {
    let (pattern, fault) = (&detection.pattern, detection.fault());
    // Silenced since the matter began.
    if state.guards.is_silenced(fault, at) {
        return;
    }
    let since = state.senses.seen_since(pattern).unwrap_or(at.wall);
    let run = run.or_else(|| detection.run.clone()).unwrap_or_else(|| advice(fault).1.to_owned());
    let tried = state.guards.tries(pattern);
    let alert = Alert { level, what, since, tried, run };
    state.orders.give(Some(fault), Proposer::Rule, pattern.to_string(), Action::Alert(alert));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, up};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn every_fault_has_advice() {
        for (place, fault) in Fault::all().enumerate() {
            assert_eq!(ADVICE[place].0, fault);
        }
    }

    fn alerts(state: &mut State) -> Vec<Alert> {
        let given = state.orders.take_given().into_iter();
        given
            .filter_map(|order| match order.action {
                Action::Alert(alert) => Some(alert),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_person_is_told_once_in_a_time_and_not_of_what_they_silenced() {
        let (mut state, refused) = (up(), Detection::of(Fault::KeyRefused));
        tell(&mut state, &refused, Level::Info, None, MINUTE, AT);
        tell(&mut state, &refused, Level::Info, None, MINUTE, AT);
        let [alert] = &alerts(&mut state)[..] else { panic!("told once") };
        assert_eq!(
            (alert.level, alert.what.as_str()),
            (Level::Info, "the provider refused the key (401 or 403) (B3)")
        );
        assert!(alert.run.starts_with("latimer endpoints, then correct the key"));
        state.guards.silence(Fault::NoCapacity, None);
        tell(&mut state, &Detection::of(Fault::NoCapacity), Level::Info, None, MINUTE, AT);
        assert!(alerts(&mut state).is_empty());
    }

    #[test]
    fn a_suggestion_names_what_may_do_better() {
        let (mut state, empty) = (up(), Detection::of(Fault::EmptyCommand));
        let why = Some("six times".to_owned());
        tell_of_remedy(&mut state, &empty, Remedy::SuggestModel, why, MINUTE, AT);
        assert_eq!(
            alerts(&mut state)[0].what,
            "a command without text; another model may do better; six times"
        );
    }

    #[test]
    fn only_the_last_alerts_are_remembered() {
        let mut log = AlertLog::default();
        let mut state = up();
        for number in 0..MAX_ALERTS + 5 {
            tell_plainly(&mut state, Level::Info, number.to_string(), String::new(), AT);
            state.orders.give(None, Proposer::Rule, "why".to_owned(), Action::Ignore);
        }
        log.remember(&state.orders.take_given());
        assert_eq!(
            (log.all().count(), log.all().next().map(|order| order.why.as_str())),
            (MAX_ALERTS, Some("5"))
        );
    }
}
