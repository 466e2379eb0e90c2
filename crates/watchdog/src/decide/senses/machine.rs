//! What is not about the proxy itself: other logs, the network, clients, files, logins.

use latimer_protocol::status::Fault;

use super::super::clock::Clocks;
use super::super::detection::Detection;
use super::Senses;
use crate::action::Level;
use crate::ids::ProcessId;
use crate::pattern::{Fact, Pattern};
use crate::signal::{
    CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, ForeignLogMatch, StalePort, TokenExpiring,
};

/// Signals that a person or a shell sends to end a client: hang-up, interrupt, terminate.
const USER_SIGNALS: [i32; 3] = [1, 2, 15];
/// The longest login that is put into a command, in bytes.
const MAX_LOGIN_BYTES: usize = 40;

/// A signature in a log of somebody else.
pub(super) fn foreign_log(found: &ForeignLogMatch) -> Detection {
    let source = if found.source.is_empty() { "log" } else { &found.source };
    let mut pattern = Pattern::new(found.fault).with(Fact::Source, source);
    if found.fault.group() == 'A' {
        // Hearsay about our own process: the process itself is the better witness.
        pattern = pattern.with(Fact::Check, "log");
    }
    Detection::new(pattern)
}

/// The network went or came. Told once, when it goes.
pub(super) fn network(senses: &mut Senses, up: bool) -> Option<Detection> {
    if std::mem::replace(&mut senses.network_down, !up) || up {
        return None;
    }
    let mut detection = Detection::new(Pattern::new(Fault::NameUnresolved).with(Fact::Network, "down"));
    detection.what =
        Some("the machine has no network; what fails now is not the providers' fault".to_owned());
    detection.run = Some("check the network".to_owned());
    Some(detection)
}

