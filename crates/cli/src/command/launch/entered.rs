//! A launched client in the registry of its state directory, where the watchdog looks.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use latimer_watchdog::run::process::Identity;
use latimer_watchdog::run::registry::{EndStatus, Entry, Registry, Role};

use super::Client;

/// The client in the registry of this state directory, where the watchdog sees how it is and how it ends.
pub(super) struct Entered(Option<(Registry, Entry)>);

impl Entered {
    /// Enters the client. A registry that cannot be written is no reason not to run it.
    pub(super) fn new(state_dir: &Path, pid: u32, client: Client) -> Self {
        let registry = Registry::new(state_dir);
        let (name, _) = client.program();
        Self(Identity::of(pid).and_then(|identity| {
            let mut entry = Entry::new(identity, Role::Client, name);
            entry.resume = Some(format!("latimer launch {name} -- {}", client.resume()));
            registry.enter(&entry).ok()?;
            Some((registry, entry))
        }))
    }

    /// Strikes it out. One that a signal ended stays until the watchdog has seen it.
    pub(super) fn leave(self, status: ExitStatus) {
        let Some((registry, mut entry)) = self.0 else { return };
        if status.signal().is_none() {
            return registry.leave(entry.identity);
        }
        entry.ended = Some(EndStatus { code: status.code(), signal: status.signal() });
        let _ = registry.enter(&entry);
    }
}
