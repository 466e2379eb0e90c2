//! Senses that are not about the proxy's life: its log, other logs, the network, clients, files.

use latimer_protocol::status::Fault;

use super::Decision;
use super::classify::{classify, is_success};
use super::detection::Detection;
use crate::action::Level;
use crate::ids::ProcessId;
use crate::pattern::{Fact, Pattern, clean_name};
use crate::signal::{
    CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, ForeignLogMatch, ProxyEvent, StalePort,
    TokenExpiring,
};

/// Signals that a person or a shell sends to end a client: hang-up, interrupt, terminate.
const USER_SIGNALS: [i32; 3] = [1, 2, 15];

impl Decision<'_> {
    pub(super) fn proxy_event(&mut self, event: &ProxyEvent) {
        if let Some(endpoint) = &event.endpoint {
            self.state.scene.turn(endpoint, event.model.as_deref(), event.status, event.failure.as_deref());
        }
        if is_success(event) {
            let endpoint = event.endpoint.as_deref();
            let runs: Vec<_> = self.runs();
            self.state.counters.begin_again(|pattern| {
                pattern.fault.group() == 'B'
                    && pattern.endpoint() == endpoint
                    && runs.contains(&pattern.fault)
            });
        }
        let Some(pattern) = classify(event) else { return };
        let mut detection = Detection::new(pattern);
        detection.status = event.status;
        detection.retry_after = event.retry_after_ms.map(std::time::Duration::from_millis);
        match detection.fault() {
            Fault::ContextTooLong => detection.scope = event.thread.as_deref().map(clean_name),
            Fault::AllRoutesResting => {
                detection.what =
                    event.until.map(|until| format!("every route rests; the first returns at {until} UTC"));
                if self.state.network_down {
                    detection.pattern = detection.pattern.with(Fact::Network, "down");
                }
            }
            Fault::LoginExpiring => detection.run = event.account.as_deref().map(login_command),
            _ => {}
        }
        self.detected(&detection);
    }

    /// Faults that have a row which counts in a row.
    fn runs(&self) -> Vec<Fault> {
        self.state.rules.rows().iter().filter(|rule| rule.in_a_row).map(|rule| rule.fault).collect()
    }

    pub(super) fn foreign(&mut self, foreign: &ForeignLogMatch) {
        let source = if foreign.source.is_empty() { "log" } else { &foreign.source };
        let mut pattern = Pattern::new(foreign.fault).with(Fact::Source, source);
        if foreign.fault.group() == 'A' {
            // Hearsay about our own process: the process itself is the better witness.
            pattern = pattern.with(Fact::Check, "log");
        }
        self.detected(&Detection::new(pattern));
    }

    pub(super) fn network(&mut self, up: bool) {
        if up {
            self.state.network_down = false;
        } else if !self.state.network_down {
            self.state.network_down = true;
            let mut detection =
                Detection::new(Pattern::new(Fault::NameUnresolved).with(Fact::Network, "down"));
            detection.what =
                Some("the machine has no network; what fails now is not the providers' fault".to_owned());
            detection.run = Some("check the network".to_owned());
            self.detected(&detection);
        }
    }

    pub(super) fn client_exited(&mut self, exit: &ClientExit) {
        let by_itself = exit.code == Some(0);
        let asked = exit.signal.is_some_and(|signal| USER_SIGNALS.contains(&signal));
        if by_itself || asked {
            return;
        }
        let how = match (exit.signal, exit.code) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("ended with code {code}"),
            (None, None) => "is gone".to_owned(),
        };
        let mut detection = Detection::new(Pattern::new(Fault::ClientGone).with(Fact::Source, &exit.name));
        detection.scope = Some(exit.pid.to_string());
        detection.what = Some(format!("{} (process {}) {how}", client(&exit.name), exit.pid));
        detection.run.clone_from(&exit.resume);
        self.detected(&detection);
    }

    pub(super) fn client_memory(&mut self, memory: &ClientMemory) {
        if memory.memory_bytes <= self.state.settings.client_memory_alert {
            return;
        }
        let mut detection =
            Detection::new(Pattern::new(Fault::ClientMemoryHigh).with(Fact::Source, &memory.name));
        detection.scope = Some(memory.pid.to_string());
        let gib = memory.memory_bytes >> 20;
        detection.what = Some(format!("{} (process {}) holds {gib} MiB", client(&memory.name), memory.pid));
        self.detected(&detection);
    }

    pub(super) fn client_database(&mut self, database: &ClientDatabase) {
        let generated = if database.generated { "yes" } else { "no" };
        let pattern = Pattern::new(Fault::ClientDatabaseMalformed)
            .with(Fact::Source, &database.client)
            .with(Fact::Generated, generated);
        let mut detection = Detection::new(pattern);
        detection.client = Some(database.client.clone());
        detection.what =
            Some(format!("the database of {} is malformed: `{}`", client(&database.client), database.file));
        self.detected(&detection);
    }

    pub(super) fn stale_port(&mut self, port: &StalePort) {
        if port.found == port.expected {
            return;
        }
        let mut detection =
            Detection::new(Pattern::new(Fault::StaleClientPort).with(Fact::Source, &port.client));
        detection.client = Some(port.client.clone());
        detection.what =
            Some(format!("`{}` names port {}, and ours is {}", port.file, port.found, port.expected));
        self.detected(&detection);
    }

    pub(super) fn dead_pids(&mut self, processes: Vec<ProcessId>) {
        if !processes.is_empty() {
            let mut detection = Detection::of(Fault::DeadRegistryEntries);
            detection.processes = processes;
            self.detected(&detection);
        }
    }

    pub(super) fn cache_corrupt(&mut self, cache: &CacheCorrupt) {
        let cause = if cache.known_bad { "known_bad" } else { "corrupt" };
        self.detected(&Detection::new(Pattern::new(Fault::LearnedStateCorrupt).with(Fact::Cause, cause)));
    }

    pub(super) fn token_expiring(&mut self, token: &TokenExpiring) {
        let over = token.expires_at <= self.wall;
        if !token.refresh_failed && !over {
            return;
        }
        let pattern = Pattern::new(Fault::LoginExpiring)
            .with(Fact::Source, &token.login)
            .with(Fact::Cause, &token.account);
        let mut detection = Detection::new(pattern);
        let when = if over { "ended" } else { "ends" };
        detection.what =
            Some(format!("the login {} ({}) {when} at {} UTC", token.login, token.account, token.expires_at));
        detection.run = Some(login_command(&token.login));
        detection.level = over.then_some(Level::Urgent);
        self.detected(&detection);
    }
}

fn client(name: &str) -> &str {
    if name.is_empty() { "a client" } else { name }
}

fn login_command(login: &str) -> String {
    // It may be run by a person who trusts it, so it holds a plain word or nothing.
    let plain =
        login.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !login.starts_with('-');
    if plain && login.len() <= 40 { format!("latimer login {login}") } else { "latimer login".to_owned() }
}
