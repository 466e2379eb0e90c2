//! A process that is spoken to in lines, both ways, as long as it lives: one task reads and writes it, and ends with it.
//!
//! What the lines mean is a [`LineProtocol`], which is pure. Death is seen at once and told to it; a process that nobody wants any more has
//! its input closed, and is ended with all that it started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use latimer_protocol::failure::{Failure, FailureKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::body::MAX_LINE;
use super::child::{self, AgentChild, Pipes, Program, Tail};
use crate::clock;
use crate::sync::lock;

/// How often limits are looked at that no line ends.
const TICK: Duration = Duration::from_secs(1);
/// Bytes read at once.
const CHUNK: usize = 32 * 1024;
/// How long the last lines of a process that is gone may take. Only a grandchild that holds the pipe takes it.
const LAST_LINES: Duration = Duration::from_millis(200);
/// How long a process that closed its output may take to end.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// How long the last words to a process may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Counts processes; 0 is none of them.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// What lines mean. Pure: no clock, no IO.
pub trait LineProtocol: Send + 'static {
    /// Takes a line, with its line end.
    fn line(&mut self, line: Bytes, now: Instant);
    /// The next line to be written.
    fn next_out(&mut self) -> Option<Bytes>;
    /// Time has passed.
    ///
    /// # Errors
    /// The process is to be ended, for this reason.
    fn tick(&mut self, now: Instant) -> Result<(), Failure>;
    /// The process is gone, or is to be: whoever waits for something is told at once. The first reason counts.
    fn end(&mut self, failure: &Failure);
    /// Why nothing can be asked any more.
    fn ended(&self) -> Option<&Failure>;
    /// Since when nothing was asked; `None` while something is under way.
    fn idle_since(&self) -> Option<Instant>;
}

/// A process that is asked. Dropping the last handle ends it.
pub struct LineProcess<P: LineProtocol> {
    shared: Arc<Shared<P>>,
    /// Which process it is, for people.
    pub pid: u32,
    /// Which process it is, and never a later one with the same id.
    pub serial: u64,
}

struct Shared<P> {
    endpoint: String,
    protocol: Mutex<P>,
    /// There is something to write.
    changed: Notify,
    /// The process is closed after so long without a question.
    idle_close: Option<Duration>,
    /// The process is to be ended.
    closing: watch::Sender<bool>,
    /// It is gone.
    gone: watch::Sender<bool>,
}

impl<P: LineProtocol> Drop for LineProcess<P> {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

impl<P: LineProtocol> LineProcess<P> {
    /// Starts a process. With a time it is closed when nothing was asked for so long.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: Program<'_>,
        protocol: P,
        endpoint: &str,
        idle_close: Option<Duration>,
    ) -> Result<Self, Failure> {
        let path = program.path;
        let (child, pipes) = child::start(program).map_err(|error| error.failure(endpoint, path))?;
        let shared = Arc::new(Shared {
            endpoint: endpoint.to_owned(),
            protocol: Mutex::new(protocol),
            changed: Notify::new(),
            idle_close,
            closing: watch::Sender::new(false),
            gone: watch::Sender::new(false),
        });
        let pid = child.id().pid;
        tokio::spawn(run(Arc::clone(&shared), child, pipes));
        tracing::info!(event = "agent.started", endpoint, pid);
        Ok(Self { shared, pid, serial: SERIAL.fetch_add(1, Ordering::Relaxed) })
    }

    /// Does something with the protocol's state; what it wants written is written.
    pub fn with<T>(&self, work: impl FnOnce(&mut P) -> T) -> T {
        let done = work(&mut lock(&self.shared.protocol));
        self.shared.changed.notify_one();
        done
    }

    /// Looks at the protocol's state.
    pub fn look<T>(&self, look: impl FnOnce(&P) -> T) -> T {
        look(&lock(&self.shared.protocol))
    }

    /// Whether it can be asked.
    pub fn is_alive(&self) -> bool {
        self.look(|protocol| protocol.ended().is_none())
    }

    /// It is of no use any more, for this reason: whoever waits is told, and the process is ended.
    pub fn give_up(&self, failure: &Failure) {
        lock(&self.shared.protocol).end(failure);
        self.shared.closing.send_replace(true);
    }

    /// Ends the process and waits until it is gone.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        let mut gone = self.shared.gone.subscribe();
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// A failure that begins with the endpoint's name.
    pub fn named(&self, failure: Failure) -> Failure {
        let name = &self.shared.endpoint;
        if failure.message.starts_with(name.as_str()) {
            return failure;
        }
        Failure { message: format!("{name}: {}", failure.message.as_str()).into(), ..failure }
    }
}

/// Reads and writes a process until it is gone or nobody wants it.
async fn run<P: LineProtocol>(shared: Arc<Shared<P>>, mut child: AgentChild, pipes: Pipes) {
    let pid = child.id().pid;
    let mut tail = Tail::default();
    let failure = {
        let mut io = Io::new(pipes);
        let failure = io.serve(&shared, &mut child, &mut tail).await;
        if failure.is_none() {
            io.last_words(&mut tail).await;
        }
        failure
        // The input is closed here, which ends many programs together with their commands.
    };
    let name = &shared.endpoint;
    let failure = if let Some(failure) = failure {
        failure
    } else {
        let exit = tokio::time::timeout(LAST_BREATH, child.wait()).await;
        let how = exit
            .map_or_else(|_| "closed its output".to_owned(), |exit| format!("ended with {}", exit.words()));
        let words = tail.words().map(|words| format!(": {words}")).unwrap_or_default();
        Failure::new(FailureKind::Interrupted, format!("{name}: the agent {how}{words}"))
    };
    let is_wanted = !*shared.closing.borrow();
    lock(&shared.protocol).end(&failure);
    if is_wanted {
        tracing::warn!(event = "agent.died", endpoint = %name, pid, why = %failure.message.as_str());
    } else {
        tracing::info!(event = "agent.closed", endpoint = %name, pid);
    }
    child.stop().await;
    shared.gone.send_replace(true);
}

