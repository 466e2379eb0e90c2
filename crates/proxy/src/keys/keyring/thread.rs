//! The thread that keeps the keys of a process together with their store.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::OpenStore;
use super::ask::Ask;
use super::ring::{KeyTable, Ring};
use crate::clock;
use crate::keys::nodes::{Heard, KeyNow};
use crate::keys::{KeyStore, KeyStoreError, KeyUse};

/// The least time between two looks that requests with unknown keys bring about: guesses shall not wear the store out.
const LOOKUP_INTERVAL: Duration = Duration::from_millis(100);
/// How long what other nodes should hear waits for more of it.
const TELL_INTERVAL: Duration = Duration::from_millis(20);
/// How long what is due waits for more that is asked.
const MAX_LATE: Duration = Duration::from_millis(1);

/// What was asked and is not done.
#[derive(Default)]
struct Agenda {
    looks: Vec<oneshot::Sender<()>>,
    flushes: Vec<SyncSender<()>>,
    exchanges: Vec<oneshot::Sender<Result<(), String>>>,
    /// When something is due; `None` while nothing is.
    due: Option<Instant>,
    /// Changed keys have to be looked for.
    looks_for_changes: bool,
}

impl Agenda {
    fn add(&mut self, ask: Ask, exchanged_at: Instant, looked_at: Option<Instant>) {
        let now = clock::now();
        let due = match ask {
            Ask::Look(done) => {
                self.looks.push(done);
                looked_at.map_or(now, |at| at + LOOKUP_INTERVAL)
            }
            Ask::Exchange(done) => {
                self.exchanges.push(done);
                self.looks_for_changes = true;
                now
            }
            Ask::Flush(done) => {
                self.flushes.push(done);
                self.looks_for_changes = true;
                now
            }
            Ask::Changed => {
                self.looks_for_changes = true;
                now
            }
            Ask::Tell => exchanged_at + TELL_INTERVAL,
            Ask::Claim => now,
        };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Whether what is due waits because more and more is asked.
    fn is_late(&self) -> bool {
        self.due.is_some_and(|due| due.elapsed() > MAX_LATE)
    }

    /// Whether a request may have its answer by now.
    fn is_time_to_look(&self, looked_at: Option<Instant>) -> bool {
        !self.looks.is_empty() && looked_at.is_none_or(|at| at.elapsed() >= LOOKUP_INTERVAL)
    }
}

/// What an exchange is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Changed keys are taken up too.
    Everything,
    /// What was used, and what holds now.
    Use,
}

/// What the thread holds.
pub(super) struct KeyringThread {
    ring: Arc<Ring>,
    open: OpenStore,
    store: Option<Box<dyn KeyStore>>,
    exchanged_at: Instant,
    looked_at: Option<Instant>,
    /// It was said that the store cannot be used.
    said: bool,
}

impl KeyringThread {
    pub(super) fn new(ring: Arc<Ring>, open: OpenStore) -> Self {
        Self { ring, open, store: None, exchanged_at: clock::now(), looked_at: None, said: false }
    }

