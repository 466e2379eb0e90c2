//! Runs and profiles, alive: begun, waited for, told more, ended.
//!
//! What is true stands in the store, and every step there is atomic; in here stands only what cannot be written down: the turn that is
//! polled, and who listens. So a run is ended once, whoever is first, and nothing that was taken for it is lost with a process.

pub mod event;
pub mod live;
mod open;
mod reader;
#[cfg(test)]
mod tests;
mod turns;
mod work;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use self::live::LiveRun;
pub(super) use self::open::me;
use super::blocking::blocking;
use super::names::RunId;
use super::profile::AgentProfile;
use super::run::{AgentRun, MAX_INPUT, NewRun, RunEnded, RunOutcome, RunStatus, RunUsage};
use super::store::{AgentStore, AgentStoreError, EndedRun, PushedInput};
use crate::clock;
use crate::sync::{lock, read, write};

/// Runs that work at once.
pub const MAX_RUNNING: usize = 16;
/// Runs that wait for a place.
pub const MAX_QUEUED: u64 = 256;
/// Ends of runs that somebody who listens may be behind.
const ENDS: usize = 256;
/// How often a run of another process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Profiles, runs and messages of a state directory. Cheap to ask for what is in memory; the file is opened at the first use.
pub struct Runs {
    dir: Option<PathBuf>,
    opened: OnceLock<Opened>,
    live: Mutex<HashMap<RunId, Arc<LiveRun>>>,
    /// A run was queued.
    queued: Notify,
    ends: broadcast::Sender<RunEnded>,
}

/// What a file is once somebody has tried to open it.
type Opened = Option<OpenAgents>;

/// The open store, and what is remembered of it.
struct OpenAgents {
    store: Arc<dyn AgentStore>,
    profiles: RwLock<HashMap<String, Arc<AgentProfile>>>,
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such profile.
    #[error(
        "there is no profile `{0}`; `latimer agents profiles` lists them, `latimer agents profiles add FILE` makes one"
    )]
    UnknownProfile(String),
    /// Nothing is asked, or too much.
    #[error("the input of a run is 1 to {MAX_INPUT} bytes, and this one has {0}")]
    Input(usize),
    /// Too many runs wait.
    #[error("{MAX_QUEUED} runs wait for a place already; try again when some are over, or cancel some")]
    Full,
    /// It cannot be kept.
    #[error("{0}")]
    Store(#[from] AgentStoreError),
}

