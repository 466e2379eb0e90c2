//! One `codex exec` while it runs: its input written, both outputs drained, its end turned into a last line. Whoever answers the client
//! pulls it; there is no task.

use std::future::Future as _;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Sleep, sleep};

use super::request::ANSWER;
use crate::agents::admission::Place;
use crate::agents::child::{AgentChild, Exit, Pipes, Tail};
use crate::agents::place::TurnFolder;
use crate::agents::settings::AgentLimits;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// After the end of the process, how long its last lines may take. Only a grandchild that holds the pipe takes it.
const LAST_LINES: Duration = Duration::from_millis(300);
/// The longest file of a last message.
const MAX_ANSWER: u64 = 16 << 20;

/// A process that was started for one turn.
pub(super) struct ExecProcess {
    child: AgentChild,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stdin: Option<ChildStdin>,
    endpoint: String,
}

/// The lines of one process.
pub(super) struct ExecLines {
    process: ExecProcess,
    /// What of the prompt is not written.
    prompt: Bytes,
    folder: TurnFolder,
    limits: AgentLimits,
    timer: Pin<Box<Sleep>>,
    tail: Tail,
    state: ExecState,
    /// Given back when the turn is over.
    _place: Place,
}

enum ExecState {
    /// It runs.
    Running,
    /// It is gone; its last lines may still come.
    Ended(Exit, Pin<Box<Sleep>>),
    /// Everything was handed out.
    Over,
}

impl ExecProcess {
    pub(super) fn new(child: AgentChild, pipes: Pipes, endpoint: &str) -> Self {
        let Pipes { stdin, stdout, stderr } = pipes;
        let endpoint = endpoint.to_owned();
        Self { child, stdout: Some(stdout), stderr: Some(stderr), stdin: Some(stdin), endpoint }
    }

    /// Its lines, with the prompt on their way to it.
    pub(super) fn lines(
        self,
        prompt: String,
        folder: TurnFolder,
        limits: AgentLimits,
        place: Place,
    ) -> ExecLines {
        ExecLines {
            process: self,
            prompt: prompt.into(),
            folder,
            timer: Box::pin(sleep(limits.turn)),
            limits,
            tail: Tail::default(),
            state: ExecState::Running,
            _place: place,
        }
    }
}

impl ExecLines {
    /// Writes on at the prompt; a process that does not want it is told of by its end.
    fn poll_prompt(&mut self, cx: &mut Context<'_>) {
        while let Some(stdin) = &mut self.process.stdin {
            if self.prompt.is_empty() {
                // Codex reads until its input is closed.
                self.process.stdin = None;
                return;
            }
            match Pin::new(stdin).poll_write(cx, &self.prompt) {
                Poll::Ready(Ok(written @ 1..)) => drop(self.prompt.split_to(written)),
                Poll::Ready(_) => self.process.stdin = None,
                Poll::Pending => return,
            }
        }
    }

    fn poll_stderr(&mut self, cx: &mut Context<'_>) {
        while let Some(stderr) = &mut self.process.stderr {
            match poll_chunk(stderr, cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.tail.push(&bytes),
                Poll::Ready(_) => self.process.stderr = None,
                Poll::Pending => return,
            }
        }
    }

    /// How it ended, in a line for the reader.
    fn last_line(&self, exit: Exit) -> Bytes {
        let answer = self.answer().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let line = json!({
            "type": "latimer/exit",
            "exit": exit.words(),
            "success": exit.code == Some(0),
            "message": self.tail.words(),
            "answer": answer,
        });
        // Codex's last line may lack its end.
        format!("\n{line}\n").into()
    }

    /// What the file of the last message holds; its mode is what Codex made it.
    fn answer(&self) -> Option<Vec<u8>> {
        let (file, _) = latimer_files::open_as_it_is(&self.folder.path.join(ANSWER)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_ANSWER).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn timeout(&self) -> Failure {
        let (endpoint, turn) = (&self.process.endpoint, self.limits.turn);
        let message = format!(
            "{endpoint}: the turn took longer than {turn:?} and was ended (setting `agent.limits.turn`)"
        );
        Failure::new(FailureKind::Timeout, message)
    }
}

impl Stream for ExecLines {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if matches!(this.state, ExecState::Over) {
            return Poll::Ready(None);
        }
        this.poll_prompt(cx);
        this.poll_stderr(cx);
        if let Some(stdout) = &mut this.process.stdout {
            match poll_chunk(stdout, cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => return Poll::Ready(Some(Ok(bytes))),
                Poll::Ready(_) => this.process.stdout = None,
                Poll::Pending => {}
            }
        }
        if matches!(this.state, ExecState::Running) {
            let exit = {
                let wait = std::pin::pin!(this.process.child.wait());
                wait.poll(cx)
            };
            if let Poll::Ready(exit) = exit {
                this.poll_stderr(cx);
                this.state = ExecState::Ended(exit, Box::pin(sleep(LAST_LINES)));
            }
        }
        if let ExecState::Ended(exit, last_lines) = &mut this.state {
            let exit = *exit;
            if this.process.stdout.is_some() || this.process.stderr.is_some() {
                ready!(last_lines.as_mut().poll(cx));
            }
            let line = this.last_line(exit);
            this.state = ExecState::Over;
            return Poll::Ready(Some(Ok(line)));
        }
        ready!(this.timer.as_mut().poll(cx));
        this.state = ExecState::Over;
        Poll::Ready(Some(Err(this.timeout())))
    }
}

/// The next bytes of a pipe; none at its end.
fn poll_chunk(pipe: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut bytes = [MaybeUninit::uninit(); CHUNK];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(pipe).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
}
