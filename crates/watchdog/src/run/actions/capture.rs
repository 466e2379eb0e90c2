//! What a hung process looked like, written down before it is ended: its threads, what each waits for, and its descriptors.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::super::process::Identity;

/// Such files that are kept; the oldest goes.
const MAX_CAPTURES: usize = 5;
/// Descriptors and threads that are listed.
const MAX_ENTRIES: usize = 200;

/// Writes the state of a process to a file of the state directory.
///
/// # Errors
///
/// The disk is full or read-only.
pub fn capture(process: Identity, state_dir: &Path, now_unix: u64) -> io::Result<PathBuf> {
    let path = state_dir.join(format!("hung-{now_unix}.txt"));
    latimer_files::write(&path, describe(process).as_bytes())?;
    forget_oldest(state_dir);
    Ok(path)
}

fn describe(process: Identity) -> String {
    let usage = process.stats();
    let mut text = format!(
        "process {} stopped={} memory={} descriptors={}\n",
        process.pid,
        process.is_stopped(),
        usage.memory,
        usage.descriptors
    );
    let root = PathBuf::from(format!("/proc/{}", process.pid));
    let word = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    for thread in entries(&root.join("task")) {
        let state = word(thread.join("stat"));
        let state = state.rsplit_once(") ").map_or("?", |(_, rest)| rest.get(..1).unwrap_or("?"));
        // The kernel's stack needs more rights than ours on most machines; it is empty then.
        let _ = writeln!(
            text,
            "thread {} {:?} state={state} waits={} syscall={} stack={:?}",
            thread.file_name().unwrap_or_default().to_string_lossy(),
            word(thread.join("comm")),
            word(thread.join("wchan")),
            word(thread.join("syscall")),
            word(thread.join("stack")),
        );
    }
    for descriptor in entries(&root.join("fd")) {
        let target = std::fs::read_link(&descriptor).unwrap_or_default();
        // Sockets and pipes by number; of files only that they are files, because paths are a person's affair.
        let target = target.to_string_lossy();
        let shown = if target.starts_with('/') { "file" } else { &target };
        let _ = writeln!(
            text,
            "descriptor {} {shown}",
            descriptor.file_name().unwrap_or_default().to_string_lossy()
        );
    }
    text
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(MAX_ENTRIES).collect();
    paths.sort();
    paths
}

fn forget_oldest(state_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(state_dir) else { return };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("hung-")
            .and_then(|rest| rest.strip_suffix(".txt"))
            .is_some_and(|time| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
    paths.sort();
    for old in paths.iter().rev().skip(MAX_CAPTURES) {
        let _ = std::fs::remove_file(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_descriptors_are_noted_and_old_notes_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let me = Identity::me().expect("alive");
        std::fs::write(dir.path().join("hung-notes.txt"), "a person's").expect("written");
        for second in 1_000..1_008 {
            capture(me, dir.path(), second).expect("written");
        }
        let text = std::fs::read_to_string(dir.path().join("hung-1007.txt")).expect("kept");
        if cfg!(target_os = "linux") {
            assert!(text.contains("thread ") && text.contains("descriptor 0 "), "{text}");
        }
        assert!(text.starts_with(&format!("process {} stopped=false", me.pid)), "{text}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), MAX_CAPTURES + 1);
    }
}
