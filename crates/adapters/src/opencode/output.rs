//! What an OpenCode server prints: its address first, and then whatever it likes.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdout};

use super::request;
use crate::agents::child::{AgentChild, Tail};

/// What a server prints: drained, whatever it says.
pub(super) struct Output {
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    /// The end of it.
    pub(super) tail: Tail,
}

impl Output {
    pub(super) fn new(stdout: ChildStdout, stderr: ChildStderr) -> Self {
        Self { stdout: BufReader::new(stdout), stderr, tail: Tail::default() }
    }

    /// Where it says that it listens; `None` when it ends before.
    pub(super) async fn address(&mut self, child: &mut AgentChild) -> Option<String> {
        let (mut line, mut errors) = (Vec::new(), [0_u8; 1024]);
        loop {
            tokio::select! {
                read = self.stdout.read_until(b'\n', &mut line) => {
                    if read.ok()? == 0 {
                        return None;
                    }
                    if let Some(url) = request::address(&String::from_utf8_lossy(&line)) {
                        return Some(url);
                    }
                    self.tail.push(&line);
                    line.clear();
                }
                read = self.stderr.read(&mut errors) => {
                    let read = read.ok().filter(|read| *read > 0)?;
                    self.tail.push(errors.get(..read).unwrap_or_default());
                }
                _ = child.wait() => return None,
            }
        }
    }

    /// Reads on and keeps the end of it. Never ready.
    pub(super) async fn drain(&mut self) {
        let (mut out, mut errors) = ([0_u8; 4096], [0_u8; 1024]);
        let (mut has_out, mut has_errors) = (true, true);
        loop {
            tokio::select! {
                read = self.stdout.read(&mut out), if has_out => has_out = matches!(read, Ok(1..)),
                read = self.stderr.read(&mut errors), if has_errors => match read {
                    Ok(read @ 1..) => self.tail.push(errors.get(..read).unwrap_or_default()),
                    _ => has_errors = false,
                },
                else => std::future::pending().await,
            }
        }
    }
}
