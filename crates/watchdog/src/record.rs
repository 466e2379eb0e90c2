//! What outlives the watchdog as a file: JSON with a version, read and written as a whole. A broken one is set aside, never deleted.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::diagnose::budget::Ledger;
use crate::incidents::{Incident, Incidents};
use crate::time::Time;

/// The version that is written.
const VERSION: u64 = 1;
/// A larger file was not written by us.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What outlives the watchdog: the incidents, and what asking a model has cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// What was seen before, and what helped.
    pub incidents: Incidents,
    /// Calls and cost of tier 3.
    pub ledger: Ledger,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct RecordDocument<Entries> {
    version: u64,
    #[serde(default)]
    next_id: u64,
    #[serde(default)]
    ledger: Ledger,
    incidents: Entries,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no such document.
    #[error("it is not a store of incidents: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("it has version {0}, and this program knows version 1")]
    Version(u64),
}

impl Record {
    /// A number that grows with every change; the file is behind when it is not the one that was saved.
    pub fn changes(&self) -> u64 {
        self.incidents.changes().wrapping_add(self.ledger.calls)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = RecordDocument {
            version: VERSION,
            next_id: self.incidents.last_id(),
            ledger: self.ledger.clone(),
            incidents: self.incidents.all(),
        };
        // Maps with fixed keys and numbers cannot fail; an empty file would be read as broken and set aside.
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// They are no store, or one of a newer version. Surplus entries are dropped, the least recently used first.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        // The version first: what a newer one holds may not be readable.
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let document: RecordDocument<Vec<Incident>> = serde_json::from_slice(bytes)?;
        let mut ledger = document.ledger;
        ledger.mend();
        Ok(Self { incidents: Incidents::restore(document.incidents, document.next_id), ledger })
    }

    /// Replaces the file with this record: beside first, then renamed, mode 0600.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; the old file stands then.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        latimer_files::write(path, &self.to_bytes())
    }
}

/// What was found in the place of the file.
#[derive(Debug)]
pub struct LoadedRecord {
    /// What it held; empty when there was none, or a broken one.
    pub record: Record,
    /// Why it is not used, in one sentence for a person.
    pub problem: Option<String>,
    /// Where a broken one was put.
    pub aside: Option<PathBuf>,
}

/// Reads the file. A broken one is set aside as `*.corrupt-<unix seconds>` and the store begins afresh; nothing is deleted.
pub fn load(path: &Path, now: Time) -> LoadedRecord {
    let fresh = |problem, aside| LoadedRecord { record: Record::default(), problem, aside };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fresh(None, None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return set_aside(path, now, &error),
        // A disk that fails now may be read later: the file stays where it is.
        Err(error) => return fresh(Some(format!("`{}` could not be read: {error}", path.display())), None),
    };
    match Record::from_bytes(&bytes) {
        Ok(record) => LoadedRecord { record, problem: None, aside: None },
        Err(broken) => set_aside(path, now, &broken),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    latimer_files::read(path, MAX_FILE_BYTES)
}

fn set_aside(path: &Path, now: Time, why: &dyn std::fmt::Display) -> LoadedRecord {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".corrupt-{}", now.as_secs()));
    let aside = path.with_file_name(name);
    let begin = format!("`{}` is broken ({why})", path.display());
    let (problem, aside) = match std::fs::rename(path, &aside) {
        Ok(()) => {
            (format!("{begin}; it was set aside as `{}`, and a new one begins", aside.display()), Some(aside))
        }
        Err(error) => (format!("{begin} and could not be set aside: {error}"), None),
    };
    LoadedRecord { record: Record::default(), problem: Some(problem), aside }
}

#[cfg(test)]
mod tests {
    use crate::incidents::MAX_INCIDENTS;
    use std::os::unix::fs::PermissionsExt as _;

    use latimer_protocol::status::Fault;
    use proptest::prelude::*;

