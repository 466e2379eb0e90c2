//! The file of an endpoint's conversations: a line for each change, written at its end, and read once.
//!
//! A conversation that it has lost is told to the agent anew, so that a failing disk costs no turn: it is told once, and the file is left.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::history::HistoryKey;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// One line as read.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// What was said leads to this, since then (seconds since 1970).
    Said { key: HistoryKey, at: u64, entry: T },
    /// What was said in this conversation leads nowhere any more.
    Gone { thread: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<T> {
    /// The key as hexadecimal digits: no number of JSON is as large.
    Said(String, u64, T),
    Gone(String),
}

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None` before the first line, and for good once it could not be written.
    file: Option<File>,
    has_failed: bool,
    lines: usize,
}

impl Journal {
    /// What stands in the file; lines that cannot be read are passed over.
    pub(super) fn open<T: DeserializeOwned>(path: &Path) -> (Self, Vec<Change<T>>) {
        let bytes = latimer_files::read(path, MAX_BYTES).unwrap_or_default();
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let changes = lines.iter().filter_map(|line| match serde_json::from_slice(line).ok()? {
            Line::Said(key, at, entry) => {
                Some(Change::Said { key: HistoryKey::from_str_radix(&key, 16).ok()?, at, entry })
            }
            Line::Gone(thread) => Some(Change::Gone { thread }),
        });
        let changes = changes.collect();
        let journal = Self { path: path.to_owned(), file: None, has_failed: false, lines: lines.len() };
        (journal, changes)
    }

    /// How many lines the file has.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn said(&mut self, key: HistoryKey, at: u64, entry: &impl Serialize) {
        self.append(&Line::Said(format!("{key:x}"), at, entry));
    }

    pub(super) fn gone(&mut self, thread: &str) {
        self.append(&Line::<()>::Gone(thread.to_owned()));
    }

    fn append(&mut self, line: &impl Serialize) {
        if self.has_failed {
            return;
        }
        let written = self.open_file().and_then(|file| {
            let mut bytes = serde_json::to_vec(line)?;
            bytes.push(b'\n');
            file.write_all(&bytes)
        });
        match written {
            Ok(()) => self.lines += 1,
            Err(error) => self.fail(&error),
        }
    }

    fn open_file(&mut self) -> std::io::Result<&mut File> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                latimer_files::prepare(folder)?;
            }
            self.file = Some(latimer_files::append(&self.path)?);
        }
        self.file.as_mut().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    /// Puts these entries in the place of all lines.
    pub(super) fn rewrite<'e, T: Serialize + 'e>(
        &mut self,
        entries: impl Iterator<Item = (HistoryKey, u64, &'e T)>,
    ) {
        let mut bytes = Vec::new();
        let mut lines = 0;
        for (key, at, entry) in entries {
            if serde_json::to_writer(&mut bytes, &Line::Said(format!("{key:x}"), at, entry)).is_ok() {
                bytes.push(b'\n');
                lines += 1;
            }
        }
        self.file = None;
        match latimer_files::write(&self.path, &bytes) {
            Ok(()) => self.lines = lines,
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &std::io::Error) {
        self.file = None;
        if !std::mem::replace(&mut self.has_failed, true) {
            let path = self.path.display();
            tracing::warn!(event = "agent.threads_not_kept", path = %path, error = %error);
        }
    }
}
