//! A launched client in the registry of its state directory, where the watchdog sees how it is and how it ends.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use latimer_watchdog::run::process::Identity;
use latimer_watchdog::run::registry::{EndStatus, Entry, Registry, Role};

use super::client::LaunchedClient;

/// The client's entry; `None` where none could be written.
pub(super) struct ClientRegistration(Option<(Registry, Entry)>);

impl ClientRegistration {
    /// Enters the client. A registry that cannot be written is no reason not to run it.
    pub(super) fn enter(state_dir: &Path, pid: u32, client: &dyn LaunchedClient) -> Self {
        let registry = Registry::new(state_dir);
        let name = client.program();
        Self(Identity::of(pid).and_then(|identity| {
            let mut entry = Entry::new(identity, Role::Client, name);
            let resume = client.resume_hint();
            let tail = if resume.is_empty() { String::new() } else { format!(" -- {resume}") };
            entry.resume = Some(format!("latimer launch {name}{tail}"));
            registry.enter(&entry).ok()?;
            Some((registry, entry))
        }))
    }

    /// Removes the entry. That of a client that a signal ended stays until the watchdog has seen it, unless a person asked for its end.
    pub(super) fn leave(self, status: ExitStatus, was_asked: bool) {
        let Some((registry, mut entry)) = self.0 else { return };
        if status.signal().is_none() || was_asked {
            return registry.leave(entry.identity);
        }
        entry.ended = Some(EndStatus { code: status.code(), signal: status.signal() });
        let _ = registry.enter(&entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::launch::codex::Codex;

    fn entries(state_dir: &Path) -> Vec<Entry> {
        Registry::new(state_dir).all()
    }

    #[test]
    fn an_entry_says_how_to_go_on_and_goes_with_the_client() {
        let dir = tempfile::tempdir().expect("a directory");
        let registration = ClientRegistration::enter(dir.path(), std::process::id(), &Codex);
        let entered = entries(dir.path());
        let resume: Vec<_> = entered.iter().map(|entry| entry.resume.as_deref()).collect();
        assert_eq!(resume, [Some("latimer launch codex -- resume --last")]);
        registration.leave(ExitStatus::from_raw(0), false);
        assert!(entries(dir.path()).is_empty());
    }

    #[test]
    fn a_client_that_a_signal_ended_stays_with_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        ClientRegistration::enter(dir.path(), std::process::id(), &Codex)
            .leave(ExitStatus::from_raw(9), false);
        ClientRegistration::enter(dir.path(), std::process::id(), &Codex)
            .leave(ExitStatus::from_raw(15), true);
        assert!(entries(dir.path()).is_empty(), "a person asked for it");
        ClientRegistration::enter(dir.path(), std::process::id(), &Codex)
            .leave(ExitStatus::from_raw(9), false);
        let ends: Vec<_> = entries(dir.path()).into_iter().map(|entry| entry.ended).collect();
        assert_eq!(ends, [Some(EndStatus { code: None, signal: Some(9) })]);
    }
}
