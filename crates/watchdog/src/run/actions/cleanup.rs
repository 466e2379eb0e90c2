//! Actions on files and on processes of the registry.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal as SystemSignal;

use super::super::clock;
use super::super::process::Identity;
use super::super::registry::Registry;
use crate::files::{LEARNED_FILE, PROXY_FILE};
use crate::ids::ProcessId;

/// How long a process may take to end when asked; then it is made to.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Ends processes that stand in the registry with this start time; others are refused.
///
/// # Errors
///
/// How many could not be ended, and why the last of them.
pub async fn end_stale(registry: &Registry, processes: &[ProcessId]) -> Result<(), String> {
    let known = registry.all();
    let mut refused = None;
    for process in processes {
        let identity = Identity { pid: process.pid, started: process.started };
        if !known.iter().any(|entry| entry.identity == identity) {
            refused = Some(format!("process {} does not stand in the registry", process.pid));
            continue;
        }
        if identity.is_alive() && !end(identity).await {
            refused = Some(format!("process {} does not end", process.pid));
            continue;
        }
        registry.leave(identity);
    }
    refused.map_or(Ok(()), Err)
}

/// Asks a process to end, then makes it.
async fn end(identity: Identity) -> bool {
    for signal in [SystemSignal::TERM, SystemSignal::KILL] {
        let _ = identity.signal(signal);
        let begun = clock::monotonic();
        while begun.elapsed() < TERMINATE_TIMEOUT {
            if !identity.is_alive() {
                return true;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    !identity.is_alive()
}

/// Strikes processes out of the registry that are gone; all that are when none are named. The living stay.
pub fn clean(registry: &Registry, processes: &[ProcessId]) {
    let named = |identity: Identity| {
        processes.is_empty()
            || processes
                .iter()
                .any(|process| process.pid == identity.pid && process.started == identity.started)
    };
    for entry in registry.all() {
        if named(entry.identity) && !entry.identity.is_alive() {
            registry.leave(entry.identity);
        }
    }
}

/// Sets aside what endpoints taught; the proxy notices within a second, and learns anew.
///
/// # Errors
///
/// The file cannot be moved. One that is not there is no error.
pub fn set_learned_aside(state_dir: &Path, now_unix: u64) -> io::Result<()> {
    let path = state_dir.join(LEARNED_FILE);
    match std::fs::rename(&path, path.with_extension(format!("json.aside-{now_unix}"))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes anew where the proxy answers, for `latimer launch`.
///
/// # Errors
///
/// The disk is full or read-only.
pub fn announce(state_dir: &Path, address: SocketAddr, proxy: Option<Identity>) -> io::Result<()> {
    let pid = proxy.map_or_else(std::process::id, |proxy| proxy.pid);
    let text = serde_json::json!({ "pid": pid, "url": format!("http://{address}") }).to_string();
    latimer_files::write(&state_dir.join(PROXY_FILE), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::super::registry::{Entry, Role};
    use super::*;
    use std::process::Command;

    fn process(identity: Identity) -> ProcessId {
        ProcessId { pid: identity.pid, started: identity.started }
    }

    #[tokio::test]
    async fn only_what_the_registry_names_is_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::new(dir.path());
        let run = || Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let (mut ours, mut foreign) = (run(), run());
        let identity = |child: &std::process::Child| Identity::of(child.id()).expect("alive");
        let (our_id, foreign_id) = (identity(&ours), identity(&foreign));
        registry.enter(&Entry::new(our_id, Role::Proxy, "sleep")).expect("entered");
        // The same number with another start time: the entry is about an earlier process.
        let earlier = Identity { started: foreign_id.started.wrapping_sub(1), ..foreign_id };
        registry.enter(&Entry::new(earlier, Role::Proxy, "sleep")).expect("entered");
        let all = [process(our_id), process(foreign_id), process(earlier)];
        let error = end_stale(&registry, &all).await.expect_err("one is refused");
        assert!(error.contains("does not stand in the registry"), "{error}");
        assert!(ours.try_wait().expect("waited").is_some(), "ours has ended");
        assert!(foreign.try_wait().expect("waited").is_none(), "the foreign one lives");
        assert!(registry.all().is_empty());
        foreign.kill().expect("ended by the test that started it");
        foreign.wait().expect("buried");
    }

    #[test]
    fn the_living_are_not_struck_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::new(dir.path());
        let me = Identity::me().expect("alive");
        let dead = Identity { started: me.started.wrapping_sub(1), ..me };
        registry.enter(&Entry::new(me, Role::Client, "codex")).expect("entered");
        registry.enter(&Entry::new(dead, Role::Client, "codex")).expect("entered");
        clean(&registry, &[process(me)]);
        assert_eq!(registry.all().len(), 2);
        clean(&registry, &[]);
        assert_eq!(registry.all().len(), 1);
    }

    #[test]
    fn what_was_learned_is_set_aside_and_not_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        set_learned_aside(dir.path(), 5).expect("nothing to do");
        std::fs::write(dir.path().join(LEARNED_FILE), "x").expect("written");
        set_learned_aside(dir.path(), 5).expect("moved");
        assert!(!dir.path().join(LEARNED_FILE).exists());
        assert_eq!(std::fs::read(dir.path().join("learned.json.aside-5")).expect("kept"), b"x");
    }
}
