//! What requests and the thread of the keys share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::ClientKey;
use super::ask::Ask;
use crate::clock::Clocks;
use crate::keys::KeyRecord;
use crate::keys::limits::Limits;
use crate::keys::nodes::{Counting, Heard, Nodes, Reach};
use crate::keys::secret::KeyId;
use crate::sync::{read, write};

/// Keys by their ids.
pub(super) type KeyTable = HashMap<KeyId, Arc<ClientKey>>;

/// The keys as they are known.
pub(super) struct Ring {
    keys: RwLock<Arc<KeyTable>>,
    /// Other processes that share the store; `None` where there are none.
    nodes: Option<Nodes>,
    /// How long a turn waits for their word.
    wait: Duration,
    asks: SyncSender<Ask>,
    /// The keys were read once.
    is_read: AtomicBool,
    /// The thread knows that there is something to tell.
    is_told: AtomicBool,
    /// Nobody asks for keys any more.
    has_ended: AtomicBool,
}

impl Ring {
    /// With a time to wait for other nodes, where there are some.
    pub(super) fn new(wait: Option<Duration>, asks: SyncSender<Ask>) -> Self {
        Self {
            keys: RwLock::default(),
            nodes: wait.map(|_| Nodes::new()),
            wait: wait.unwrap_or_default(),
            asks,
            is_read: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Has the thread stop, once it has told everything.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.ask(Ask::Changed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(super) fn keys(&self) -> Arc<KeyTable> {
        Arc::clone(&read(&self.keys))
    }

    pub(super) fn key(&self, id: &KeyId) -> Option<Arc<ClientKey>> {
        read(&self.keys).get(id).cloned()
    }

    pub(super) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    pub(super) fn is_shared(&self) -> bool {
        self.nodes.is_some()
    }

    pub(super) fn counting(&self) -> Option<Counting> {
        self.nodes.as_ref().map(Nodes::counting)
    }

    pub(super) fn reach(&self) -> Reach {
        self.nodes.as_ref().map_or(Reach::Alone, Nodes::reach)
    }

    /// The clocks by which keys are counted: the calendar is that of the store.
    pub(super) fn clocks(&self) -> Clocks {
        self.nodes.as_ref().map_or_else(Clocks::now, Nodes::clocks)
    }

    /// Asks the thread for something. One that cannot take more has enough to do, and does this too.
    pub(super) fn ask(&self, ask: Ask) {
        let _ = self.asks.try_send(ask);
    }

    /// Other nodes shall hear soon what is used of a key with these limits.
    pub(super) fn tell_of(&self, limits: &Limits) {
        let is_worth_it = self.is_shared() && !limits.is_nothing();
        if is_worth_it && !self.is_told.swap(true, Ordering::Relaxed) {
            self.ask(Ask::Tell);
        }
    }

    /// A turn of a key with these limits ended: where others may wait for that, they hear it at once.
    pub(super) fn tell_of_end(&self, limits: &Limits) {
        let frees = limits.parallel.is_some() || limits.budget.is_some() || limits.tokens.is_some();
        if self.is_shared() && frees {
            self.ask(Ask::Claim);
        } else {
            self.tell_of(limits);
        }
    }

    /// The thread begins to tell everything.
    pub(super) fn tells(&self) {
        self.is_told.store(false, Ordering::Relaxed);
    }

    /// The store answered in time, or did not.
    pub(super) fn found(&self, is_global: bool, heard: Option<&Heard>) {
        let Some(nodes) = &self.nodes else { return };
        let before = nodes.counting();
        nodes.found(is_global, heard);
        if before.is_global && !is_global {
            for key in self.keys().values() {
                key.live.divide(before.nodes);
            }
        }
    }

    /// Takes up the keys of the store. What is counted of a key goes on.
    pub(super) fn take_up(&self, records: Vec<KeyRecord>) {
        let before = self.keys();
        let now: KeyTable = records
            .into_iter()
            .map(|record| {
                let key = match before.get(&record.id) {
                    Some(same) if same.record == record => Arc::clone(same),
                    Some(old) => Arc::new(ClientKey { record, live: Arc::clone(&old.live) }),
                    None => Arc::new(ClientKey { record, live: Arc::default() }),
                };
                (key.record.id.clone(), key)
            })
            .collect();
        *write(&self.keys) = Arc::new(now);
        self.is_read.store(true, Ordering::Relaxed);
    }
}