impl fmt::Debug for Runs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runs").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Runs {
    /// Those of this state directory; without one, nothing is kept and the feature is off. Opens nothing yet.
    pub fn new(dir: Option<&Path>) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.map(Path::to_owned),
            opened: OnceLock::new(),
            live: Mutex::default(),
            queued: Notify::new(),
            ends: broadcast::Sender::new(ENDS),
        })
    }

    /// Whether there is a place for them.
    pub fn are_kept(&self) -> bool {
        self.dir.is_some()
    }

    /// What is kept.
    ///
    /// # Errors
    /// The file could not be opened.
    pub fn store(&self) -> Result<Arc<dyn AgentStore>, AgentStoreError> {
        Ok(Arc::clone(&self.kept()?.store))
    }

    /// Has something done with what is kept, on a thread that may block.
    ///
    /// # Errors
    /// The file could not be opened, or what the work says.
    pub async fn with_store<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn AgentStore) -> Result<T, AgentStoreError> + Send + 'static,
    ) -> Result<T, AgentStoreError> {
        let runs = Arc::clone(self);
        blocking(move || work(&*runs.kept()?.store)).await
    }

    /// The profile of this name. From memory, but for the very first question.
    pub fn profile(&self, id: &str) -> Option<Arc<AgentProfile>> {
        if !self.is_in_use() {
            return None;
        }
        read(&self.kept().ok()?.profiles).get(id).cloned()
    }

    /// All profiles, by name. From memory, but for the very first question.
    pub fn profiles(&self) -> Vec<Arc<AgentProfile>> {
        let Some(kept) = self.is_in_use().then(|| self.kept().ok()).flatten() else { return Vec::new() };
        let mut profiles: Vec<_> = read(&kept.profiles).values().cloned().collect();
        profiles.sort_by(|a, b| a.id.cmp(&b.id));
        profiles
    }

    /// Keeps a profile, in the place of an older one of its name; as it is kept, and whether there was none.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn put_profile(
        self: &Arc<Self>,
        profile: AgentProfile,
    ) -> Result<(Arc<AgentProfile>, bool), AgentStoreError> {
        let runs = Arc::clone(self);
        blocking(move || {
            let kept = runs.kept()?;
            let now = clock::unix_now();
            let created = read(&kept.profiles).get(&profile.id).map_or(now, |before| before.created);
            let profile = Arc::new(AgentProfile { created, updated: now, ..profile });
            let is_new = kept.store.put_profile(&profile)?;
            write(&kept.profiles).insert(profile.id.clone(), Arc::clone(&profile));
            tracing::info!(event = "agents.profile_kept", profile = profile.id, new = is_new);
            Ok((profile, is_new))
        })
        .await
    }

    /// Forgets a profile; whether there was one.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn delete_profile(self: &Arc<Self>, id: &str) -> Result<bool, AgentStoreError> {
        let (runs, id) = (Arc::clone(self), id.to_owned());
        blocking(move || {
            let kept = runs.kept()?;
            let was_there = kept.store.delete_profile(&id)?;
            write(&kept.profiles).remove(&id);
            Ok(was_there)
        })
        .await
    }

    /// Begins a run: it is kept, and works as soon as there is a place.
    ///
    /// # Errors
    /// There is no such profile, nothing or too much is asked, too many runs wait, or it cannot be kept.
    pub async fn start(self: &Arc<Self>, new: NewRun) -> Result<RunId, StartError> {
        self.with_store(|_| Ok(())).await?;
        let profile =
            self.profile(&new.profile).ok_or_else(|| StartError::UnknownProfile(new.profile.clone()))?;
        if new.input.trim().is_empty() || new.input.len() > MAX_INPUT {
            return Err(StartError::Input(new.input.len()));
        }
        let run = queued_run(new, &profile);
        let id = run.id.clone();
        let live = self.live(&id);
        live.tell(&event::RunEvent::Status { status: RunStatus::Queued });
        let kept = self.with_store(move |store| store.add_run(&run, MAX_QUEUED)).await;
        if !matches!(kept, Ok(true)) {
            lock(&self.live).remove(&id);
        }
        if !kept? {
            return Err(StartError::Full);
        }
        self.queued.notify_one();
        Ok(id)
    }

    /// A run as it is kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn run(self: &Arc<Self>, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError> {
        let id = id.clone();
        self.with_store(move |store| store.run(&id)).await
    }

    /// Waits until a run is over; `None` where there is none. Whoever drops this waits no longer, and the run goes on.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn wait(self: &Arc<Self>, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError> {
        loop {
            let live = self.find_live(id);
            match self.run(id).await? {
                Some(run) if !run.status.is_over() => {}
                other => return Ok(other),
            }
            match live {
                Some(live) => live.over().await,
                // Another process works on it.
                None => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Tells of every run that ends from now on, whoever began it.
    pub fn ends(&self) -> broadcast::Receiver<RunEnded> {
        self.ends.subscribe()
    }

    /// Ends a run: the agent that works on it is interrupted. The run as it is then, whether or not it was over before; `None` where
    /// there is none.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn cancel(self: &Arc<Self>, id: &RunId) -> Result<Option<AgentRun>, AgentStoreError> {
        // Found first, since a run that is over is not in the list any more; and again, since its work may have begun meanwhile.
        let live = self.find_live(id);
        let ended = self.end(id, RunOutcome::Cancelled).await?;
        if let (Some(_), Some(live)) = (&ended, live.or_else(|| self.find_live(id))) {
            live.end();
        }
        self.run(id).await
    }

    /// Says more to a run that is not over: into the turn that runs, where its agent takes it; else it waits for the end of that turn, and
    /// the run does not end before it was said.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn push(self: &Arc<Self>, id: &RunId, text: &str) -> Result<PushedInput, AgentStoreError> {
        let live = self.find_live(id);
        let (id, text) = (id.clone(), text.to_owned());
        self.with_store(move |store| {
            let pushed = store.push_input(&id, &text, clock::unix_now())?;
            let PushedInput::Waits(number) = pushed else { return Ok(pushed) };
            let Some((live, steer)) = live.and_then(|live| Some((Arc::clone(&live), live.steer()?))) else {
                return Ok(pushed);
            };
            // Taken first, so that it is not said twice; and there again where the turn was over.
            if !store.take_input(&id, number)? {
                return Ok(pushed);
            }
            if steer.push(&text) {
                live.tell(&event::RunEvent::PushSeen { text: &text });
                return Ok(pushed);
            }
            // Without an input that waited, the run may have ended meanwhile.
            Ok(if store.return_input(&id, number)? { pushed } else { PushedInput::Over })
        })
        .await
    }

    /// What happens in a run that this process works on, from the beginning.
    pub fn find_live(&self, id: &RunId) -> Option<Arc<LiveRun>> {
        lock(&self.live).get(id).cloned()
    }

    /// How many runs of this process work or wait.
    pub fn live_count(&self) -> usize {
        lock(&self.live).len()
    }

    fn live(&self, id: &RunId) -> Arc<LiveRun> {
        Arc::clone(lock(&self.live).entry(id.clone()).or_default())
    }

    /// Ends a run in the table, and tells everybody; `None` where it was over, or must go on.
    async fn end(
        self: &Arc<Self>,
        id: &RunId,
        outcome: RunOutcome,
    ) -> Result<Option<AgentRun>, AgentStoreError> {
        // Found first: once the table says that it is over, others may take it out of the list.
        let live = self.find_live(id);
        let run = id.clone();
        let ended = self.with_store(move |store| store.end_run(&run, &outcome, clock::unix_now())).await?;
        let EndedRun::Ended(run) = ended else { return Ok(None) };
        self.tell_end(&run, live).await;
        Ok(Some(*run))
    }

    /// Everybody who waits for this run is told, and what happened in it is kept.
    async fn tell_end(self: &Arc<Self>, run: &AgentRun, live: Option<Arc<LiveRun>>) {
        if live.as_ref().is_some_and(|live| !live.tells_end()) {
            return;
        }
        tracing::info!(event = "agents.run_ended", run = %run.id, profile = run.profile, status = run.status.name(), turns = run.usage.turns, error = run.error.as_ref().map(|error| error.code.as_str()));
        // Also where nobody waits for the rest of this: whoever waits for the run is told.
        let ending = Ending { runs: self, live: live.as_deref(), run };
        if let Some(live) = &live {
            if let Some(error) = &run.error {
                live.tell(&event::RunEvent::Error { code: &error.code, message: &error.message });
            }
            live.tell(&event::RunEvent::Status { status: run.status });
            let (id, events) = (run.id.clone(), live.whole());
            let kept = self.with_store(move |store| store.keep_events(&id, &events)).await;
            if let Err(error) = kept {
                tracing::warn!(event = "agents.events_not_kept", run = %run.id, error = %error);
            }
        }
        drop(ending);
    }
}

