//! What endpoints taught by their refusals, kept for a day in a file of their own, with the words it was taken from. A change of the
//! file, or its deletion, takes effect within a second: the file is the truth, and forgetting is deleting.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use latimer_adapters::field_rules::{FieldRule, FieldRules};
use latimer_adapters::limitation::{Limitation, Limitations};
use serde::{Deserialize, Serialize};

use crate::clock::Clocks;
use crate::config::watch::Version;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::shared::Topic;
use crate::sync::lock;

/// The file in the state directory.
pub const FILE: &str = "learned.json";
/// How long a limitation holds: providers change.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How often the file is checked for a change, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Targets that are remembered.
const MAX_TARGETS: usize = 1000;
/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The longest words that are kept, in characters.
const MAX_WORDS: usize = 300;

/// What stands in `learned.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitationsFile {
    /// `endpoint/model` to the codes of its limitations and when each was learned, in Unix seconds.
    #[serde(default)]
    #[serde(rename = "lessons")]
    pub limitations: BTreeMap<String, BTreeMap<String, u64>>,
    /// The same to the words that each was taken from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, BTreeMap<String, String>>,
    /// `endpoint/model` to fields of requests, and what is taken in each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, BTreeMap<String, LearnedField>>,
}

/// What is taken in a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedField {
    /// When it was learned, in Unix seconds.
    pub at: u64,
    /// The words it was taken from.
    #[serde(default)]
    pub words: String,
    /// What is taken.
    pub rule: FieldRule,
}

/// One thing that a target taught.
#[derive(Debug, Clone, PartialEq)]
pub enum Lesson {
    /// It cannot do something at all.
    Whole(Limitation),
    /// It takes something else in a field.
    Field {
        /// As in the body of a request.
        path: String,
        /// What it takes.
        rule: FieldRule,
    },
}

impl Lesson {
    /// What it is called: its code, or its field.
    fn told_as(&self) -> &str {
        match self {
            Self::Whole(limitation) => limitation.code(),
            Self::Field { path, .. } => path,
        }
    }
}

/// A lesson as nodes tell it each other.
#[derive(Serialize, Deserialize)]
struct ToldLesson {
    words: String,
    rule: Option<FieldRule>,
}

/// The name under which a lesson is told.
fn told_name(target: &str, code: &str) -> String {
    format!("{target}\n{code}")
}

/// One thing that an endpoint taught, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedLesson<'f> {
    /// The model, as in `endpoint/model`.
    pub model: &'f str,
    /// The code, or the path of the field.
    pub code: &'f str,
    /// What is done about it.
    pub meaning: String,
    /// The words it was taken from; empty for what an older release learned.
    pub words: &'f str,
    /// When it was learned, in Unix seconds.
    pub at: u64,
}

