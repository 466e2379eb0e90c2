//! The store that many nodes share, in `PostgreSQL`.
//!
//! A thread of its own talks to the database; turns only ever put something into a bounded queue. What the database does not take,
//! because it is slow, silent or away, waits in a bounded journal on the disk, and arrives once when it is back.

mod answers;
mod client_keys;
mod connect;
mod copy;
mod drain;
mod errors;
mod journal;
mod key_exchange;
pub mod limits;
mod link;
mod maintenance;
mod nodes;
mod reads;
mod record;
mod rows;
mod schema;
mod seal;
pub mod shared;
mod thread;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::secret::Secret;
use latimer_protocol::status::{TurnPage, TurnReport, UsageLine, UsageReport};
use tokio::sync::{mpsc, oneshot};

use self::answers::AnswerJob;
pub use self::client_keys::SharedKeys;
use self::connect::Connector;
pub use self::copy::Copied;
use self::errors::DatabaseProblem;
use self::journal::Journal;
use self::key_exchange::Batches;
use self::link::Link;
use self::nodes::KnownNodes;
use self::reads::Cache;
use self::record::RowIds;
use self::rows::{PendingRow, RowJob};
pub use self::schema::Migration;
use self::seal::Seal;
use self::shared::{Exchange, Listener, Topic};
use self::thread::{Role, Thread};
use super::chain::{Place, RecentConversations, StoredConversation};
use super::database_error::{DatabaseError, ErrorKind};
use super::engine::{CleanUp, Engine, FoundAnswer, Receipt, StoreError, WaitingRows};
use super::reader::Window;
use super::rows::{GroupBy, UsageRow};
use super::turn_rows::TurnQuery;
use crate::clockwork::job::JobWork;
use crate::config::SharedStore;
use crate::sync::lock;

/// Rows and answers that may wait in memory, while a statement is on its way.
const QUEUE: usize = 16_384;
/// Bytes of answers that may wait there.
const BYTES: usize = 64 << 20;
/// How long the end of an answer waits until the answer is on all nodes.
const KEEP_LIMIT: Duration = Duration::from_secs(2);
/// How long other nodes are told that an answer was deleted: longer than one lives.
const FORGOTTEN: Duration = Duration::from_secs(900);
/// How often what has had its time is deleted.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a start waits for the database, before it goes on without.
const START_LIMIT: Duration = Duration::from_secs(8);
/// The longest wait for the last rows when the process stops: first for the queues, then for the journal.
const LAST_QUEUES: Duration = Duration::from_secs(10);
const LAST_JOURNAL: Duration = Duration::from_secs(8);
/// How often it is looked whether the journal is empty.
const LAST_STEP: Duration = Duration::from_millis(20);