/// Everybody who waits for a run is told of its end when this is dropped.
struct Ending<'r> {
    runs: &'r Runs,
    live: Option<&'r LiveRun>,
    run: &'r AgentRun,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.live {
            live.is_over_now();
            lock(&self.runs.live).remove(&self.run.id);
        }
        let _ = self.runs.ends.send(RunEnded {
            id: self.run.id.clone(),
            schedule: self.run.schedule.clone(),
            status: self.run.status,
            at: self.run.ended.unwrap_or_default(),
        });
    }
}

/// A run that waits for its place.
fn queued_run(new: NewRun, profile: &AgentProfile) -> AgentRun {
    AgentRun {
        id: RunId::new(random()),
        profile: new.profile,
        status: RunStatus::Queued,
        mode: new.mode,
        input: new.input,
        result: None,
        error: None,
        turn: None,
        parent: new.parent,
        schedule: new.schedule,
        timeout: new.timeout.unwrap_or(profile.timeout),
        cleanup: new.cleanup.unwrap_or(profile.cleanup),
        created: clock::unix_now(),
        started: None,
        ended: None,
        deadline: None,
        usage: RunUsage::default(),
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        // Names must differ, not be secret.
        return u64::try_from(clock::unix_nanos() & u128::from(u64::MAX)).unwrap_or_default();
    }
    u64::from_le_bytes(bytes)
}