struct Io {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// What of the output is not a whole line.
    buffer: BytesMut,
    /// How much of it holds no line end.
    searched: usize,
    /// What is being written.
    out: Bytes,
}

impl Io {
    fn new(pipes: Pipes) -> Self {
        let Pipes { stdin, stdout, stderr } = pipes;
        let (stdin, stderr) = (Some(stdin), Some(stderr));
        Self { stdin, stdout, stderr, buffer: BytesMut::new(), searched: 0, out: Bytes::new() }
    }

    /// Works until the process is gone, or is to be ended: for this reason, where there is one.
    async fn serve<P: LineProtocol>(
        &mut self,
        shared: &Shared<P>,
        child: &mut AgentChild,
        tail: &mut Tail,
    ) -> Option<Failure> {
        let mut closing = shared.closing.subscribe();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut errors = BytesMut::new();
        loop {
            if self.out.is_empty() {
                self.out = lock(&shared.protocol).next_out().unwrap_or_default();
            }
            let has_out = !self.out.is_empty() && self.stdin.is_some();
            tokio::select! {
                () = closed(&mut closing) => {
                    self.farewell(shared).await;
                    let message = format!("{}: the agent was closed", shared.endpoint);
                    return Some(Failure::new(FailureKind::Interrupted, message));
                }
                read = self.stdout.read_buf(reserved(&mut self.buffer)) => match read {
                    Ok(1..) => if let Err(failure) = self.lines(shared) { return Some(failure) },
                    _ => return None,
                },
                written = write(&mut self.stdin, &self.out), if has_out => match written {
                    Ok(written @ 1..) => self.out.advance(written),
                    // A process that does not read is about to end.
                    _ => self.stdin = None,
                },
                () = shared.changed.notified() => {}
                read = read_some(&mut self.stderr, &mut errors) => {
                    match read {
                        Ok(1..) => tail.push(&errors),
                        _ => self.stderr = None,
                    }
                    errors.clear();
                }
                _ = child.wait() => return self.rest(shared).await,
                _ = tick.tick() => if let Some(end) = on_tick(shared) { return Some(end) },
            }
        }
    }

    /// What the process said on its error output before it ended.
    async fn last_words(&mut self, tail: &mut Tail) {
        let mut errors = BytesMut::new();
        while self.stderr.is_some() {
            let read = read_some(&mut self.stderr, &mut errors);
            let Ok(Ok(1..)) = tokio::time::timeout(LAST_LINES, read).await else { return };
            tail.push(&errors);
            errors.clear();
        }
    }

    /// Writes what is still to be said, such as that a turn is interrupted.
    async fn farewell<P: LineProtocol>(&mut self, shared: &Shared<P>) {
        let write = async {
            while let Some(stdin) = &mut self.stdin {
                if self.out.is_empty() {
                    let Some(next) = lock(&shared.protocol).next_out() else { break };
                    self.out = next;
                }
                if stdin.write_all(&self.out).await.is_err() {
                    break;
                }
                self.out.clear();
            }
        };
        let _ = tokio::time::timeout(FAREWELL, write).await;
    }

    /// What the process said before it ended.
    async fn rest<P: LineProtocol>(&mut self, shared: &Shared<P>) -> Option<Failure> {
        loop {
            let read = self.stdout.read_buf(reserved(&mut self.buffer));
            let Ok(Ok(1..)) = tokio::time::timeout(LAST_LINES, read).await else { return None };
            if let Err(failure) = self.lines(shared) {
                return Some(failure);
            }
        }
    }

    /// Hands out the whole lines that are there, as slices of what was read.
    fn lines<P: LineProtocol>(&mut self, shared: &Shared<P>) -> Result<(), Failure> {
        let now = clock::now();
        let mut protocol = lock(&shared.protocol);
        while let Some(end) = self.buffer.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            protocol.line(line, now);
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > MAX_LINE {
            let message =
                format!("{}: one line of the agent is larger than {} MB", shared.endpoint, MAX_LINE >> 20);
            return Err(Failure::new(FailureKind::TooLarge, message));
        }
        Ok(())
    }
}

fn on_tick<P: LineProtocol>(shared: &Shared<P>) -> Option<Failure> {
    let now = clock::now();
    let mut protocol = lock(&shared.protocol);
    if let Err(failure) = protocol.tick(now) {
        return Some(failure);
    }
    let idle = protocol.idle_since()?;
    if now.saturating_duration_since(idle) < shared.idle_close? {
        return None;
    }
    // In the same step: nothing is asked of it any more.
    let message = format!("{}: the idle agent was closed", shared.endpoint);
    let failure = Failure::new(FailureKind::Interrupted, message);
    protocol.end(&failure);
    shared.closing.send_replace(true);
    Some(failure)
}

/// Until somebody wants the process to be ended.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

fn reserved(buffer: &mut BytesMut) -> &mut BytesMut {
    buffer.reserve(CHUNK);
    buffer
}

async fn write(stdin: &mut Option<ChildStdin>, out: &[u8]) -> std::io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(out).await,
        None => std::future::pending().await,
    }
}

async fn read_some(stderr: &mut Option<ChildStderr>, buffer: &mut BytesMut) -> std::io::Result<usize> {
    match stderr {
        Some(stderr) => stderr.read_buf(buffer).await,
        None => std::future::pending().await,
    }
}
