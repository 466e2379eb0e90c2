//! What is kept on disk: how much was used ([`usage`]), and answers that a later request may go on with ([`chain`]).
//!
//! One SQLite file, one thread that writes, one bounded queue before it. Nothing here ever stands in the way of a stream: when the
//! queue is full, rows are counted as lost and said so; when the file cannot be used, the thread says so and keeps nothing.

pub mod chain;
mod database;
pub mod reader;
mod rows;
mod sums;
#[cfg(test)]
mod tests;
pub mod turn_rows;
pub mod usage;
pub mod warn;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use self::chain::{Place, RecentConversations, StoredConversation};
use self::reader::{Pending, Reader};
use self::rows::UsageRow;
use self::writer::Writer;
use crate::sync::lock;

/// The file in the state directory.
pub const FILE: &str = "latimer.db";
/// Jobs that may wait.
const QUEUE: usize = 4096;
/// Bytes of answers that may wait. One that does not fit is at hand at most, and gone after a restart.
const BYTES: usize = 64 << 20;
/// The longest wait for the last rows when the process stops.
const LAST: Duration = Duration::from_secs(5);
/// The longest wait for an answer that is asked for while others are being written.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);

/// A cheap handle on the store.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: SyncSender<Job>,
    path: Option<PathBuf>,
    pending: Arc<Pending>,
    reader: Arc<Reader>,
    recent: Arc<Mutex<RecentConversations>>,
    count: Arc<QueueCounters>,
}

/// What is in the queue, and what never came out of it.
#[derive(Debug, Default)]
struct QueueCounters {
    /// Bytes of answers that wait.
    waiting: AtomicUsize,
    /// Answers to be kept or deleted that the file does not show yet.
    pending: AtomicUsize,
    /// Jobs that were given up.
    lost_rows: AtomicU64,
}

/// What the writing thread does.
enum Job {
    Usage(Arc<UsageRow>),
    Keep { id: String, stored: Arc<StoredConversation> },
    Delete { id: String },
    Find { id: String, oldest: u64, reply: oneshot::Sender<Option<StoredConversation>> },
    Flush(SyncSender<()>),
}

impl Store {
    /// The store of this state directory. The file is opened by the thread, so that no start waits for it; without a directory
    /// everything lives in memory.
    pub fn open(dir: Option<&Path>) -> Self {
        let (jobs, queue) = sync_channel(QUEUE);
        let path = dir.map(|dir| dir.join(FILE));
        let count = Arc::<QueueCounters>::default();
        let place = if dir.is_some() { Place::File } else { Place::Nowhere };
        let recent = Arc::new(Mutex::new(RecentConversations::new(place)));
        let pending = Arc::<Pending>::default();
        let reader = Arc::new(Reader::new(path.clone(), Arc::clone(&pending)));
        let writer = Writer::new(path.clone(), Arc::clone(&count), Arc::clone(&recent), Arc::clone(&pending));
        let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.work(&queue));
        if let Err(error) = spawned {
            tracing::warn!(event = "store.unavailable", error = %error);
        }
        Self { jobs, path, pending, reader, recent, count }
    }

    /// Adds a row. Never waits.
    pub fn record(&self, row: UsageRow) {
        let row = Arc::new(row);
        // Under the lock, so that the list has the order of the queue.
        let mut rows = lock(&self.pending.rows);
        if self.send(Job::Usage(Arc::clone(&row))) {
            rows.push_back(row);
        }
    }

    /// Reads what is kept.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// Keeps an answer with everything before it: it can be gone on with at once, and after a restart.
    pub fn keep_response(&self, id: &str, items: Vec<u8>, response: Vec<u8>, now_unix: u64) {
        let stored = Arc::new(StoredConversation { items, response, at: now_unix });
        self.recent().keep(id, &stored, now_unix);
        let size = stored.bytes();
        if self.count.waiting.fetch_add(size, Ordering::Relaxed).saturating_add(size) > BYTES.max(size) {
            self.count.waiting.fetch_sub(size, Ordering::Relaxed);
            return self.lose();
        }
        if !self.send_pending(Job::Keep { id: id.to_owned(), stored }) {
            self.count.waiting.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// An answer that was kept, unless it is too old.
    pub async fn response(&self, id: &str, now_unix: u64) -> Option<Arc<StoredConversation>> {
        if let Some(stored) = self.recent().find(id, now_unix) {
            return Some(stored);
        }
        let (id, oldest) = (id.to_owned(), chain::oldest(now_unix));
        if self.count.pending.load(Ordering::Relaxed) > 0 {
            // In its place behind what is not written yet. A file that somebody locked is not waited for.
            let (reply, found) = oneshot::channel();
            self.send(Job::Find { id, oldest, reply });
            return tokio::time::timeout(FIND_TIMEOUT, found).await.ok()?.ok().flatten().map(Arc::new);
        }
        let path = self.path.clone()?;
        let found = tokio::task::spawn_blocking(move || database::find(&path, &id, oldest)).await;
        found.ok().flatten().map(Arc::new)
    }

    /// Forgets an answer.
    pub fn delete_response(&self, id: &str) {
        self.recent().delete(id);
        self.send_pending(Job::Delete { id: id.to_owned() });
    }

    /// Rows and answers that were not written: too many waited, or the file could not be used.
    pub fn lost_rows(&self) -> u64 {
        self.count.lost_rows.load(Ordering::Relaxed)
    }

    /// Waits until everything before this is written, a few seconds at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.jobs.send(Job::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(LAST);
        }
    }

    /// True if the job waits now.
    fn send(&self, job: Job) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lose();
                false
            }
            // No thread could be started, which was said then.
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    fn send_pending(&self, job: Job) -> bool {
        self.count.pending.fetch_add(1, Ordering::Relaxed);
        let waits = self.send(job);
        if !waits {
            self.count.pending.fetch_sub(1, Ordering::Relaxed);
        }
        waits
    }

    fn lose(&self) {
        if self.count.lost_rows.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(event = "store.full", note = "rows are lost until the disk is faster again");
        }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, RecentConversations> {
        lock(&self.recent)
    }
}
