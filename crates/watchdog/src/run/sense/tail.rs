//! The ends of other people's logs: new lines only, each looked at once for a signature, none kept.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latimer_protocol::status::Fault;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::super::registry::{Registry, Role};
use crate::signal::{Foreign, Signal};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// What is read of one file at once; of more than that only the end.
const MOST: u64 = 256 * 1024;

/// Looks for ever, while a launched client lives: without one, the logs are not our affair.
pub async fn watch(
    registry: Registry,
    logs: Vec<(String, PathBuf)>,
    signatures: fn(&str) -> Option<Fault>,
    signals: mpsc::Sender<Signal>,
) {
    let mut tails: Vec<(String, Tail)> =
        logs.into_iter().map(|(source, path)| (source, Tail::from_now(path))).collect();
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let is_ours = !registry.living(Role::Client).is_empty();
        for (source, tail) in &mut tails {
            let text = tail.read();
            if !is_ours {
                continue;
            }
            for fault in text.lines().filter_map(signatures) {
                if signals.send(Signal::Foreign(Foreign { fault, source: source.clone() })).await.is_err() {
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
}

impl Tail {
    /// A tail that begins at the present end of the file.
    fn from_now(path: PathBuf) -> Self {
        let (inode, offset) =
            std::fs::metadata(&path).map_or((0, 0), |metadata| (metadata.ino(), metadata.len()));
        Self { path, inode, offset }
    }

    /// The whole lines that came since; empty when there are none or the file cannot be read.
    fn read(&mut self) -> String {
        let Some((inode, length)) = version(&self.path) else { return String::new() };
        if inode != self.inode || length < self.offset {
            // A new file in its place, or the same one emptied.
            self.inode = inode;
            self.offset = 0;
        }
        if length == self.offset {
            return String::new();
        }
        let from = self.offset.max(length.saturating_sub(MOST));
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(MOST).read_to_end(&mut bytes)
        });
        if read.is_err() {
            return String::new();
        }
        // A line that is still being written is read the next time, unless it fills everything.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole = if whole == 0 && bytes.len() as u64 == MOST { bytes.len() } else { whole };
        bytes.truncate(whole);
        self.offset = from + whole as u64;
        String::from_utf8_lossy(&bytes).into_owned()
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
    fn only_new_whole_lines_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("codex.log");
        std::fs::write(&path, "old\n").expect("written");
        let mut tail = Tail::from_now(path.clone());
        assert_eq!(tail.read(), "");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("open");
        write!(file, "new\nhal").expect("written");
        assert_eq!(tail.read(), "new\n");
        writeln!(file, "f").expect("written");
        assert_eq!(tail.read(), "half\n");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(tail.read(), "");
        std::fs::write(&path, "another file\n").expect("written");
        assert_eq!(tail.read(), "another file\n");
        let long = "x".repeat(usize::try_from(MOST).expect("small") + 10);
        std::fs::write(&path, format!("{long}\nlast\n")).expect("written");
        assert!(tail.read().ends_with("\nlast\n"), "of a flood, the end");
    }
}
