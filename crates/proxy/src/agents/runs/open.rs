//! The file, opened once; and the runs that an earlier process has left.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use latimer_adapters::agents::processes::ProcessId;

use super::{OpenAgents, Runs};
use crate::agents::profile::AgentProfile;
use crate::agents::sqlite::{AgentDatabase, FILE};
use crate::agents::store::{AgentStore, AgentStoreError, ProfileStore as _, RunOwner};
use crate::clock;

impl Runs {
    /// The open store. The first question opens it; where that fails, the log says so once and the feature is off.
    pub(super) fn kept(&self) -> Result<&OpenAgents, AgentStoreError> {
        self.opened.get_or_init(|| self.open()).as_ref().ok_or(AgentStoreError::Off)
    }

    /// Whether anybody has ever kept anything here. Makes no file.
    pub fn is_in_use(&self) -> bool {
        self.opened.get().is_some() || self.dir.as_ref().is_some_and(|dir| dir.join(FILE).exists())
    }

    fn open(&self) -> Option<OpenAgents> {
        let path = self.dir.as_ref()?.join(FILE);
        let opened = AgentDatabase::open(&path).and_then(|database| {
            let profiles = database.profiles()?;
            let by_name = |profile: AgentProfile| (profile.id.clone(), Arc::new(profile));
            let profiles: HashMap<_, _> = profiles.into_iter().map(by_name).collect();
            Ok(OpenAgents { store: Arc::new(database), profiles: RwLock::new(profiles) })
        });
        match opened {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::warn!(event = "agents.store_unavailable", path = %path.display(), error = %error, note = "profiles, runs and messages are off");
                None
            }
        }
    }
}

/// This process, as it claims runs.
pub(in crate::agents) fn me() -> RunOwner {
    let me = ProcessId::me();
    RunOwner(format!("{}-{}", me.pid, me.started))
}

/// Whether the process that has claimed a run still lives. Where the system does not tell, the time of its claim does.
fn is_alive(owner: &RunOwner, until: u64, now: u64) -> bool {
    let read =
        owner.0.split_once('-').and_then(|(pid, started)| Some((pid.parse().ok()?, started.parse().ok()?)));
    match read {
        Some((pid, started)) if started != 0 => ProcessId { pid, started }.is_alive(),
        _ => until > now,
    }
}

/// Runs whose process is gone: they failed, or begin again where their profile says so. How many begin again.
///
/// # Errors
/// They cannot be read or written.
pub(super) fn break_off_orphans(
    store: &dyn AgentStore,
    begins_again: impl Fn(&str) -> bool,
) -> Result<usize, AgentStoreError> {
    let now = clock::unix_now();
    let mut again = 0;
    for (id, owner, until) in store.claimed_runs()? {
        if is_alive(&owner, until, now) {
            continue;
        }
        let profile = store.run(&id)?.map(|run| run.profile).unwrap_or_default();
        let retried = begins_again(&profile);
        if store.break_off(&id, &owner, retried, now)? {
            again += usize::from(retried);
            tracing::warn!(event = "agents.run_broken_off", run = %id, profile, again = retried, note = "the proxy was restarted");
        }
    }
    Ok(again)
}
