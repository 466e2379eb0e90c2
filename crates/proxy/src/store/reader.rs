//! Reads what is kept, beside the thread that writes it, and never behind it: rows that still wait for the disk count too.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use latimer_protocol::status::{TurnPage, TurnReport, UsageLine, UsageReport};
use rusqlite::{Connection, Transaction};

use super::database::read_only;
use super::rows::{GroupBy, UsageRow};
use super::sums::Sums;
use super::turn_rows::{self, TurnQuery};
use crate::sync::lock;

/// After so long all rows are added up anew: the oldest have left the time that was asked for.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Reports that are kept added up.
const MAX_REPORTS: usize = 16;
/// The most groups of a report that is kept added up.
const MAX_PENDING: usize = 4096;

/// Rows on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the order in which they are written.
    pub(super) rows: Mutex<VecDeque<Arc<UsageRow>>>,
    /// Held while rows change from these to those that can be read, so that a reader sees each of them once.
    pub(super) commit: Mutex<()>,
}

/// Reads the file of a running store.
#[derive(Debug)]
pub struct Reader {
    path: Option<PathBuf>,
    pending: Arc<Pending>,
    connection: Mutex<Option<Connection>>,
    sums: Mutex<HashMap<SumsKey, (Sums, Instant)>>,
}

/// By what, for which time in words, and whether by model, too.
type SumsKey = (GroupBy, String, bool);

/// A time in which turns ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// As it was asked for, such as `30d`: what is asked for again in the same words is not added up again.
    pub text: String,
    /// Its beginning, in Unix seconds.
    pub since: u64,
    /// Its end, in Unix seconds; `None` where it goes on to the present.
    pub until: Option<u64>,
    /// Whether each line is wanted by model, too.
    pub breaks_down: bool,
}

impl Reader {
    pub(super) fn new(path: Option<PathBuf>, pending: Arc<Pending>) -> Self {
        Self { path, pending, connection: Mutex::default(), sums: Mutex::default() }
    }

    /// A page of turns that are over. Blocks the thread.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, wanted: &TurnQuery) -> rusqlite::Result<TurnPage> {
        self.read(|connection, pending| {
            let is_first = wanted.before.is_none() && wanted.after.is_none();
            let new = pending.iter().rev().filter(|_| is_first).map(|row| turn_rows::of_pending(row));
            let mut data: Vec<TurnReport> = new.filter(|turn| wanted.fits(turn)).take(wanted.limit).collect();
            let left = TurnQuery { limit: wanted.limit - data.len(), ..wanted.clone() };
            let rows = turn_rows::page(connection, &left)?;
            let is_full = rows.len() == left.limit;
            let next = rows.last().map(|(place, _)| *place).or_else(|| is_first.then_some(i64::MAX));
            data.extend(rows.into_iter().map(|(_, turn)| turn));
            Ok(TurnPage {
                data,
                next: next.filter(|_| is_full),
                latest: turn_rows::latest(connection)?,
                ..TurnPage::default()
            })
        })
    }

    /// Everything that is kept of a turn. Blocks the thread.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn turn(&self, id: &str) -> rusqlite::Result<Option<TurnReport>> {
        self.read(|connection, pending| {
            let waiting = pending.iter().rev().find(|row| row.turn == id);
            match waiting {
                Some(row) => {
                    Ok(Some(row.report.as_deref().cloned().unwrap_or_else(|| turn_rows::of_pending(row))))
                }
                None => turn_rows::find(connection, id),
            }
        })
    }

    /// How much was used. Blocks the thread: the first time for all rows, after that for those that are new.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn usage(&self, by: GroupBy, window: &Window, now: Instant) -> rusqlite::Result<UsageReport> {
        self.summed(by, window, now, Sums::report)
    }

    /// The same of everything together.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn total(&self, window: &Window, now: Instant) -> rusqlite::Result<UsageLine> {
        self.summed(GroupBy::Endpoint, window, now, Sums::total)
    }

    fn summed<T>(
        &self,
        by: GroupBy,
        window: &Window,
        now: Instant,
        read: impl FnOnce(&mut Sums) -> T,
    ) -> rusqlite::Result<T> {
        self.read(|connection, pending| {
            let mut all = lock(&self.sums);
            let key = (by, window.text.clone(), window.breaks_down);
            all.retain(|_, (_, built)| now.saturating_duration_since(*built) < MAX_AGE);
            if all.len() >= MAX_REPORTS && !all.contains_key(&key) {
                all.clear();
            }
            let (sums, _) = all.entry(key).or_insert_with(|| {
                let sums = Sums::new(by, window.since, window.until);
                (sums.broken_down(window.breaks_down), now)
            });
            sums.read(connection)?;
            if pending.is_empty() {
                return Ok(read(sums));
            }
            let mut sums = sums.clone();
            for row in pending {
                sums.add_pending(row, connection)?;
            }
            Ok(read(&mut sums))
        })
    }

    /// Reads at one moment: what is written, and the rows that wait to be.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection, &[Arc<UsageRow>]) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let path = self.path.as_deref().ok_or(rusqlite::Error::InvalidQuery)?;
        let mut slot = lock(&self.connection);
        let result = self.read_with(open(&mut slot, path)?, read);
        if result.is_err() {
            // The file may have been set aside: the next one is opened anew.
            *slot = None;
        }
        result
    }

    fn read_with<T>(
        &self,
        connection: &Connection,
        read: impl FnOnce(&Connection, &[Arc<UsageRow>]) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let (moment, pending) = self.moment(connection)?;
        let value = read(&moment, &pending)?;
        moment.finish()?;
        Ok(value)
    }

    /// From here on the connection sees the rows of this moment, and the rest waits in the list.
    fn moment<'c>(
        &self,
        connection: &'c Connection,
    ) -> rusqlite::Result<(Transaction<'c>, Vec<Arc<UsageRow>>)> {
        let _commit = lock(&self.pending.commit);
        let transaction = connection.unchecked_transaction()?;
        turn_rows::latest(&transaction)?;
        let pending = lock(&self.pending.rows).iter().take(MAX_PENDING).cloned().collect();
        Ok((transaction, pending))
    }
}

fn open<'s>(
    slot: &'s mut MutexGuard<'_, Option<Connection>>,
    path: &Path,
) -> rusqlite::Result<&'s Connection> {
    if slot.is_none() {
        **slot = Some(read_only(path)?);
    }
    slot.as_ref().ok_or(rusqlite::Error::InvalidQuery)
}

/// A page of turns from the file of a store that need not run.
///
/// # Errors
/// The file cannot be opened or read, or is no database of latimer's.
pub fn page_of_file(path: &Path, wanted: &TurnQuery) -> rusqlite::Result<TurnPage> {
    Reader::new(Some(path.to_owned()), Arc::default()).page(wanted)
}

/// A turn from the same.
///
/// # Errors
/// As [`page_of_file`].
pub fn turn_of_file(path: &Path, id: &str) -> rusqlite::Result<Option<TurnReport>> {
    Reader::new(Some(path.to_owned()), Arc::default()).turn(id)
}
