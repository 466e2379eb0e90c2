//! The writing thread: takes what has gathered, writes it in one transaction, and deletes what has had its time.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};

use super::chain::RecentConversations;
use super::database::Database;
use super::engine::CleanUp;
use super::queue::{Job, QUEUE, QueueCounters};
use super::reader::Pending;
use super::{chain, rows};
use crate::clock;
use crate::sync::lock;

/// How long rows are gathered for one transaction. Beginning and ending one costs as much as writing ten rows, and a thread that sleeps is
/// not woken for each of them. Whoever reads gets what is gathered from [`Pending`].
const GATHER_TIME: Duration = Duration::from_millis(20);
/// How long a file that cannot be used is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Deletions that wait for a file that cannot be written.
const MAX_OWED: usize = 10_000;

/// The file, as far as it can be had.
enum State {
    /// It was not looked for yet.
    New,
    Open(Box<Database>),
    /// It cannot be used, and is tried again then.
    Unavailable(Instant),
}

/// What the thread holds.
pub(super) struct Writer {
    path: Option<PathBuf>,
    state: State,
    count: Arc<QueueCounters>,
    recent: Arc<Mutex<RecentConversations>>,
    /// Rows that a reader still gets from here.
    pending: Arc<Pending>,
    /// Answers that somebody wanted deleted and the file still holds.
    owed: Vec<String>,
    /// Something was deleted, which the log of the file still shows.
    has_leavings: bool,
}

impl Writer {
    pub(super) fn new(
        path: Option<PathBuf>,
        count: Arc<QueueCounters>,
        recent: Arc<Mutex<RecentConversations>>,
        pending: Arc<Pending>,
    ) -> Self {
        Self { path, state: State::New, count, recent, pending, owed: Vec::new(), has_leavings: false }
    }

    /// Works until nobody is left who could ask for anything.
    pub(super) fn work(mut self, queue: &Receiver<Job>) {
        self.reopen();
        while let Ok(first) = queue.recv() {
            if matches!(first, Job::Usage(_) | Job::Keep { .. }) {
                std::thread::sleep(GATHER_TIME);
            }
            let gathered: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(QUEUE)).collect();
            self.take(gathered);
        }
        let _ = self.clean_up(CleanUp::Answers);
    }

    fn take(&mut self, gathered: Vec<Job>) {
        self.reopen();
        let (asides, gathered): (Vec<Job>, Vec<Job>) =
            gathered.into_iter().partition(|job| matches!(job, Job::Flush(_) | Job::CleanUp { .. }));
        let (mut rows, mut bytes, mut pending) = (0, 0, 0);
        for job in &gathered {
            match job {
                Job::Keep { stored, .. } => (bytes, pending) = (bytes + stored.bytes(), pending + 1),
                Job::Delete { id } if self.owed.len() < MAX_OWED => self.owed.push(id.clone()),
                Job::Delete { .. } => pending += 1,
                Job::Usage(_) => rows += 1,
                _ => {}
            }
        }
        if (!gathered.is_empty() || !self.owed.is_empty()) && !self.write(gathered, rows) {
            lock(&self.pending.rows).drain(..rows);
            if self.path.is_some() {
                self.count.lost_rows.fetch_add(rows as u64, Ordering::Relaxed);
            }
        }
        self.count.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.count.pending.fetch_sub(pending, Ordering::Relaxed);
        if self.has_leavings {
            let _ = self.clean_up(CleanUp::Answers);
        }
        self.take_asides(asides);
    }

    /// What is no row and no answer, once these are written.
    fn take_asides(&mut self, asides: Vec<Job>) {
        if asides.iter().any(|job| matches!(job, Job::Flush(_))) {
            // The process may stop now: nothing may stay in the log of the file that this one forgets later.
            if let State::Open(database) = &mut self.state {
                database.owe_checkpoint();
            }
            let _ = self.clean_up(CleanUp::Answers);
        }
        for job in asides {
            match job {
                Job::Flush(done) => {
                    let _ = done.try_send(());
                }
                Job::CleanUp { what, done } => {
                    let _ = done.send(self.clean_up(what));
                }
                _ => {}
            }
        }
    }

    /// Opens the file, if it is time to.
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        let is_back = match self.state {
            State::New => false,
            State::Unavailable(until) if clock::now() >= until => true,
            _ => return,
        };
        match Database::open(path) {
            Ok(database) => {
                if is_back {
                    tracing::info!(event = "store.back", path = %path.display());
                }
                self.state = State::Open(Box::new(database));
            }
            Err(error) => {
                if !is_back {
                    tracing::warn!(event = "store.unavailable", path = %path.display(), error = %error, note = "usage is not counted, and answers cannot be gone on with after a restart, until it can be used");
                }
                self.state = State::Unavailable(clock::now() + RETRY_INTERVAL);
            }
        }
    }

    /// True if everything is written.
    fn write(&mut self, jobs: Vec<Job>, rows: usize) -> bool {
        let State::Open(database) = &mut self.state else { return false };
        match write(database, jobs, &self.owed, (&self.pending, rows)) {
            Ok(()) => {
                let gone = std::mem::take(&mut self.owed).len();
                if gone > 0 {
                    self.count.pending.fetch_sub(gone, Ordering::Relaxed);
                    database.owe_checkpoint();
                    self.has_leavings = true;
                }
                true
            }
            Err(error) => {
                tracing::warn!(event = "store.not_written", rows, error = %error);
                self.give_up_after(&error);
                false
            }
        }
    }

    /// Deletes what has had its time, from memory and from the disk. An error is a sentence.
    fn clean_up(&mut self, what: CleanUp) -> Result<(), String> {
        let now = clock::unix_now();
        lock(&self.recent).expire(now);
        self.has_leavings = false;
        let database = match &mut self.state {
            State::Open(database) => database,
            _ if self.path.is_none() => return Ok(()),
            _ => return Err("the file cannot be used; the log has why".to_owned()),
        };
        let cleaned = match what {
            CleanUp::Answers => database.expire(chain::oldest(now)),
            CleanUp::Reports => database.trim_reports(now),
        };
        cleaned.map_err(|error| {
            tracing::debug!(event = "store.not_expired", error = %error);
            self.give_up_after(&error);
            error.to_string()
        })
    }

    /// A file that somebody else uses is only waited for; any other error may end with a new look at it.
    fn give_up_after(&mut self, error: &rusqlite::Error) {
        if !matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked)) {
            self.state = State::Unavailable(clock::now() + RETRY_INTERVAL);
        }
    }
}

/// Writes jobs. Those of them that are rows, so many, can be read then and wait no longer.
fn write(
    database: &mut Database,
    jobs: Vec<Job>,
    owed: &[String],
    (pending, rows): (&Pending, usize),
) -> rusqlite::Result<()> {
    let transaction = database.begin()?;
    for id in owed {
        chain::delete(&transaction, id)?;
    }
    for job in jobs {
        match job {
            Job::Usage(row) => rows::insert(&transaction, &row)?,
            Job::Keep { id, stored } => chain::insert(&transaction, &id, &stored)?,
            Job::Find { id, oldest, reply } => {
                let _ = reply.send(chain::find(&transaction, &id, oldest).unwrap_or_default());
            }
            // In its place, too: what is to be deleted may have been kept a moment before.
            Job::Delete { id } => chain::delete(&transaction, &id)?,
            // Done beside the transaction.
            Job::Flush(_) | Job::CleanUp { .. } => {}
        }
    }
    let _commit = lock(&pending.commit);
    transaction.commit()?;
    lock(&pending.rows).drain(..rows);
    Ok(())
}
