//! The children of all agents, as files: what a proxy that was killed left running is found and ended at the next start.
//!
//! One file for each child, made when it starts and removed when it is gone. It names the child by id, start time and program, and the
//! proxy that started it: as long as that one lives, its children are its own affair.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::processes::{ProcessId, sweep};

/// The folder of these files below that of all agents.
const FOLDER: &str = "children";
/// The longest file of a child, in bytes.
const MAX_BYTES: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct ChildRecord {
    child: ProcessId,
    /// The program's name as the system shows it.
    name: String,
    mark: String,
    /// The proxy that started it.
    proxy: ProcessId,
}

/// The file of a child that runs. Dropping it removes the file.
#[derive(Debug)]
pub struct ChildFile {
    path: PathBuf,
}

impl Drop for ChildFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes the file of a child.
///
/// # Errors
/// The folder or the file cannot be made.
pub fn register(agents: &Path, child: ProcessId, mark: &str) -> io::Result<ChildFile> {
    let folder = agents.join(FOLDER);
    latimer_files::prepare(&folder)?;
    let name = child.name().unwrap_or_default();
    let record = ChildRecord { child, name, mark: mark.to_owned(), proxy: ProcessId::me() };
    let path = folder.join(format!("{}-{}.json", child.pid, child.started));
    latimer_files::write(&path, &serde_json::to_vec(&record)?)?;
    Ok(ChildFile { path })
}

/// The children of this proxy that run under a mark that begins like this, the oldest first.
pub fn running(agents: &Path, mark: &str) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir(agents.join(FOLDER)) else { return Vec::new() };
    let me = ProcessId::me();
    let mut found: Vec<ProcessId> = entries
        .flatten()
        .filter_map(|entry| latimer_files::read(&entry.path(), MAX_BYTES).ok())
        .filter_map(|bytes| serde_json::from_slice::<ChildRecord>(&bytes).ok())
        .filter(|record| record.proxy == me && record.mark.starts_with(mark) && record.child.is_alive())
        .map(|record| record.child)
        .collect();
    found.sort_by_key(|child| (child.started, child.pid));
    found
}

/// Ends what proxies that are gone have left: the children of the files, and every process that has inherited one of their marks. How many
/// were ended.
pub fn end_leftovers(agents: &Path) -> usize {
    let Ok(entries) = fs::read_dir(agents.join(FOLDER)) else { return 0 };
    let mut ended = 0;
    let mut marks = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(bytes) = latimer_files::read(&path, MAX_BYTES) else { continue };
        let Ok(record) = serde_json::from_slice::<ChildRecord>(&bytes) else {
            let _ = fs::remove_file(&path);
            continue;
        };
        if record.proxy.is_alive() {
            continue;
        }
        let is_same = record.child.is_alive() && record.child.name().is_none_or(|name| name == record.name);
        if is_same && record.child.signal(Signal::KILL).is_ok() {
            ended += 1;
            let _ = record.child.signal_group(Signal::KILL);
        }
        marks.push(record.mark);
        let _ = fs::remove_file(&path);
    }
    if !marks.is_empty() {
        ended += sweep(|found| marks.iter().any(|mark| mark == found));
    }
    if ended > 0 {
        tracing::warn!(event = "agent.leftovers_ended", processes = ended);
    }
    ended
}
