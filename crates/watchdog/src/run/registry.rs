//! Who was started by whom: one small file per process in `running/` of the state directory. `latimer launch` writes the clients,
//! the watchdog its proxies. Nothing that does not stand here is ever ended.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::Identity;

/// The directory in the state directory.
const REGISTRY_DIR: &str = "running";
/// Entries that are read; more can only be an accident.
const MAX_ENTRIES: usize = 1000;
/// The largest entry, in bytes.
const MAX_ENTRY_BYTES: u64 = 1 << 20;

/// What a process is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A proxy that this or an earlier watchdog started.
    Proxy,
    /// A client that `latimer launch` started.
    Client,
}

/// One process that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// What it is to us.
    pub role: Role,
    /// The program, for people.
    pub name: String,
    /// Where it listens, for a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The command that opens the same session again, for a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// How it ended, where whoever started it could still say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndStatus>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndStatus {
    /// The exit code, when it ended by itself.
    #[serde(default)]
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
}

impl Entry {
    /// A process that has just been started.
    pub fn new(identity: Identity, role: Role, name: impl Into<String>) -> Self {
        Self { identity, role, name: name.into(), address: None, resume: None, ended: None }
    }
}

/// The registry of one state directory.
#[derive(Debug, Clone)]
pub struct Registry {
    dir: PathBuf,
}

impl Registry {
    /// The registry of this state directory; it is made when the first process is entered.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(REGISTRY_DIR) }
    }

    /// Enters a process.
    ///
    /// # Errors
    ///
    /// The disk is full or read-only.
    pub fn enter(&self, entry: &Entry) -> io::Result<()> {
        latimer_files::prepare(&self.dir)?;
        let text = serde_json::to_vec(entry).map_err(io::Error::other)?;
        latimer_files::write(&self.path(entry.identity), &text)
    }

    /// Strikes a process out; one that is not there is no error.
    pub fn leave(&self, identity: Identity) {
        let _ = std::fs::remove_file(self.path(identity));
    }

    /// Everyone entered, the dead too. A file that makes no sense is left out.
    pub fn all(&self) -> Vec<Entry> {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        files
            .flatten()
            .take(MAX_ENTRIES)
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
            .filter_map(|file| {
                serde_json::from_slice(&latimer_files::read(&file.path(), MAX_ENTRY_BYTES).ok()?).ok()
            })
            .collect()
    }

    /// Those of this role that live.
    pub fn living(&self, role: Role) -> Vec<Entry> {
        self.all().into_iter().filter(|entry| entry.role == role && entry.identity.is_alive()).collect()
    }

    /// Strikes out everyone who is dead, and says who that was.
    pub fn clean(&self) -> Vec<Entry> {
        let dead: Vec<Entry> = self.all().into_iter().filter(|entry| !entry.identity.is_alive()).collect();
        for entry in &dead {
            self.leave(entry.identity);
        }
        dead
    }

    fn path(&self, identity: Identity) -> PathBuf {
        self.dir.join(format!("{}-{}.json", identity.pid, identity.started))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_told_from_the_living_by_their_start_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::new(dir.path());
        assert!(registry.all().is_empty());
        let me = Identity::me().expect("alive");
        let entry = |identity| Entry::new(identity, Role::Client, "codex");
        registry.enter(&entry(me)).expect("entered");
        let earlier = Identity { pid: me.pid, started: me.started.wrapping_sub(7) };
        registry.enter(&entry(earlier)).expect("entered");
        std::fs::write(dir.path().join("running/1-1.json"), "noise").expect("written");
        assert_eq!(registry.living(Role::Client), [entry(me)]);
        assert!(registry.living(Role::Proxy).is_empty());
        assert_eq!(registry.clean(), [entry(earlier)]);
        assert_eq!(registry.all(), [entry(me)]);
    }
}