    pub(super) fn work(mut self, asks: &Receiver<Ask>) {
        let _ = self.exchange(Extent::Everything);
        let mut agenda = Agenda::default();
        while !self.ring.has_ended() {
            let asked = match agenda.due {
                Some(due) => asks.recv_timeout(due.saturating_duration_since(clock::now())),
                None => asks.recv().map_err(RecvTimeoutError::from),
            };
            match asked {
                Ok(ask) => {
                    agenda.add(ask, self.exchanged_at, self.looked_at);
                    if agenda.is_late() {
                        self.carry_out(&mut agenda);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.carry_out(&mut agenda),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _ = self.exchange(Extent::Everything);
    }

    /// Exchanges what is due, and answers those who wait for it.
    fn carry_out(&mut self, agenda: &mut Agenda) {
        let is_look = agenda.is_time_to_look(self.looked_at);
        let is_whole = is_look || agenda.looks_for_changes;
        if is_look {
            self.looked_at = Some(clock::now());
        }
        let exchanged = self.exchange(if is_whole { Extent::Everything } else { Extent::Use });
        if is_whole {
            // Everything that was asked meanwhile is answered by the same look.
            agenda.looks.drain(..).for_each(|done| {
                let _ = done.send(());
            });
            agenda.exchanges.drain(..).for_each(|done| {
                let _ = done.send(exchanged.clone());
            });
            agenda.flushes.drain(..).for_each(|done| {
                let _ = done.try_send(());
            });
            agenda.looks_for_changes = false;
        }
        let is_left = !agenda.looks.is_empty();
        agenda.due = self.looked_at.map(|at| at + LOOKUP_INTERVAL).filter(|_| is_left);
    }

    /// Takes up changed keys and exchanges what was used. A store that fails is opened anew the next time; keys that are known go on. An
    /// error is a sentence.
    fn exchange(&mut self, extent: Extent) -> Result<(), String> {
        self.ring.tells();
        let exchanged = self.try_exchange(extent);
        self.exchanged_at = clock::now();
        let Err(error) = exchanged else {
            if std::mem::take(&mut self.said) {
                tracing::info!(event = "keys.back");
            }
            return Ok(());
        };
        self.store = None;
        self.ring.found(false, None);
        let keys = self.ring.keys();
        for key in keys.values() {
            key.live.take_back();
        }
        if !keys.is_empty() && !std::mem::replace(&mut self.said, true) {
            tracing::warn!(event = "keys.unavailable", error = %error, note = "keys that are known go on with what was known of them last");
        }
        Err(error.to_string())
    }

    fn try_exchange(&mut self, extent: Extent) -> Result<(), KeyStoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            empty => empty.insert((self.open)()?),
        };
        let mut begun = clock::now();
        let mut changed = false;
        if extent == Extent::Everything
            && let Some(records) = store.changed()?
        {
            changed = true;
            self.ring.take_up(records);
        }
        let keys = self.ring.keys();
        let (used, now) =
            if self.ring.is_shared() { told(&self.ring, &keys) } else { (used(&keys, changed), Vec::new()) };
        if !self.ring.is_shared() && used.is_empty() {
            return Ok(());
        }
        if !used.is_empty() || !now.is_empty() {
            begun = clock::now();
        }
        let heard = store.exchange_with_nodes(&used, &now)?;
        self.ring.found(begun.elapsed() <= self.ring.wait(), Some(&heard));
        take(&self.ring, &keys, &heard);
        Ok(())
    }
}

/// What was used in this process, and with `all` every window of a limit.
fn used(keys: &KeyTable, all: bool) -> Vec<KeyUse> {
    let now = clock::unix_now();
    let mut used = Vec::new();
    for (id, key) in keys {
        let sent = key.live.send(&key.record.limits, now, all && key.record.revoked_at.is_none());
        used.extend(sent.into_iter().map(|(window, amounts)| KeyUse { key: id.clone(), window, amounts }));
    }
    used
}

/// What other nodes have to be told.
fn told(ring: &Ring, keys: &KeyTable) -> (Vec<KeyUse>, Vec<KeyNow>) {
    let (at, parts) = (ring.clocks(), ring.reach().parts());
    let (mut used, mut told) = (Vec::new(), Vec::new());
    for (id, key) in keys {
        let (sent, now) = key.live.tell(id, &key.record.limits, at, parts);
        used.extend(sent.into_iter().map(|(window, amounts)| KeyUse { key: id.clone(), window, amounts }));
        told.extend(now);
    }
    (used, told)
}

/// What the store said.
fn take(ring: &Ring, keys: &KeyTable, heard: &Heard) {
    for total in &heard.uses {
        if let Some(key) = keys.get(&total.key) {
            key.live.settle(total.window, total.amounts);
        }
    }
    let (at, parts) = (ring.clocks(), ring.reach().parts());
    for now in &heard.now {
        if let Some(key) = keys.get(&now.key) {
            key.live.hear(&key.record.limits, now, at, parts);
        }
    }
}
