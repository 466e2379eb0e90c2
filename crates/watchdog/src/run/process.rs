//! Processes as the system shows them: whether one lives, since when, how much it holds; and how one is told to end.
//!
//! A process is named by its id **and** its start time, because ids are used again.

use std::io;
use std::path::PathBuf;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// One process, and never a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// When it began: clock ticks since the machine started on Linux, Unix seconds elsewhere.
    pub started: u64,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessStats {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Open file descriptors; 0 where the system does not tell.
    pub descriptors: u64,
}

impl Identity {
    /// The process that has this id now; `None` when there is none, or when it is only waiting to be collected by its parent.
    pub fn of(pid: u32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    /// This process.
    pub fn me() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it still lives.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    ///
    /// It is gone, another process has its id now, or it is somebody else's.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        rustix::process::kill_process(self.checked()?, signal).map_err(io::Error::from)
    }

    /// Sends a signal to the group that the process leads.
    ///
    /// # Errors
    ///
    /// As for [`signal`](Self::signal).
    pub fn signal_group(self, signal: Signal) -> io::Result<()> {
        rustix::process::kill_process_group(self.checked()?, signal).map_err(io::Error::from)
    }

    fn checked(self) -> io::Result<Pid> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the process is gone");
        if !self.is_alive() {
            return Err(gone());
        }
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or_else(gone)
    }

    /// What it holds now; zero when it is gone.
    pub fn stats(self) -> ProcessStats {
        stats(self.pid)
    }

    /// The program it runs, where the system tells.
    pub fn program(self) -> Option<PathBuf> {
        program(self.pid)
    }

    /// Whether it is stopped (by SIGSTOP or a debugger).
    pub fn is_stopped(self) -> bool {
        state(self.pid).is_some_and(|state| matches!(state, 'T' | 't'))
    }
}

#[cfg(target_os = "linux")]
fn stat(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    text.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

#[cfg(target_os = "linux")]
fn state(pid: u32) -> Option<char> {
    stat(pid)?.chars().next()
}

#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<u64> {
    let rest = stat(pid)?;
    if rest.starts_with(['Z', 'X']) {
        return None;
    }
    // Field 22 of the whole line; the first of `rest` is field 3.
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn stats(pid: u32) -> ProcessStats {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    ProcessStats {
        memory: pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64),
        descriptors: descriptors as u64,
    }
}

#[cfg(target_os = "linux")]
fn program(pid: u32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // A program that was replaced on the disk keeps its old name with this suffix.
    let text = path.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// One word of `ps`, where there is no `/proc`.
#[cfg(not(target_os = "linux"))]
fn ps(pid: u32, what: &str) -> Option<String> {
    let out = std::process::Command::new("ps").args(["-o", what, "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(not(target_os = "linux"))]
fn state(pid: u32) -> Option<char> {
    ps(pid, "state=")?.chars().next()
}

#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    if state(pid)? == 'Z' {
        return None;
    }
    // Only ever compared, so the words of the date do as well as its number.
    let mut hasher = DefaultHasher::new();
    ps(pid, "lstart=")?.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(not(target_os = "linux"))]
fn stats(pid: u32) -> ProcessStats {
    let kilobytes = ps(pid, "rss=").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    ProcessStats { memory: kilobytes.saturating_mul(1024), descriptors: 0 }
}

#[cfg(not(target_os = "linux"))]
fn program(pid: u32) -> Option<PathBuf> {
    ps(pid, "comm=").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_process_lives_and_holds_something() {
        let me = Identity::me().expect("it lives");
        assert!(me.is_alive());
        assert!(me.stats().memory > 100_000, "{:?}", me.stats());
        assert!(me.program().is_some());
        assert!(!me.is_stopped());
    }

    #[test]
    fn an_id_that_was_used_again_is_another_process() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let real = Identity::of(child.id()).expect("it lives");
        let earlier = Identity { pid: real.pid, started: real.started.wrapping_sub(1) };
        assert!(!earlier.is_alive());
        assert_eq!(earlier.signal(Signal::KILL).expect_err("not ended").kind(), io::ErrorKind::NotFound);
        assert!(real.is_alive(), "the later process was left alone");
        real.signal(Signal::KILL).expect("ended");
        child.wait().expect("buried");
        assert!(!real.is_alive());
    }
}
