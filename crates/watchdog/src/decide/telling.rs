//! What a person is told: what, since when, what was tried, what can be run.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Decision;
use super::choose::key;
use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use crate::action::{Action, Alert, Level, Proposer};
use crate::diagnose::report::ProxyFacts;
use crate::ids::ActionId;
use crate::pattern::Pattern;
use crate::rules::Remedy;

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

impl Decision<'_> {
    /// Tells of a fault because a remedy says so, at most once in this time.
    pub(super) fn tell_of(
        &mut self,
        detection: &Detection,
        remedy: Remedy,
        why: Option<String>,
        every: Duration,
    ) {
        if !self.state.ladder.tell(&key(detection, remedy), every, self.now) {
            return;
        }
        let level = detection.level.unwrap_or_else(|| advice(detection.fault()).0);
        let subject =
            detection.pattern.endpoint().map(|endpoint| format!(" on {endpoint}")).unwrap_or_default();
        let mut what = match &detection.what {
            Some(what) => what.clone(),
            None => format!("{}{subject}", detection.fault().title()),
        };
        match remedy {
            Remedy::SuggestModel => what.push_str("; another model may do better"),
            Remedy::SuggestProvider => what.push_str("; another provider may do better"),
            _ => {}
        }
        if let Some(why) = why {
            what = format!("{what}; {why}");
        }
        self.alert(detection, level, what, None);
    }

    /// Tells of a fault at this level, at most once in this time.
    pub(super) fn tell(&mut self, detection: &Detection, level: Level, run: Option<&str>, every: Duration) {
        let key = key(detection, Remedy::AlertUser);
        if self.state.ladder.tell(&key, every, self.now) {
            let what = detection.reason();
            self.alert(detection, level, what, run.map(str::to_owned));
        }
    }

    /// Tells of a change that a person may accept.
    pub(super) fn tell_of_offer(&mut self, detection: &Detection, what: String, id: ActionId) {
        self.alert(detection, Level::Warning, what, Some(format!("latimer-watchdog accept {id}")));
    }

    /// Tells of something that is no single fault.
    pub(super) fn tell_plainly(&mut self, level: Level, what: String, run: String) {
        let alert = Alert { level, what: what.clone(), since: self.wall, tried: Vec::new(), run };
        self.order(None, Proposer::Guard, what, Action::Alert(alert));
    }

    fn alert(&mut self, detection: &Detection, level: Level, what: String, run: Option<String>) {
        let pattern = &detection.pattern;
        // Silenced since the matter began.
        if self.state.silenced.covers(pattern.fault, self.wall) {
            return;
        }
        let since = self.state.counters.since(pattern).unwrap_or(self.wall);
        let run = run.or_else(|| detection.run.clone()).unwrap_or_else(|| advice(pattern.fault).1.to_owned());
        let tried = self.tried(pattern);
        let why = pattern.to_string();
        let alert = Alert { level, what, since, tried, run };
        self.order(Some(pattern.fault), Proposer::Rule, why, Action::Alert(alert));
    }

    /// What was tried for a pattern, and what became of it.
    fn tried(&self, pattern: &Pattern) -> Vec<String> {
        let line = |(remedy, results): (Remedy, &[Option<bool>])| {
            let helped = results.iter().filter(|result| **result == Some(true)).count();
            let failed = results.iter().filter(|result| **result == Some(false)).count();
            let times =
                if results.len() == 1 { "once".to_owned() } else { format!("{} times", results.len()) };
            format!("{} {times}: helped {helped}, did not {failed}", remedy.name())
        };
        self.state.ladder.history(pattern).map(line).collect()
    }

    /// The proxy, as a model may be told of it.
    pub(super) fn proxy_facts(&self) -> ProxyFacts {
        let life = &self.state.life;
        let lives = life.phase == ProxyPhase::Up;
        ProxyFacts {
            phase: life.phase.name(),
            uptime_s: if lives { life.health.uptime_s } else { 0 },
            memory_bytes: if lives { life.health.memory_bytes } else { 0 },
            turns_open: if lives { life.health.turns_open } else { 0 },
            missed: life.missed,
            safe_mode: life.safe_mode,
            starts: self.state.restarts.total(),
        }
    }
}

/// An action in words that follow "will be done:".
pub(super) fn words(action: &Action) -> String {
    let of = |endpoint: &Option<String>| endpoint.as_deref().unwrap_or("all endpoints").to_owned();
    match action {
        Action::Start { .. } => "start the proxy".to_owned(),
        Action::Restart { .. } => "restart the proxy".to_owned(),
        Action::Replace => "replace the proxy without a gap".to_owned(),
        Action::Stop => "stop the proxy".to_owned(),
        Action::KillStale { processes } => format!("end {} stale processes of ours", processes.len()),
        Action::ClearCapabilities { endpoint } => format!("forget what was learned about {}", of(endpoint)),
        Action::Wait { endpoint, for_ms } => format!("let {} rest for {} s", of(endpoint), for_ms / 1000),
        Action::Retry { endpoint } => format!("try {} again", of(endpoint)),
        Action::SwitchProvider { from, .. } => format!("send the turns of {from} to the next provider"),
        Action::RaiseTimeout { endpoint, percent, .. } => format!("wait {percent} % as long for {endpoint}"),
        Action::Reconnect { endpoint } => format!("open new connections to {}", of(endpoint)),
        Action::RegenerateConfig { client } => {
            format!("write the settings of {} again", client.as_deref().unwrap_or("every client"))
        }
        Action::CleanState { processes } => {
            format!("take {} gone processes out of the registry", processes.len())
        }
        Action::Probe => "send a real turn through the proxy".to_owned(),
        Action::Alert(_) => "tell the person".to_owned(),
        Action::Ignore => "nothing".to_owned(),
        Action::HoldPort { .. } => "answer on the port with the cause".to_owned(),
        Action::Diagnose(_) => "ask a model".to_owned(),
        Action::Announce { action, .. } => words(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_advice() {
        for (place, fault) in Fault::all().enumerate() {
            assert_eq!(ADVICE[place].0, fault);
        }
    }
}
