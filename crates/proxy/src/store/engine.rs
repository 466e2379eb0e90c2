//! What a store does, whichever database it keeps things in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use latimer_protocol::status::{TurnPage, TurnReport, UsageLine, UsageReport};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::chain::StoredConversation;
use super::database_error::DatabaseError;
use super::reader::Window;
use super::rows::{GroupBy, UsageRow};
use super::turn_rows::TurnQuery;
use crate::clockwork::job::JobWork;

/// An answer that is looked for.
pub type FoundAnswer<'s> = Pin<Box<dyn Future<Output = Option<Arc<StoredConversation>>> + Send + 's>>;

/// What a store does. [`tests`](super) hold for every engine.
///
/// What is written never waits for the database, and a reading function blocks its thread.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Adds a row.
    fn record(&self, row: UsageRow);

    /// Keeps an answer.
    fn keep(&self, id: &str, stored: StoredConversation) -> Receipt;

    /// An answer that was kept, unless it is too old.
    fn response<'s>(&'s self, id: &'s str, now_unix: u64) -> FoundAnswer<'s>;

    /// Forgets an answer.
    fn delete(&self, id: &str) -> Receipt;

    /// Whether rows are kept over a restart.
    fn keeps_rows(&self) -> bool;

    /// A page of turns that are over.
    ///
    /// # Errors
    /// The database cannot be read.
    fn page(&self, wanted: &TurnQuery) -> Result<TurnPage, StoreError>;

    /// Everything that is kept of a turn.
    ///
    /// # Errors
    /// The database cannot be read.
    fn turn(&self, id: &str) -> Result<Option<TurnReport>, StoreError>;

    /// How much was used, by group.
    ///
    /// # Errors
    /// The database cannot be read.
    fn usage(&self, by: GroupBy, window: &Window, now: Instant) -> Result<UsageReport, StoreError>;

    /// The same of everything together.
    ///
    /// # Errors
    /// The database cannot be read.
    fn total(&self, window: &Window, now: Instant) -> Result<UsageLine, StoreError>;

    /// Rows that wait to be written.
    fn waiting_rows(&self) -> WaitingRows;

    /// Rows and answers that will never be written.
    fn lost_rows(&self) -> u64;

    /// Waits until everything before this is written, some seconds at most.
    fn flush(&self);

    /// How often this is to be cleaned up. Nothing does it but [`Engine::clean_up`].
    fn clean_up_period(&self, what: CleanUp) -> Duration;

    /// Deletes what has had its time.
    fn clean_up(&self, what: CleanUp) -> JobWork;
}

/// What a store deletes from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanUp {
    /// Answers that nobody can go on with any more.
    Answers,
    /// Reports, and rows, that are too old or too many.
    Reports,
}

/// Rows on their way to where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitingRows {
    /// How many.
    pub count: usize,
    /// When the turn of the oldest ended, in Unix seconds.
    pub oldest_at: Option<u64>,
}

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What SQLite says.
    #[error("{0}")]
    File(#[from] rusqlite::Error),
    /// What the shared database says.
    #[error("{0}")]
    Database(#[from] DatabaseError),
}

/// Done once what was kept or forgotten is so for everybody who shares the store; also when that takes too long.
#[derive(Debug)]
pub struct Receipt(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    done: oneshot::Receiver<()>,
    /// The longest that is waited; none where nothing tells the time.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Receipt {
    /// Nobody has to wait.
    pub fn at_once() -> Self {
        Self(None)
    }

    /// Done when the sender is used or dropped, and after this time at the latest.
    pub(super) fn by(done: oneshot::Receiver<()>, limit: Duration) -> Self {
        let limit = tokio::runtime::Handle::try_current().ok().map(|_| Box::pin(tokio::time::sleep(limit)));
        Self(Some(Waiting { done, limit }))
    }
}

impl Future for Receipt {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.0 else { return Poll::Ready(()) };
        let is_over = Pin::new(&mut waiting.done).poll(cx).is_ready()
            || waiting.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}