/// A piece of work for the thread that talks to the database.
type Work = Box<dyn FnOnce(Arc<Common>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A store that this node shares with others.
pub struct PostgresStore {
    common: Arc<Common>,
    rows: mpsc::Sender<RowJob>,
    answers: mpsc::Sender<AnswerJob>,
    work: mpsc::UnboundedSender<Work>,
}

/// What the handle and the thread share.
struct Common {
    connector: Connector,
    link: Link,
    /// How this node is called in its rows.
    node: String,
    ids: RowIds,
    /// Rows that are neither in the database nor in the journal, in the order of the queue.
    pending: Mutex<VecDeque<Arc<PendingRow>>>,
    recent: Mutex<RecentConversations>,
    journal: Mutex<Journal>,
    /// Whether the journal holds something.
    waits: AtomicBool,
    /// Bytes of answers in the queue.
    answer_bytes: AtomicUsize,
    lost: AtomicU64,
    cache: Cache,
    exchange: Exchange,
    seal: Seal,
    /// Accounts that this node refreshed last.
    refreshed: Mutex<HashSet<String>>,
    nodes: KnownNodes,
    key_batches: Mutex<Batches>,
    /// Who hears that a client key was made or changed.
    key_listener: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl PostgresStore {
    /// Begins to work. Nothing is waited for: as long as the database does not answer, everything goes into the journal of the state
    /// directory. What may not stand in the database in clear is sealed by the secret of `[store]`, else by the token.
    ///
    /// # Errors
    /// TLS cannot be set up, or no thread can be started.
    pub fn open(
        settings: &SharedStore,
        state_dir: &Path,
        node: &str,
        token: Option<&Secret>,
    ) -> Result<Arc<Self>, DatabaseError> {
        Self::start(settings, Journal::new(state_dir), node, token, Role::Node)
    }

    /// Only what it is asked is done: nothing is made, nothing waits, nobody is told.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn visitor(settings: &SharedStore, state_dir: &Path) -> Result<Arc<Self>, DatabaseError> {
        Self::start(settings, Journal::new(state_dir), "", None, Role::Visitor)
    }

    fn start(
        settings: &SharedStore,
        journal: Journal,
        node: &str,
        token: Option<&Secret>,
        role: Role,
    ) -> Result<Arc<Self>, DatabaseError> {
        let name = settings.url.name();
        // Without any secret nothing is sealed that somebody else could open.
        let random = Secret::new(RowIds::new().run());
        let secret = settings.secret.as_ref().or(token).unwrap_or(&random);
        let connector = Connector::new(settings).map_err(|problem| problem.of(name))?;
        let common = Arc::new(Common {
            link: Link::new(name),
            connector,
            node: node.to_owned(),
            ids: RowIds::new(),
            pending: Mutex::default(),
            recent: Mutex::new(RecentConversations::new(Place::Shared)),
            waits: AtomicBool::new(role == Role::Node && journal.is_there()),
            journal: Mutex::new(journal),
            answer_bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            cache: Cache::default(),
            exchange: Exchange::default(),
            seal: Seal::new(secret),
            refreshed: Mutex::default(),
            nodes: KnownNodes::default(),
            key_batches: Mutex::default(),
            key_listener: Mutex::default(),
        });
        let (rows, row_jobs) = mpsc::channel(QUEUE);
        let (answers, answer_jobs) = mpsc::channel(QUEUE);
        let (work, works) = mpsc::unbounded_channel();
        let thread =
            Thread { common: Arc::clone(&common), rows: row_jobs, answers: answer_jobs, works, role };
        std::thread::Builder::new().name("store".to_owned()).spawn(move || thread.run()).map_err(
            |error| DatabaseProblem::Tls(format!("no thread could be started ({error})")).of(name),
        )?;
        Ok(Arc::new(Self { common, rows, answers, work }))
    }

    /// Waits until the database is found, or it is clear that it is not there at the moment.
    ///
    /// # Errors
    /// Somebody has to change something before this node can work: the address, a password, a right, a release.
    pub fn wait_for_start(&self) -> Result<(), DatabaseError> {
        let looked = self.ask(async |common| {
            let looked = drain::look(&common).await.map_err(|problem| problem.of(common.connector.name()));
            if looked.is_ok() {
                common.link.found();
            }
            looked
        });
        match Self::receive(looked, START_LIMIT) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind == ErrorKind::Refused => Err(error),
            // Said in the log when it was tried there.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Tells all other nodes that something is so for a while, or, without a value, that it is so no longer. Never waits; while the
    /// database is away, the last word on each name waits.
    pub fn tell(&self, topic: Topic, name: &str, value: Option<String>, holds: Duration) {
        self.common.exchange.tell(topic, name, value, holds);
    }

    /// From now on, this one hears what other nodes tell, and first of everything that holds already. It is called by the thread of the
    /// store, and must not block it.
    pub fn listen(&self, listener: Listener) {
        self.common.exchange.listen(listener);
    }

    /// Host, port and database.
    pub fn name(&self) -> &str {
        self.common.connector.name()
    }

    /// Since when the database is away, in Unix seconds, and why.
    pub fn away(&self) -> Option<(u64, String)> {
        self.common.link.away()
    }

    /// Whether the database answers.
    pub fn is_reachable(&self) -> bool {
        self.common.link.is_up()
    }

    /// Whether it answered once, with the tables that this release knows.
    pub fn was_reached(&self) -> bool {
        self.common.link.was_up()
    }

    /// Nodes that share the database, this one too.
    pub fn count(&self) -> u32 {
        self.common.nodes.count()
    }

    /// Rows and answers that wait for the database.
    pub fn waiting(&self) -> u64 {
        let in_memory = lock(&self.common.pending).len() as u64;
        if !self.common.waits.load(Ordering::Relaxed) {
            return in_memory;
        }
        in_memory + lock(&self.common.journal).count().unwrap_or(0)
    }

    /// Has something done by the thread that talks to the database.
    fn ask<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(Arc<Common>) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        let _ = self.work.send(Box::new(move |common| {
            Box::pin(async move {
                let _ = reply.send(work(common).await);
            })
        }));
        answer
    }

    /// Blocks the thread.
    fn receive<T>(mut answer: oneshot::Receiver<T>, limit: Duration) -> Result<T, DatabaseProblem> {
        let begun = crate::clock::now();
        loop {
            match answer.try_recv() {
                Ok(value) => return Ok(value),
                Err(oneshot::error::TryRecvError::Closed) => return Err(DatabaseProblem::Timeout),
                Err(oneshot::error::TryRecvError::Empty) if begun.elapsed() > limit => {
                    return Err(DatabaseProblem::Timeout);
                }
                Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Asks for something that is read, and blocks the thread.
    fn read<T: Send + 'static>(
        &self,
        read: impl AsyncFnOnce(Arc<Common>) -> Result<T, DatabaseProblem> + Send + 'static,
    ) -> Result<T, StoreError> {
        let name = self.common.connector.name();
        let answer = Self::receive(self.ask(read), reads::LIMIT * 2);
        answer.and_then(|answer| answer).map_err(|problem| problem.of(name).into())
    }
}

impl Common {
    /// Counts what will never be written, and says why the first time.
    fn lose(&self, count: usize, why: &dyn fmt::Display) {
        let before = self.lost.fetch_add(count as u64, Ordering::Relaxed);
        if before == 0 {
            tracing::warn!(event = "store.lost", count, why = %why, note = "usage_lost of /health counts them");
        }
    }

    fn answer_bytes_gone(&self, all: &[(&str, &StoredConversation)]) {
        let bytes = all.iter().map(|(_, stored)| stored.bytes()).sum();
        self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Engine for PostgresStore {
    fn record(&self, row: UsageRow) {
        let row = Arc::new(PendingRow { id: self.common.ids.next(), row });
        // Under the lock, so that the list has the order of the queue.
        let mut pending = lock(&self.common.pending);
        if self.rows.try_send(RowJob::Row(Arc::clone(&row))).is_ok() {
            pending.push_back(row);
        } else {
            self.common.lose(1, &"too many rows wait");
        }
    }

    fn keep(&self, id: &str, stored: StoredConversation) -> Receipt {
        let (stored, now_unix) = (Arc::new(stored), crate::clock::unix_now());
        lock(&self.common.recent).keep(id, &stored, now_unix);
        let size = stored.bytes();
        let waiting = self.common.answer_bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let (done, kept) = oneshot::channel();
        let job = AnswerJob::Keep { id: id.to_owned(), stored, done };
        if waiting > BYTES.max(size) || self.answers.try_send(job).is_err() {
            self.common.answer_bytes.fetch_sub(size, Ordering::Relaxed);
            self.common.lose(1, &"too many answers wait");
            return Receipt::at_once();
        }
        self.kept(kept)
    }

    fn response<'s>(&'s self, id: &'s str, now_unix: u64) -> FoundAnswer<'s> {
        Box::pin(async move {
            if let Some(stored) = lock(&self.common.recent).find(id, now_unix) {
                return Some(stored);
            }
            let id = id.to_owned();
            self.ask(async move |common| reads::response(&common, &id, now_unix).await).await.ok().flatten()
        })
    }

    fn delete(&self, id: &str) -> Receipt {
        lock(&self.common.recent).delete(id);
        self.tell(Topic::Forgotten, id, Some(String::new()), FORGOTTEN);
        let (done, kept) = oneshot::channel();
        if self.answers.try_send(AnswerJob::Delete { id: id.to_owned(), done }).is_err() {
            self.common.lose(1, &"too many answers wait");
            return Receipt::at_once();
        }
        self.kept(kept)
    }

    fn keeps_rows(&self) -> bool {
        true
    }

    fn page(&self, wanted: &TurnQuery) -> Result<TurnPage, StoreError> {
        let wanted = wanted.clone();
        self.read(async move |common| reads::page(&common, &wanted).await)
    }

    fn turn(&self, id: &str) -> Result<Option<TurnReport>, StoreError> {
        let id = id.to_owned();
        self.read(async move |common| reads::turn(&common, &id).await)
    }

    fn usage(&self, by: GroupBy, window: &Window, now: Instant) -> Result<UsageReport, StoreError> {
        let window = window.clone();
        self.read(async move |common| reads::usage(&common, by, &window, now).await)
    }

    fn total(&self, window: &Window, now: Instant) -> Result<UsageLine, StoreError> {
        self.usage(GroupBy::Endpoint, window, now).map(|report| report.total)
    }

    /// Those in memory and those in the journal.
    fn waiting_rows(&self) -> WaitingRows {
        let (in_journal, oldest_at) = if self.common.waits.load(Ordering::Relaxed) {
            lock(&self.common.journal).waiting_rows().unwrap_or_default()
        } else {
            (0, None)
        };
        let pending = lock(&self.common.pending);
        let oldest_at = oldest_at.or_else(|| pending.front().map(|row| row.row.at));
        WaitingRows { count: in_journal + pending.len(), oldest_at }
    }

    fn lost_rows(&self) -> u64 {
        self.common.lost.load(Ordering::Relaxed)
    }

    /// What cannot be written in time waits in the journal, for the next start.
    fn flush(&self) {
        let begun = crate::clock::now();
        let (done, wait) = sync_channel(2);
        let mut sent = 0;
        while sent == 0 && begun.elapsed() < LAST_QUEUES {
            if self.rows.try_send(RowJob::Flush(done.clone())).is_ok() {
                sent = 1;
            } else if self.rows.is_closed() {
                return;
            } else {
                std::thread::sleep(LAST_STEP);
            }
        }
        sent += usize::from(self.answers.try_send(AnswerJob::Flush(done)).is_ok());
        for _ in 0..sent {
            if wait.recv_timeout(LAST_QUEUES.saturating_sub(begun.elapsed())).is_err() {
                break;
            }
        }
        let begun = crate::clock::now();
        while self.common.waits.load(Ordering::Relaxed)
            && self.common.link.is_up()
            && begun.elapsed() < LAST_JOURNAL
        {
            std::thread::sleep(LAST_STEP);
        }
    }

    fn clean_up_period(&self, _: CleanUp) -> Duration {
        EXPIRE_INTERVAL
    }

    fn clean_up(&self, what: CleanUp) -> JobWork {
        let cleaned = self.ask(async move |common| drain::clean_up(common, what).await);
        Box::pin(
            async move { cleaned.await.unwrap_or_else(|_| Err("the store's thread has ended".to_owned())) },
        )
    }
}

impl PostgresStore {
    /// Nobody waits for a database that is known to be away.
    fn kept(&self, done: oneshot::Receiver<()>) -> Receipt {
        if self.common.link.is_up() { Receipt::by(done, KEEP_LIMIT) } else { Receipt::at_once() }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("database", &self.name()).finish_non_exhaustive()
    }
}
