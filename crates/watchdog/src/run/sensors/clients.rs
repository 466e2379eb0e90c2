//! The clients that `latimer launch` started: what they hold, and how they end.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::super::process::Identity;
use super::super::registry::{Entry, Registry, Role};
use crate::ids::ProcessId;
use crate::signal::{ClientExit, ClientMemory, DeadPids, Signal};

/// How often clients are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How many looks lie between two reports of processes that are gone.
const POLLS_PER_CLEAN: u32 = 30;

/// Looks for ever.
pub async fn watch(registry: Registry, signals: mpsc::Sender<Signal>) {
    let mut clock = tokio::time::interval(POLL_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut known, mut looks) = (HashMap::new(), 0_u32);
    loop {
        clock.tick().await;
        let found = look(&registry.all(), &mut known, looks % POLLS_PER_CLEAN == 0);
        looks = looks.wrapping_add(1);
        for signal in found {
            if signals.send(signal).await.is_err() {
                return;
            }
        }
    }
}

/// What is known of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Alive,
    /// Its end was reported.
    Reported,
}

/// What one look shows. An end is reported once: of a client that was seen alive, or whose end was written down.
fn look(entries: &[Entry], known: &mut HashMap<Identity, ClientState>, reports_dead: bool) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut dead = Vec::new();
    for entry in entries {
        let identity = entry.identity;
        let is_client = entry.role == Role::Client;
        if identity.is_alive() {
            if is_client {
                known.insert(identity, ClientState::Alive);
                let memory_bytes = identity.stats().memory;
                let name = entry.name.clone();
                signals.push(Signal::ClientMemory(ClientMemory { pid: identity.pid, name, memory_bytes }));
            }
            continue;
        }
        let before = known.get(&identity).copied();
        let is_news = before == Some(ClientState::Alive) || (before.is_none() && entry.ended.is_some());
        if is_client && is_news {
            known.insert(identity, ClientState::Reported);
            let ended = entry.ended.unwrap_or_default();
            signals.push(Signal::ClientExited(ClientExit {
                pid: identity.pid,
                name: entry.name.clone(),
                code: ended.code,
                signal: ended.signal,
                resume: entry.resume.clone(),
            }));
        }
        dead.push(ProcessId { pid: identity.pid, started: identity.started });
    }
    known.retain(|identity, _| entries.iter().any(|entry| entry.identity == *identity));
    if reports_dead && !dead.is_empty() {
        signals.push(Signal::DeadPids(DeadPids { processes: dead }));
    }
    signals
}

#[cfg(test)]
mod tests {
    use super::super::super::registry::EndStatus;
    use super::*;

    #[test]
    fn a_client_is_seen_alive_then_gone_once() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let identity = Identity::of(child.id()).expect("alive");
        let mut entry = Entry {
            identity,
            role: Role::Client,
            name: "codex".into(),
            address: None,
            resume: Some("codex resume".into()),
            ended: None,
        };
        let mut known = HashMap::new();
        let first = look(std::slice::from_ref(&entry), &mut known, true);
        assert!(
            matches!(&first[..], [Signal::ClientMemory(memory)] if memory.pid == child.id()),
            "{first:?}"
        );
        child.kill().expect("ended");
        child.wait().expect("buried");
        entry.ended = Some(EndStatus { code: None, signal: Some(9) });
        let second = look(std::slice::from_ref(&entry), &mut known, false);
        let [Signal::ClientExited(exit)] = &second[..] else { panic!("{second:?}") };
        assert_eq!((exit.signal, exit.resume.as_deref()), (Some(9), Some("codex resume")));
        let third = look(std::slice::from_ref(&entry), &mut known, true);
        assert!(matches!(&third[..], [Signal::DeadPids(dead)] if dead.processes.len() == 1), "{third:?}");
        let unseen = look(std::slice::from_ref(&entry), &mut HashMap::new(), false);
        assert!(matches!(&unseen[..], [Signal::ClientExited(_)]), "its end was written down: {unseen:?}");
        entry.ended = None;
        let unknown = look(&[entry], &mut HashMap::new(), false);
        assert_eq!(unknown, [], "left by an earlier watchdog: nobody knows when it ended");
    }
}
