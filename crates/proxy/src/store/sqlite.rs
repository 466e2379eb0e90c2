//! The store of one person: a SQLite file, one thread that writes, one bounded queue before it. When the queue is full, rows are counted
//! as lost and said so; when the file cannot be used, the thread says so and keeps nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use latimer_protocol::status::{TurnPage, TurnReport, UsageLine, UsageReport};

use super::chain::{self, Place, RecentConversations, StoredConversation};
use super::engine::{CleanUp, Engine, FoundAnswer, Receipt, StoreError, WaitingRows};
use super::queue::{Job, QUEUE, QueueCounters};
use super::reader::{Pending, Reader, Window};
use super::rows::{GroupBy, UsageRow};
use super::turn_rows::TurnQuery;
use super::writer::Writer;
use super::{FILE, database};
use crate::clockwork::job::JobWork;
use crate::sync::lock;

/// Bytes of answers that may wait. One that does not fit is at hand at most, and gone after a restart.
const BYTES: usize = 64 << 20;
/// The longest wait for the last rows when the process stops.
const LAST: Duration = Duration::from_secs(5);
/// How often answers that have had their time are deleted.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(5);
/// How often what is kept beside the rows is trimmed: its number grows while the process runs, too.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);
/// The longest wait for an answer that is asked for while others are being written.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);

/// The file, its thread and its queue.
#[derive(Debug)]
pub(super) struct FileStore {
    jobs: SyncSender<Job>,
    path: Option<PathBuf>,
    pending: Arc<Pending>,
    reader: Reader,
    recent: Arc<Mutex<RecentConversations>>,
    count: Arc<QueueCounters>,
}

impl FileStore {
    /// The store of this state directory. The file is opened by the thread, so that no start waits for it; without a directory
    /// everything lives in memory.
    pub(super) fn open(dir: Option<&Path>) -> Self {
        let (jobs, queue) = sync_channel(QUEUE);
        let path = dir.map(|dir| dir.join(FILE));
        let count = Arc::<QueueCounters>::default();
        let place = if dir.is_some() { Place::File } else { Place::Nowhere };
        let recent = Arc::new(Mutex::new(RecentConversations::new(place)));
        let pending = Arc::<Pending>::default();
        let reader = Reader::new(path.clone(), Arc::clone(&pending));
        let writer = Writer::new(path.clone(), Arc::clone(&count), Arc::clone(&recent), Arc::clone(&pending));
        let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.work(&queue));
        if let Err(error) = spawned {
            tracing::warn!(event = "store.unavailable", error = %error);
        }
        Self { jobs, path, pending, reader, recent, count }
    }

    /// Whether every row is written, or given up.
    #[cfg(test)]
    pub(super) fn waits_for_nothing(&self) -> bool {
        lock(&self.pending.rows).is_empty()
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

impl Engine for FileStore {
    fn record(&self, row: UsageRow) {
        let row = Arc::new(row);
        // Under the lock, so that the list has the order of the queue.
        let mut rows = lock(&self.pending.rows);
        if self.send(Job::Usage(Arc::clone(&row))) {
            rows.push_back(row);
        }
    }

    /// It can be gone on with at once, and after a restart: nobody waits for the file.
    fn keep(&self, id: &str, stored: StoredConversation) -> Receipt {
        let now_unix = stored.at;
        let stored = Arc::new(stored);
        self.recent().keep(id, &stored, now_unix);
        let size = stored.bytes();
        if self.count.waiting.fetch_add(size, Ordering::Relaxed).saturating_add(size) > BYTES.max(size) {
            self.count.waiting.fetch_sub(size, Ordering::Relaxed);
            self.lose();
        } else if !self.send_pending(Job::Keep { id: id.to_owned(), stored }) {
            self.count.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        Receipt::at_once()
    }

    fn response<'s>(&'s self, id: &'s str, now_unix: u64) -> FoundAnswer<'s> {
        Box::pin(async move {
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
        })
    }

    fn delete(&self, id: &str) -> Receipt {
        self.recent().delete(id);
        self.send_pending(Job::Delete { id: id.to_owned() });
        Receipt::at_once()
    }

    fn keeps_rows(&self) -> bool {
        self.path.is_some()
    }

    fn page(&self, wanted: &TurnQuery) -> Result<TurnPage, StoreError> {
        Ok(self.reader.page(wanted)?)
    }

    fn turn(&self, id: &str) -> Result<Option<TurnReport>, StoreError> {
        Ok(self.reader.turn(id)?)
    }

    fn usage(&self, by: GroupBy, window: &Window, now: Instant) -> Result<UsageReport, StoreError> {
        Ok(self.reader.usage(by, window, now)?)
    }

    fn total(&self, window: &Window, now: Instant) -> Result<UsageLine, StoreError> {
        Ok(self.reader.total(window, now)?)
    }

    fn waiting_rows(&self) -> WaitingRows {
        let rows = lock(&self.pending.rows);
        WaitingRows { count: rows.len(), oldest_at: rows.front().map(|row| row.at) }
    }

    fn lost_rows(&self) -> u64 {
        self.count.lost_rows.load(Ordering::Relaxed)
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.jobs.send(Job::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(LAST);
        }
    }

    fn clean_up_period(&self, what: CleanUp) -> Duration {
        match what {
            CleanUp::Answers => EXPIRE_INTERVAL,
            CleanUp::Reports => TRIM_INTERVAL,
        }
    }

    /// The thread does it, between two transactions.
    fn clean_up(&self, what: CleanUp) -> JobWork {
        let (done, cleaned) = oneshot::channel();
        let asked = self.jobs.try_send(Job::CleanUp { what, done });
        Box::pin(async move {
            asked.map_err(|error| match error {
                TrySendError::Full(_) => "too much waits to be written".to_owned(),
                TrySendError::Disconnected(_) => "the store has no thread".to_owned(),
            })?;
            cleaned.await.unwrap_or_else(|_| Err("the store's thread has ended".to_owned()))
        })
    }
}
