//! Files that the watchdog shares with the proxy, and its logs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

/// What endpoints taught; written by the proxy.
pub const LEARNED_FILE: &str = "learned.json";
/// Where the proxy answers; written by the proxy, read by `latimer launch`.
pub const PROXY_FILE: &str = "proxy.json";

/// A log of bounded size: the full file becomes `.1`, that one `.2`, and the oldest goes. A disk that is full loses lines and
/// nothing else; how many is counted.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    lost_lines: u64,
}

impl RotatingLog {
    /// The size at which a file is full, in bytes.
    const FULL: u64 = 10 << 20;
    /// Files kept besides the one that is written.
    const KEPT: u32 = 4;

    /// A log at this path; what is there already stays.
    pub fn open(path: PathBuf) -> Self {
        let file = latimer_files::append(&path).ok();
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        Self { path, file, size, lost_lines: 0 }
    }

    /// Appends a line.
    pub fn line(&mut self, line: &str) {
        let bytes = line.len() as u64 + 1;
        if self.size + bytes > Self::FULL {
            self.rotate();
        }
        let written = self.file.as_mut().is_some_and(|file| {
            let mut whole = Vec::with_capacity(line.len() + 1);
            whole.extend_from_slice(line.as_bytes());
            whole.push(b'\n');
            file.write_all(&whole).is_ok()
        });
        if written {
            self.size += bytes;
        } else {
            self.lost_lines += 1;
        }
    }

    /// Lines that could not be written.
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..Self::KEPT).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = fs::rename(&self.path, numbered(1));
        self.file = latimer_files::append(&self.path).ok();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_turned_over_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = RotatingLog::open(dir.path().join("proxy.log"));
        let line = "x".repeat(1 << 20);
        for _ in 0..70 {
            log.line(&line);
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["proxy.log", "proxy.log.1", "proxy.log.2", "proxy.log.3", "proxy.log.4"]);
        let sizes =
            fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("an entry").metadata());
        assert!(sizes.into_iter().all(|metadata| metadata.expect("sized").len() <= RotatingLog::FULL));
        assert_eq!(log.lost_lines(), 0);
        let mut nowhere = RotatingLog::open(dir.path().join("none/proxy.log"));
        nowhere.line("x");
        assert_eq!(nowhere.lost_lines(), 1);
    }
}