impl LimitationsFile {
    /// What this endpoint taught, in the order of the file.
    pub fn of_endpoint<'f>(&'f self, endpoint: &str) -> Vec<LearnedLesson<'f>> {
        let whole = self.limitations.iter().flat_map(|(target, codes)| {
            codes.iter().filter_map(move |(code, at)| {
                let words =
                    self.words.get(target).and_then(|words| words.get(code)).map_or("", String::as_str);
                let meaning = Limitation::from_code(code)?.meaning().to_owned();
                Some((target.as_str(), LearnedLesson { model: "", code, meaning, words, at: *at }))
            })
        });
        let fields = self.fields.iter().flat_map(|(target, fields)| {
            fields.iter().map(move |(path, learned)| {
                let meaning = learned.rule.meaning(path);
                let lesson =
                    LearnedLesson { model: "", code: path, meaning, words: &learned.words, at: learned.at };
                (target.as_str(), lesson)
            })
        });
        let of = |target: &'f str| target.strip_prefix(endpoint)?.strip_prefix('/');
        whole
            .chain(fields)
            .filter_map(|(target, lesson)| Some(LearnedLesson { model: of(target)?, ..lesson }))
            .collect()
    }

    /// Removes what an endpoint taught, or what all of them did: all of it, or the lesson of this code; how much that was.
    pub fn forget(&mut self, endpoint: Option<&str>, code: Option<&str>) -> usize {
        let before = self.len();
        let is_meant = |target: &str| {
            endpoint.is_none_or(|endpoint| {
                target.strip_prefix(endpoint).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let stays = |target: &str, known: &str| !is_meant(target) || code.is_some_and(|code| code != known);
        self.retain(stays);
        before - self.len()
    }

    /// Each lesson by its target, and its code or its field.
    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let whole = self
            .limitations
            .iter()
            .flat_map(|(target, known)| known.keys().map(move |code| (target.as_str(), code.as_str())));
        let fields = self
            .fields
            .iter()
            .flat_map(|(target, known)| known.keys().map(move |path| (target.as_str(), path.as_str())));
        whole.chain(fields)
    }

    fn len(&self) -> usize {
        self.limitations.values().map(BTreeMap::len).sum::<usize>()
            + self.fields.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Keeps the lessons for which this is true.
    fn retain(&mut self, stays: impl Fn(&str, &str) -> bool) {
        keep(&mut self.limitations, &stays);
        keep(&mut self.words, &stays);
        keep(&mut self.fields, &stays);
    }

    fn drop_old(&mut self, oldest: u64) {
        self.limitations.retain(|_, known| {
            known.retain(|_, learned_at| *learned_at > oldest);
            !known.is_empty()
        });
        self.fields.retain(|_, known| {
            known.retain(|_, learned| learned.at > oldest);
            !known.is_empty()
        });
        let known = &self.limitations;
        self.words.retain(|target, words| {
            words.retain(|code, _| known.get(target).is_some_and(|known| known.contains_key(code)));
            !words.is_empty()
        });
    }
}

fn keep<V>(all: &mut BTreeMap<String, BTreeMap<String, V>>, stays: impl Fn(&str, &str) -> bool) {
    all.retain(|target, known| {
        known.retain(|code, _| stays(target, code));
        !known.is_empty()
    });
}

/// The limitations in use.
#[derive(Debug)]
pub struct LimitationStore {
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
    /// Other nodes, where there are any.
    nodes: OnceLock<Arc<PostgresStore>>,
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
        Self { path, inner: Mutex::new(Inner { file, version, checked_at: now }), nodes: OnceLock::new() }
    }

    /// Everything that was learned.
    pub fn file(&self, now: Instant) -> LimitationsFile {
        self.current(now).file.clone()
    }

    /// What a target taught that still holds: what it cannot do, and what it takes in fields.
    pub fn known(&self, target: &str, at: Clocks) -> (Limitations, FieldRules) {
        let inner = self.current(at.now);
        let holds = |learned_at: u64| at.unix.saturating_sub(learned_at) < LIFETIME.as_secs();
        let codes = inner.file.limitations.get(target).into_iter().flatten();
        let whole = codes.filter(|(_, at)| holds(**at)).filter_map(|(code, _)| Limitation::from_code(code));
        let mut rules = FieldRules::default();
        for (path, learned) in inner.file.fields.get(target).into_iter().flatten() {
            if holds(learned.at) {
                rules.set(path, learned.rule.clone());
            }
        }
        (Limitations::new(whole), rules)
    }

    /// A target taught something, in these words; false when it was known already.
    pub fn learn(&self, target: &str, lesson: &Lesson, words: &str, at: Clocks) -> bool {
        let is_new = self.learn_alone(target, lesson, words, at);
        if is_new && let Some(nodes) = self.nodes.get() {
            let words: String = words.chars().take(MAX_WORDS).collect();
            let told = match lesson {
                Lesson::Whole(_) => ToldLesson { words, rule: None },
                Lesson::Field { rule, .. } => ToldLesson { words, rule: Some(rule.clone()) },
            };
            let name = told_name(target, lesson.told_as());
            nodes.tell(Topic::Lesson, &name, serde_json::to_string(&told).ok(), LIFETIME);
        }
        is_new
    }

    /// From now on, nodes tell each other what they learn, and forget together.
    pub fn share(&self, nodes: &Arc<PostgresStore>) {
        let _ = self.nodes.set(Arc::clone(nodes));
    }

    /// Takes up what another node learned, or forgot, so long ago.
    pub fn hear(&self, name: &str, value: Option<&str>, age: Duration, at: Clocks) {
        let Some((target, code)) = name.split_once('\n') else { return };
        let Some(told) = value.and_then(|value| serde_json::from_str::<ToldLesson>(value).ok()) else {
            let mut inner = self.current(at.now);
            inner.file.retain(|known_target, known| known_target != target || known != code);
            self.save(&mut inner);
            return;
        };
        let lesson = match told.rule {
            Some(rule) => Lesson::Field { path: code.to_owned(), rule },
            None => match Limitation::from_code(code) {
                Some(limitation) => Lesson::Whole(limitation),
                None => return,
            },
        };
        let learned = Clocks { unix: at.unix.saturating_sub(age.as_secs()), ..at };
        self.learn_alone(target, &lesson, &told.words, learned);
    }

    fn save(&self, inner: &mut Inner) {
        if let Some(path) = &self.path {
            if let Err(error) = write(path, &inner.file) {
                tracing::warn!(event = "learned.not_saved", error = %error);
            }
            inner.version = Some(Version::of(path));
        }
    }

    fn learn_alone(&self, target: &str, lesson: &Lesson, words: &str, at: Clocks) -> bool {
        let mut inner = self.current(at.now);
        let file = &mut inner.file;
        file.drop_old(at.unix.saturating_sub(LIFETIME.as_secs()));
        let words: String = words.chars().take(MAX_WORDS).collect();
        let is_new = match lesson {
            Lesson::Whole(limitation) => {
                make_room(&mut file.limitations, target);
                let code = limitation.code().to_owned();
                file.words.entry(target.to_owned()).or_default().insert(code.clone(), words);
                file.limitations.entry(target.to_owned()).or_default().insert(code, at.unix).is_none()
            }
            Lesson::Field { path, rule } => {
                make_room(&mut file.fields, target);
                let known = file.fields.entry(target.to_owned()).or_default();
                // What is known of the other end of a range stays true.
                let mut rules = FieldRules::default();
                if let Some(known) = known.get(path) {
                    rules.set(path, known.rule.clone());
                }
                rules.set(path, rule.clone());
                let rule = rules.get(path).unwrap_or(rule).clone();
                let is_new = known.get(path).is_none_or(|known| known.rule != rule);
                known.insert(path.clone(), LearnedField { at: at.unix, words, rule });
                is_new
            }
        };
        self.save(&mut inner);
        is_new
    }

    /// Forgets what an endpoint taught, or what all of them did: all of it, or the lesson of this code; how many lessons that were.
    /// What stood in the file before is set aside.
    ///
    /// # Errors
    /// The file cannot be written; then nothing is forgotten.
    pub fn forget(&self, endpoint: Option<&str>, code: Option<&str>, now: Instant) -> std::io::Result<usize> {
        let mut inner = self.current(now);
        let mut file = inner.file.clone();
        let gone = file.forget(endpoint, code);
        if gone > 0 {
            if let Some(path) = &self.path {
                if let Ok(bytes) = latimer_files::read(path, MAX_FILE_BYTES) {
                    let _ = latimer_files::write(&path.with_extension("json.forgotten"), &bytes);
                }
                write(path, &file)?;
                inner.version = Some(Version::of(path));
            }
            self.tell_gone(&inner.file, &file);
            inner.file = file;
        }
        Ok(gone)
    }

    /// Tells other nodes what was forgotten between two states of the file.
    fn tell_gone(&self, before: &LimitationsFile, after: &LimitationsFile) {
        let Some(nodes) = self.nodes.get() else { return };
        let left: HashSet<(&str, &str)> = after.names().collect();
        for (target, code) in before.names().filter(|name| !left.contains(name)) {
            nodes.tell(Topic::Lesson, &told_name(target, code), None, Duration::ZERO);
        }
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
                let file = read(path).unwrap_or_default();
                self.tell_gone(&inner.file, &file);
                inner.file = file;
            }
        }
        inner
    }
}

/// Room for one more target: the first one goes.
fn make_room<V>(all: &mut BTreeMap<String, V>, target: &str) {
    if all.len() >= MAX_TARGETS && !all.contains_key(target) {
        all.pop_first();
    }
}

/// Reads the file. A missing one is empty; one that cannot be read is set aside and said so.
pub fn read(path: &Path) -> Option<LimitationsFile> {
    let bytes = latimer_files::read(path, MAX_FILE_BYTES).ok()?;
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
    latimer_files::write(path, &serde_json::to_vec_pretty(file).unwrap_or_default())
}

#[cfg(test)]
mod tests;
