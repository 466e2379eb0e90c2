//! The ends of other people's logs: what is new, looked at once for signatures, none of it kept.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latimer_protocol::status::Fault;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::super::registry::{Registry, Role};
use crate::signal::{ForeignLogMatch, Signal};
use crate::signatures::Signatures;

/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// What is read of one file at once; of more than that only the end.
const MAX_READ_BYTES: u64 = 256 * 1024;

/// Looks for ever, while a launched client lives: without one, the logs are not our affair.
pub async fn watch(registry: Registry, logs: Vec<(String, PathBuf)>, signals: mpsc::Sender<Signal>) {
    let mut tails: Vec<(String, Tail)> =
        logs.into_iter().map(|(source, path)| (source, Tail::from_now(path))).collect();
    let mut clock = tokio::time::interval(POLL_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let is_ours = !registry.living(Role::Client).is_empty();
        for (source, tail) in &mut tails {
            let faults = tail.read();
            if !is_ours {
                continue;
            }
            for fault in faults {
                if signals
                    .send(Signal::Foreign(ForeignLogMatch { fault, source: source.clone() }))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

/// A file that is read from where the last reading ended.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    inode: u64,
    offset: u64,
    signatures: Signatures,
}

impl Tail {
    /// A tail that begins at the present end of the file.
    fn from_now(path: PathBuf) -> Self {
        let (inode, offset) = version(&path).unwrap_or_default();
        Self { path, inode, offset, signatures: Signatures::default() }
    }

    /// The faults in what came since; none when nothing did or the file cannot be read.
    fn read(&mut self) -> Vec<Fault> {
        let Some((inode, length)) = version(&self.path) else { return Vec::new() };
        let mut faults = Vec::new();
        if inode != self.inode || length < self.offset {
            // A new file in its place, or the same one emptied.
            (self.inode, self.offset) = (inode, 0);
            faults.extend(self.signatures.finish());
        }
        if length == self.offset {
            return faults;
        }
        let from = self.offset.max(length.saturating_sub(MAX_READ_BYTES));
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(MAX_READ_BYTES).read_to_end(&mut bytes)
        });
        if read.is_ok() {
            self.offset = from + bytes.len() as u64;
            faults.extend(self.signatures.push(&bytes));
        }
        faults
    }
}

fn version(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.ino(), metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_what_is_new_is_read_and_only_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("codex.log");
        std::fs::write(&path, "HTTP 429\n").expect("written");
        let mut tail = Tail::from_now(path.clone());
        assert_eq!(tail.read(), []);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("open");
        write!(file, "fine\nstream disconn").expect("written");
        assert_eq!(tail.read(), []);
        writeln!(file, "ected before completion").expect("written");
        assert_eq!(tail.read(), [Fault::ClientStreamLost]);
        assert_eq!(tail.read(), []);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(tail.read(), []);
        std::fs::write(&path, "HTTP 500\n").expect("written");
        assert_eq!(tail.read(), [Fault::ServerError], "another file in its place");
        let long = "x".repeat(usize::try_from(MAX_READ_BYTES).expect("small") + 10);
        std::fs::write(&path, format!("HTTP 429 {long}\nBroken pipe\n")).expect("written");
        assert_eq!(tail.read(), [Fault::ClientLeft], "of a flood, the end");
    }
}
