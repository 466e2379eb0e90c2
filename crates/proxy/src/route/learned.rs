//! What endpoints taught, kept for a day in a file of its own. Whoever changes or deletes the file is heard within a second: it is
//! the truth, and forgetting is deleting.

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
/// How long a lesson holds: providers change.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often the file is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// Targets that are remembered.
const MOST: usize = 1000;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `endpoint/model` to the codes of its lessons and when each was learned, in Unix seconds.
    #[serde(default)]
    #[serde(rename = "lessons")]
    pub limitations: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The lessons in use.
#[derive(Debug)]
pub struct Learned {
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    document: Document,
    version: Option<Version>,
    looked: Instant,
}

impl Learned {
    /// The lessons of this state directory; without one they live in memory.
    pub fn new(dir: Option<&Path>, now: Instant) -> Self {
        let path = dir.map(|dir| dir.join(FILE));
        let (version, document) = path.as_deref().map_or((None, Document::default()), |path| {
            (Some(Version::of(path)), read(path).unwrap_or_default())
        });
        Self { path, inner: Mutex::new(Inner { document, version, looked: now }) }
    }

    /// What this target taught.
    pub fn limitations(&self, target: &str, at: Clocks) -> Limitations {
        let inner = self.fresh(at.now);
        let Some(known) = inner.document.limitations.get(target) else { return Limitations::default() };
        let holds = |learned: u64| at.unix.saturating_sub(learned) < LIFE.as_secs();
        Limitations::new(
            known.iter().filter(|(_, at)| holds(**at)).filter_map(|(code, _)| Limitation::from_code(code)),
        )
    }

    /// A target taught something; false when it was known already.
    pub fn learn(&self, target: &str, limitation: Limitation, at: Clocks) -> bool {
        let mut inner = self.fresh(at.now);
        let oldest = at.unix.saturating_sub(LIFE.as_secs());
        inner.document.limitations.retain(|_, known| {
            known.retain(|_, learned| *learned > oldest);
            !known.is_empty()
        });
        if inner.document.limitations.len() >= MOST && !inner.document.limitations.contains_key(target) {
            inner.document.limitations.pop_first();
        }
        let known = inner.document.limitations.entry(target.to_owned()).or_default();
        let is_new = known.insert(limitation.code().to_owned(), at.unix).is_none();
        if let Some(path) = &self.path {
            if let Err(error) = write(path, &inner.document) {
                tracing::warn!(event = "learned.not_saved", error = %error);
            }
            inner.version = Some(Version::of(path));
        }
        is_new
    }

    /// Forgets what an endpoint taught, or what all of them did; how many targets that were. What stood in the file before is
    /// set aside.
    ///
    /// Errors: the file cannot be written; then nothing is forgotten.
    pub fn forget(&self, endpoint: Option<&str>, now: Instant) -> std::io::Result<usize> {
        let mut inner = self.fresh(now);
        let mut document = inner.document.clone();
        document
            .limitations
            .retain(|target, _| endpoint.is_some_and(|endpoint| target.split('/').next() != Some(endpoint)));
        let gone = inner.document.limitations.len() - document.limitations.len();
        if gone > 0 {
            if let Some(path) = &self.path {
                let _ = std::fs::copy(path, path.with_extension("json.forgotten"));
                write(path, &document)?;
                inner.version = Some(Version::of(path));
            }
            inner.document = document;
        }
        Ok(gone)
    }

    /// The lessons, after a look at the file if the last one was too long ago.
    fn fresh(&self, now: Instant) -> MutexGuard<'_, Inner> {
        let mut inner = lock(&self.inner);
        let Some(path) = &self.path else { return inner };
        if now.saturating_duration_since(inner.looked) >= LOOK {
            inner.looked = now;
            let version = Version::of(path);
            if inner.version != Some(version) {
                inner.version = Some(version);
                inner.document = read(path).unwrap_or_default();
            }
        }
        inner
    }
}

/// Reads the file. A missing one is empty; one that cannot be read is set aside and said so.
pub fn read(path: &Path) -> Option<Document> {
    let bytes = std::fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(document) => Some(document),
        Err(error) => {
            let aside = path.with_extension("json.corrupt");
            let kept = std::fs::rename(path, &aside).is_ok();
            tracing::warn!(event = "learned.corrupt", error = %error, kept, aside = %aside.display());
            None
        }
    }
}

/// Replaces the file.
pub fn write(path: &Path, document: &Document) -> std::io::Result<()> {
    state::write_private(path, &serde_json::to_vec_pretty(document).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn at(now: Instant, unix: u64) -> Clocks {
        Clocks { now, unix }
    }

    #[test]
    fn lessons_hold_for_a_day_and_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let learned = Learned::new(Some(dir.path()), now);
        assert!(learned.learn("a/m", Limitation::NoImages, at(now, 1_000_000)));
        assert!(!learned.learn("a/m", Limitation::NoImages, at(now, 1_000_000)));
        let again = Learned::new(Some(dir.path()), now);
        assert!(again.limitations("a/m", at(now, 1_000_100)).has(Limitation::NoImages));
        assert!(again.limitations("b/m", at(now, 1_000_100)).is_empty());
        assert!(again.limitations("a/m", at(now, 1_000_000 + LIFE.as_secs())).is_empty());
    }

    #[test]
    fn one_endpoint_or_all_are_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let learned = Learned::new(Some(dir.path()), now);
        for target in ["a/m", "a/n", "ab/m"] {
            learned.learn(target, Limitation::NoImages, at(now, 10));
        }
        assert_eq!(learned.forget(Some("a"), now).expect("written"), 2);
        let again = Learned::new(Some(dir.path()), now);
        assert!(again.limitations("a/m", at(now, 10)).is_empty());
        assert!(again.limitations("ab/m", at(now, 10)).has(Limitation::NoImages));
        assert_eq!(learned.forget(None, now).expect("written"), 1);
        assert_eq!(learned.forget(None, now).expect("nothing to write"), 0);
    }

    #[test]
    fn deleting_the_file_is_forgetting_and_noise_in_it_is_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = clock::now();
        let learned = Learned::new(Some(dir.path()), now);
        learned.learn("a/m", Limitation::NoStrict, at(now, 10));
        std::fs::remove_file(dir.path().join(FILE)).expect("removed");
        assert!(learned.limitations("a/m", at(now + LOOK, 10)).is_empty());
        std::fs::write(dir.path().join(FILE), "\u{0}noise").expect("written");
        assert!(learned.limitations("a/m", at(now + 3 * LOOK, 10)).is_empty());
        let aside = std::fs::read(dir.path().join("learned.json.corrupt")).expect("kept");
        assert_eq!(aside, b"\0noise");
        assert!(learned.learn("a/m", Limitation::NoStrict, at(now + 4 * LOOK, 10)), "and it goes on");
    }
}
