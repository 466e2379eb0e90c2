//! Stopping: no new turns, open ones get their time, the rest is cut.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use latimer_protocol::status::Trace;
use tokio::sync::{mpsc, watch};

use super::traces::Traces;

/// Warnings that are remembered.
const MOST_WARNINGS: usize = 20;

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Refuse new turns, give open ones their grace period.
    Drain,
    /// Another process has the same socket and serves: take no more connections, but answer what comes on those that are open,
    /// and let every turn end by itself.
    HandOver,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Business as usual.
    Serving,
    /// No new connections; those that are open are served and then closed.
    HandingOver,
    /// No new turns; open ones go on.
    Draining,
    /// Open turns end now, with a legal terminal event.
    ForceStop,
}

impl Phase {
    /// Whether a turn may begin.
    pub fn accepts_turns(self) -> bool {
        matches!(self, Self::Serving | Self::HandingOver)
    }
}

/// Ends once the next turn had better begin elsewhere: the process stops, or another one has taken over.
pub async fn leaving(mut phase: watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// Ends once no turn may begin any more.
pub async fn stopping(mut phase: watch::Receiver<Phase>) {
    // A sender that is gone means the server is gone.
    let _ = phase.wait_for(|phase| !phase.accepts_turns()).await;
}

/// Fires once the phase is [`Phase::ForceStop`].
pub struct ForceStop(Pin<Box<dyn Future<Output = ()> + Send>>, bool);

impl ForceStop {
    /// Watches the phase.
    pub fn new(mut phase: watch::Receiver<Phase>) -> Self {
        let wait = async move {
            // A sender that is gone means the server is gone: cut as well.
            let _ = phase.wait_for(|phase| *phase == Phase::ForceStop).await;
        };
        Self(Box::pin(wait), false)
    }

    /// Ready once the turn must end; stays ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.1 {
            self.1 = self.0.as_mut().poll(cx).is_ready();
        }
        if self.1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Knows when the last connection is over.
pub struct ConnectionTracker {
    guest: ConnectionGuard,
    left: mpsc::Receiver<Infallible>,
}

/// A connection is open as long as this lives.
#[derive(Clone)]
pub struct ConnectionGuard(mpsc::Sender<Infallible>);

impl ConnectionTracker {
    /// Nobody is in it.
    pub fn new() -> Self {
        let (sender, left) = mpsc::channel(1);
        Self { guest: ConnectionGuard(sender), left }
    }

    /// One more connection.
    pub fn guest(&self) -> ConnectionGuard {
        self.guest.clone()
    }

    /// How many connections are open.
    pub fn guests(&self) -> usize {
        self.guest.0.strong_count().saturating_sub(1)
    }

    /// Lets nobody in any more, and waits until the last one is out.
    pub async fn empty(self) {
        let Self { guest, mut left } = self;
        drop(guest);
        let _ = left.recv().await;
    }
}

impl Default for ConnectionTracker {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts turns.
pub struct Turns {
    begun: Instant,
    /// Milliseconds from `begun` to the end of the last turn.
    last_end: AtomicU64,
    open: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    /// What happened in the last ones.
    pub traces: Traces,
    /// What a person should know.
    warnings: Mutex<VecDeque<String>>,
}

/// One open turn; counted until it is dropped.
pub struct OpenTurn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            last_end: AtomicU64::new(0),
            open: AtomicU64::new(0),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            traces: Traces::default(),
            warnings: Mutex::default(),
        }
    }

    fn warn(&self, turn: &str, warning: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() == MOST_WARNINGS {
            warnings.pop_front();
        }
        warnings.push_back(format!("{turn}: {warning}"));
    }

    /// The last warnings, the newest last.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// When the last turn ended, since the start; zero when there was none.
    pub fn last_end(&self) -> Duration {
        Duration::from_millis(self.last_end.load(Ordering::Relaxed))
    }

    /// Begins a turn.
    pub fn begin(self: &Arc<Self>) -> OpenTurn {
        self.open.fetch_add(1, Ordering::SeqCst);
        let number = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        OpenTurn { turns: Arc::clone(self), number }
    }

    /// Turns open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::SeqCst)
    }

    /// Turns begun since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Turns that failed since the start.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl OpenTurn {
    /// A name for logs, unique in this process.
    pub fn id(&self) -> String {
        format!("t{}", self.number)
    }

    /// Remembers what happened in it.
    pub fn record(&self, trace: Trace) {
        self.turns.traces.push(trace);
    }

    /// A person should know this.
    pub fn warn(&self, warning: &str) {
        self.turns.warn(&self.id(), warning);
    }

    /// Notes how it ended.
    pub fn ended(&self, failed: bool) {
        if failed {
            self.turns.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OpenTurn {
    fn drop(&mut self) {
        let since = u64::try_from(self.turns.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turns.last_end.store(since, Ordering::Relaxed);
        self.turns.open.fetch_sub(1, Ordering::SeqCst);
    }
}
