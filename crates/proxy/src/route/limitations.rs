//! The limitations that endpoints taught by their refusals, kept for a day in a file of their own. A change of the file, or its
//! deletion, takes effect within a second: the file is the truth, and forgetting is deleting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use latimer_adapters::limitation::{Limitation, Limitations};
use serde::{Deserialize, Serialize};

use crate::clock::Clocks;
use crate::config::state;
use crate::config::watch::Version;
use crate::sync::lock;

/// The file in the state directory.
pub const FILE: &str = "learned.json";
/// How long a limitation holds: providers change.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How often the file is checked for a change, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Targets that are remembered.
const MAX_TARGETS: usize = 1000;

/// What stands in `learned.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitationsFile {
    /// `endpoint/model` to the codes of its limitations and when each was learned, in Unix seconds.
    #[serde(default)]
    #[serde(rename = "lessons")]
    pub limitations: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The limitations in use.
#[derive(Debug)]
pub struct LimitationStore {
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: LimitationsFile,
    version: Option<Version>,
    checked_at: Instant,
}

impl LimitationStore {
    /// The limitations of this state directory; without one they live in memory.
    pub fn new(dir: Option<&Path>, now: Instant) -> Self {
        let path = dir.map(|dir| dir.join(FILE));
        let (version, file) = path.as_deref().map_or((None, LimitationsFile::default()), |path| {
            (Some(Version::of(path)), read(path).unwrap_or_default())
        });
        Self { path, inner: Mutex::new(Inner { file, version, checked_at: now }) }
    }

    /// The limitations of a target that still hold.
    pub fn limitations(&self, target: &str, at: Clocks) -> Limitations {
        let inner = self.current(at.now);
        let Some(known) = inner.file.limitations.get(target) else { return Limitations::default() };
        let holds = |learned_at: u64| at.unix.saturating_sub(learned_at) < LIFETIME.as_secs();
        Limitations::new(
            known.iter().filter(|(_, at)| holds(**at)).filter_map(|(code, _)| Limitation::from_code(code)),
        )
    }

    /// A target taught something; false when it was known already.
    pub fn learn(&self, target: &str, limitation: Limitation, at: Clocks) -> bool {
        let mut inner = self.current(at.now);
        let oldest = at.unix.saturating_sub(LIFETIME.as_secs());
        inner.file.limitations.retain(|_, known| {
            known.retain(|_, learned_at| *learned_at > oldest);
            !known.is_empty()
        });
        if inner.file.limitations.len() >= MAX_TARGETS && !inner.file.limitations.contains_key(target) {
            inner.file.limitations.pop_first();
        }
        let known = inner.file.limitations.entry(target.to_owned()).or_default();
        let is_new = known.insert(limitation.code().to_owned(), at.unix).is_none();
        if let Some(path) = &self.path {
            if let Err(error) = write(path, &inner.file) {
                tracing::warn!(event = "learned.not_saved", error = %error);
            }
            inner.version = Some(Version::of(path));
        }
        is_new
    }

    /// Forgets what an endpoint taught, or what all of them did; how many targets that were. What stood in the file before is
    /// set aside.
    ///
    /// # Errors
    /// The file cannot be written; then nothing is forgotten.
    pub fn forget(&self, endpoint: Option<&str>, now: Instant) -> std::io::Result<usize> {
        let mut inner = self.current(now);
        let mut file = inner.file.clone();
        file.limitations
            .retain(|target, _| endpoint.is_some_and(|endpoint| target.split('/').next() != Some(endpoint)));
        let gone = inner.file.limitations.len() - file.limitations.len();
        if gone > 0 {
            if let Some(path) = &self.path {
                let _ = std::fs::copy(path, path.with_extension("json.forgotten"));
                write(path, &file)?;
                inner.version = Some(Version::of(path));
            }
            inner.file = file;
        }
        Ok(gone)
    }

    /// The limitations, after a check of the file if the last one was too long ago.
    fn current(&self, now: Instant) -> MutexGuard<'_, Inner> {
        let mut inner = lock(&self.inner);
        let Some(path) = &self.path else { return inner };
        if now.saturating_duration_since(inner.checked_at) >= CHECK_INTERVAL {
            inner.checked_at = now;
            let version = Version::of(path);
            if inner.version != Some(version) {
                inner.version = Some(version);
                inner.file = read(path).unwrap_or_default();
            }
        }
        inner
    }
}

/// Reads the file. A missing one is empty; one that cannot be read is set aside and said so.
pub fn read(path: &Path) -> Option<LimitationsFile> {
    let bytes = std::fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(file) => Some(file),
        Err(error) => {
            let aside = path.with_extension("json.corrupt");
            let kept = std::fs::rename(path, &aside).is_ok();
            tracing::warn!(event = "learned.corrupt", error = %error, kept, aside = %aside.display());
            None
        }
    }
}

/// Replaces the file.
///
/// # Errors
/// The file cannot be replaced; the old one then still stands.
pub fn write(path: &Path, file: &LimitationsFile) -> std::io::Result<()> {
    state::write_private(path, &serde_json::to_vec_pretty(file).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn at(now: Instant, unix: u64) -> Clocks {
        Clocks { now, unix }
    }

    #[test]
    fn limitations_hold_for_a_day_and_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let limitations = LimitationStore::new(Some(dir.path()), now);
        assert!(limitations.learn("a/m", Limitation::NoImages, at(now, 1_000_000)));
        assert!(!limitations.learn("a/m", Limitation::NoImages, at(now, 1_000_000)));
        let again = LimitationStore::new(Some(dir.path()), now);
        assert!(again.limitations("a/m", at(now, 1_000_100)).has(Limitation::NoImages));
        assert!(again.limitations("b/m", at(now, 1_000_100)).is_empty());
        assert!(again.limitations("a/m", at(now, 1_000_000 + LIFETIME.as_secs())).is_empty());
    }

    #[test]
    fn one_endpoint_or_all_are_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let limitations = LimitationStore::new(Some(dir.path()), now);
        for target in ["a/m", "a/n", "ab/m"] {
            limitations.learn(target, Limitation::NoImages, at(now, 10));
        }
        assert_eq!(limitations.forget(Some("a"), now).expect("written"), 2);
        let again = LimitationStore::new(Some(dir.path()), now);
        assert!(again.limitations("a/m", at(now, 10)).is_empty());
        assert!(again.limitations("ab/m", at(now, 10)).has(Limitation::NoImages));
        assert_eq!(limitations.forget(None, now).expect("written"), 1);
        assert_eq!(limitations.forget(None, now).expect("nothing to write"), 0);
    }

    #[test]
    fn deleting_the_file_is_forgetting_and_noise_in_it_is_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let limitations = LimitationStore::new(Some(dir.path()), now);
        limitations.learn("a/m", Limitation::NoStrict, at(now, 10));
        std::fs::remove_file(dir.path().join(FILE)).expect("removed");
        assert!(limitations.limitations("a/m", at(now + CHECK_INTERVAL, 10)).is_empty());
        std::fs::write(dir.path().join(FILE), "\u{0}noise").expect("written");
        assert!(limitations.limitations("a/m", at(now + 3 * CHECK_INTERVAL, 10)).is_empty());
        let aside = std::fs::read(dir.path().join("learned.json.corrupt")).expect("kept");
        assert_eq!(aside, b"\0noise");
        assert!(
            limitations.learn("a/m", Limitation::NoStrict, at(now + 4 * CHECK_INTERVAL, 10)),
            "and it goes on"
        );
    }
}
