//! Processes as the system shows them: who lives since when, what mark is in whose environment, and how one is told to end.
//!
//! A process is named by its id **and** its start time, because ids are used again. Where there is no `/proc`, nothing is found.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::environment::MARK;

/// One process, and never a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: u32,
    /// When it began, in clock ticks since the machine started; 0 where the system does not tell.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now; `None` where there is none, or only what is left to be collected.
    pub fn of(pid: u32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    /// This process.
    pub fn me() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// Whether it still lives.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    /// It is gone, or somebody else's.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        kill_process(self.checked()?, signal).map_err(io::Error::from)
    }

    /// Sends a signal to the group that it leads. A leader that is gone may have left members: the group is asked for, not the leader.
    ///
    /// # Errors
    /// Nobody is left in it, or it is somebody else's.
    pub fn signal_group(self, signal: Signal) -> io::Result<()> {
        let raw = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = raw.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        kill_process_group(pid, signal).map_err(io::Error::from)
    }

    fn checked(self) -> io::Result<Pid> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the process is gone");
        if self.started != 0 && !self.is_alive() {
            return Err(gone());
        }
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or_else(gone)
    }

    /// The name of its program as the system cuts it.
    pub fn name(self) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?;
        Some(text.trim_end().to_owned())
    }
}

fn started(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let (_, rest) = text.rsplit_once(") ")?;
    if rest.starts_with(['Z', 'X']) {
        return None;
    }
    // Field 22 of the whole line; the first of `rest` is field 3.
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Every process whose mark this is true for, but this one.
pub fn marked(is_meant: impl Fn(&str) -> bool) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let me = std::process::id();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != me)
        .filter(|pid| mark_of(*pid).is_some_and(|mark| is_meant(&mark)))
        .filter_map(ProcessId::of)
        .collect()
}

fn mark_of(pid: u32) -> Option<String> {
    // Only the environments of this user's processes can be read.
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let start = format!("{MARK}=");
    let entry = bytes.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(start.as_bytes()))?;
    Some(String::from_utf8_lossy(entry).into_owned())
}

/// Ends every process whose mark this is true for; how many there were. Asked again a few times, since a process may just have begun
/// another one.
pub fn sweep(is_meant: impl Fn(&str) -> bool) -> usize {
    const ROUNDS: usize = 5;
    /// A process that was killed is seen for a moment more.
    const PAUSE: Duration = Duration::from_millis(2);
    let mut ended = HashSet::new();
    for _ in 0..ROUNDS {
        let found = marked(&is_meant);
        if found.is_empty() {
            break;
        }
        ended.extend(found.into_iter().filter(|process| process.signal(Signal::KILL).is_ok()));
        std::thread::sleep(PAUSE);
    }
    ended.len()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_in_a_session_of_its_own_is_found_by_its_mark_and_ended() {
        let mark = format!("test-{}", std::process::id());
        // `setsid` leaves the group: no signal to it would arrive.
        let mut leader = Command::new("/bin/sh")
            .args(["-c", "setsid sh -c 'echo left; exec sleep 600' & wait"])
            .env(MARK, &mark)
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a shell");
        // A child that is merely forked is still in the group.
        let mut line = String::new();
        BufReader::new(leader.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "left\n");
        assert_eq!(marked(|found| found == mark).len(), 2, "both are there");
        let deadline = Instant::now() + Duration::from_secs(120);
        let id = ProcessId::of(leader.id()).expect("alive");
        assert!(id.is_alive());
        id.signal_group(Signal::KILL).expect("the group is there");
        leader.wait().expect("ended");
        assert!(!id.is_alive());
        assert!(ProcessId { started: id.started + 1, ..id }.signal(Signal::KILL).is_err());
        assert_eq!(sweep(|found| found == mark), 1, "the one that had left the group");
        while !marked(|found| found == mark).is_empty() {
            assert!(Instant::now() < deadline, "it is gone");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