    use super::*;
    use crate::action::Proposer;
    use crate::pattern::{Fact, Pattern};
    use crate::rules::Remedy;

    fn record() -> Record {
        let mut record = Record::default();
        for (number, fault) in Fault::all().enumerate() {
            let pattern = Pattern::new(fault).with(Fact::Endpoint, "kimi").with(Fact::Status, "5xx");
            let at = Time::from_secs(1_700_000_000 + number as u64);
            record.incidents.seen(&pattern, at);
            record.incidents.tried(&pattern, Remedy::RetryNow, Proposer::Rule, number % 2 == 0, at);
        }
        record.ledger.record_question(Time::from_secs(1_700_000_000));
        record.ledger.answered(800, 100, Some(420));
        record
    }

    fn same(one: &Record, two: &Record) {
        assert_eq!(one.incidents.all(), two.incidents.all());
        assert_eq!(one.ledger, two.ledger);
    }

    #[test]
    fn a_record_survives_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("incidents.json");
        let record = record();
        record.save(&path).expect("saved");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let loaded = load(&path, Time::ZERO);
        assert_eq!(loaded.problem, None);
        same(&loaded.record, &record);
        let again = Record::from_bytes(&record.to_bytes()).expect("the same");
        assert_eq!(again.incidents.last_id(), record.incidents.last_id(), "numbers are not used twice");
    }

    #[test]
    fn a_broken_file_is_set_aside_and_said() {
        let good = record().to_bytes();
        let cases: [&[u8]; 6] = [
            b"",
            b"\0\0\0\0",
            b"[]",
            b"{\"version\":7,\"incidents\":\"later\"}",
            &good[..good.len() / 2],
            b"{\"version\":1,\"incidents\":[{\"id\":-1}]}",
        ];
        for bytes in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("incidents.json");
            std::fs::write(&path, bytes).expect("written");
            let loaded = load(&path, Time::from_secs(1_700_000_000));
            assert!(loaded.record.incidents.is_empty());
            let aside = folder.path().join("incidents.json.corrupt-1700000000");
            assert_eq!(loaded.aside.as_deref(), Some(aside.as_path()));
            assert!(loaded.problem.expect("said").contains("set aside"));
            assert_eq!(std::fs::read(&aside).expect("kept"), bytes);
            assert!(!path.exists());
        }
    }

    #[test]
    fn no_file_is_no_fault_and_a_folder_in_its_place_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let loaded = load(&folder.path().join("none.json"), Time::ZERO);
        assert!(loaded.problem.is_none() && loaded.record.incidents.is_empty());
        let loaded = load(folder.path(), Time::ZERO);
        assert!(loaded.problem.is_some() && loaded.aside.is_none() && folder.path().is_dir());
    }

    #[test]
    fn too_many_entries_are_cut_to_the_last_used() {
        let entry = |id: u64| {
            serde_json::json!({"id": id, "fault": "B2", "facts": {"endpoint": format!("e{id}")}, "seen": 1, "first": 0,
                "last": 0, "used": id})
        };
        let entries: Vec<_> = (1..=MAX_INCIDENTS as u64 + 20).map(entry).collect();
        let bytes =
            serde_json::to_vec(&serde_json::json!({"version": 1, "incidents": entries})).expect("JSON");
        let record = Record::from_bytes(&bytes).expect("a store");
        assert_eq!(record.incidents.len(), MAX_INCIDENTS);
        assert!(record.incidents.by_id(20).is_none() && record.incidents.by_id(21).is_some());
    }

    proptest! {
        /// Bytes of any kind are a store or an error, and what is a store stays one.
        #[test]
        fn any_bytes_are_read_without_a_panic(cut in 0usize..4000, at in 0usize..4000, byte in any::<u8>()) {
            let mut bytes = record().to_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(record) = Record::from_bytes(&bytes) {
                let again = Record::from_bytes(&record.to_bytes()).expect("what was written is read");
                same(&again, &record);
            }
        }
    }
}