/// A client ended, and neither by itself nor by a person.
pub(super) fn client_exited(exit: &ClientExit) -> Option<Detection> {
    let is_ended_by_user = exit.signal.is_some_and(|signal| USER_SIGNALS.contains(&signal));
    if exit.code == Some(0) || is_ended_by_user {
        return None;
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
    Some(detection)
}

/// A client holds more memory than this limit, in bytes.
pub(super) fn client_memory(memory: &ClientMemory, limit: u64) -> Option<Detection> {
    if memory.memory_bytes <= limit {
        return None;
    }
    let mut detection =
        Detection::new(Pattern::new(Fault::ClientMemoryHigh).with(Fact::Source, &memory.name));
    detection.scope = Some(memory.pid.to_string());
    let mib = memory.memory_bytes >> 20;
    detection.what = Some(format!("{} (process {}) holds {mib} MiB", client(&memory.name), memory.pid));
    Some(detection)
}

/// A client's database is malformed.
pub(super) fn client_database(database: &ClientDatabase) -> Detection {
    let generated = if database.generated { "yes" } else { "no" };
    let pattern = Pattern::new(Fault::ClientDatabaseMalformed)
        .with(Fact::Source, &database.client)
        .with(Fact::Generated, generated);
    let mut detection = Detection::new(pattern);
    detection.client = Some(database.client.clone());
    detection.what =
        Some(format!("the database of {} is malformed: `{}`", client(&database.client), database.file));
    detection
}

/// A generated file names another port.
pub(super) fn stale_port(port: &StalePort) -> Option<Detection> {
    if port.found == port.expected {
        return None;
    }
    let mut detection = Detection::new(Pattern::new(Fault::StaleClientPort).with(Fact::Source, &port.client));
    detection.client = Some(port.client.clone());
    detection.what =
        Some(format!("`{}` names port {}, and ours is {}", port.file, port.found, port.expected));
    Some(detection)
}

/// The registry holds processes that are gone.
pub(super) fn dead_processes(processes: &[ProcessId]) -> Option<Detection> {
    if processes.is_empty() {
        return None;
    }
    let mut detection = Detection::of(Fault::DeadRegistryEntries);
    detection.processes = processes.to_vec();
    Some(detection)
}

/// What was learned about endpoints cannot be used.
pub(super) fn cache_corrupt(cache: &CacheCorrupt) -> Detection {
    let cause = if cache.known_bad { "known_bad" } else { "corrupt" };
    Detection::new(Pattern::new(Fault::LearnedStateCorrupt).with(Fact::Cause, cause))
}

/// A login that a person has to renew: it is over, or could not be refreshed.
pub(super) fn token_expiring(token: &TokenExpiring, at: Clocks) -> Option<Detection> {
    let is_over = token.expires_at <= at.wall;
    if !token.refresh_failed && !is_over {
        return None;
    }
    let pattern =
        Pattern::new(Fault::LoginExpiring).with(Fact::Source, &token.login).with(Fact::Cause, &token.account);
    let mut detection = Detection::new(pattern);
    let when = if is_over { "ended" } else { "ends" };
    detection.what =
        Some(format!("the login {} ({}) {when} at {} UTC", token.login, token.account, token.expires_at));
    detection.run = Some(login_command(&token.login));
    detection.level = is_over.then_some(Level::Urgent);
    Some(detection)
}

fn client(name: &str) -> &str {
    if name.is_empty() { "a client" } else { name }
}

/// The command that renews a login. It may be run by a person who trusts it, so it holds a plain word or nothing.
pub(super) fn login_command(login: &str) -> String {
    let is_plain = login.len() <= MAX_LOGIN_BYTES
        && !login.starts_with('-')
        && login.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_plain { format!("latimer login {login}") } else { "latimer login".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    #[test]
    fn a_client_that_was_ended_by_a_person_is_no_fault() {
        let exit = |code, signal| ClientExit { pid: 9, name: "codex".to_owned(), code, signal, resume: None };
        for (code, signal) in [(Some(0), None), (None, Some(2)), (None, Some(15)), (None, Some(1))] {
            assert_eq!(client_exited(&exit(code, signal)), None, "{code:?} {signal:?}");
        }
        let crashed = client_exited(&exit(None, Some(11))).expect("a fault");
        assert_eq!(crashed.what.as_deref(), Some("codex (process 9) was ended by signal 11"));
        assert_eq!(crashed.scope.as_deref(), Some("9"));
    }

    #[test]
    fn the_network_is_told_of_once_when_it_goes() {
        let mut senses = Senses::default();
        assert_eq!(network(&mut senses, true), None);
        assert!(network(&mut senses, false).is_some() && senses.network_down());
        assert_eq!(network(&mut senses, false), None);
        assert_eq!(network(&mut senses, true), None);
        assert!(!senses.network_down() && network(&mut senses, false).is_some());
    }

    #[test]
    fn a_login_is_urgent_when_it_is_over_and_no_matter_while_it_is_refreshed() {
        let at = Clocks { now: Time::ZERO, wall: Time::from_secs(100) };
        let token = |expires_at, refresh_failed| TokenExpiring {
            login: "google".to_owned(),
            account: "a".to_owned(),
            expires_at: Time::from_secs(expires_at),
            refresh_failed,
        };
        assert_eq!(token_expiring(&token(200, false), at), None);
        assert_eq!(token_expiring(&token(200, true), at).expect("a fault").level, None);
        let over = token_expiring(&token(100, false), at).expect("a fault");
        assert_eq!((over.level, over.run.as_deref()), (Some(Level::Urgent), Some("latimer login google")));
        for strange in ["-x", "a b", "$(x)", &"x".repeat(41)] {
            assert_eq!(login_command(strange), "latimer login", "{strange}");
        }
    }

    #[test]
    fn limits_and_ports_are_compared() {
        let memory = ClientMemory { pid: 9, name: String::new(), memory_bytes: 3 << 20 };
        assert_eq!(client_memory(&memory, 3 << 20), None);
        let high = client_memory(&memory, 1).expect("a fault");
        assert_eq!(high.what.as_deref(), Some("a client (process 9) holds 3 MiB"));
        let port = StalePort { found: 1, expected: 1, ..StalePort::default() };
        assert_eq!(stale_port(&port), None);
        assert!(stale_port(&StalePort { expected: 2, ..port }).is_some());
        assert_eq!(dead_processes(&[]), None);
    }

    #[test]
    fn a_foreign_log_about_our_process_is_hearsay() {
        let found = |fault| ForeignLogMatch { fault, source: String::new() };
        assert_eq!(foreign_log(&found(Fault::ProxyGone)).pattern.to_string(), "A1 check=log source=log");
        assert_eq!(foreign_log(&found(Fault::ServerError)).pattern.to_string(), "B2 source=log");
    }
}
