//! What processes that share a store of keys tell each other of a key, and how far what they know reaches.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::KeyUse;
use super::secret::KeyId;
use crate::clock::{self, Clocks};
use crate::sync::lock;

/// Who counts what a key uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This process alone: there are no others.
    Alone,
    /// All nodes together, as many as this.
    All(u32),
    /// Each of so many nodes its own share: what the others use is not known in time.
    Share(u32),
}

impl Reach {
    /// Into how many parts what is left of a limit is divided.
    pub(super) fn parts(self) -> u32 {
        match self {
            Self::Alone | Self::All(_) => 1,
            Self::Share(nodes) => nodes.max(1),
        }
    }
}

/// What a node tells of a key, beside what was used of it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyNow {
    /// Whose it is.
    pub key: KeyId,
    /// Turns that are open here.
    pub open: u32,
    /// Turns that wait to be admitted here.
    pub wanting: u32,
    /// How many requests may come at once, and in a second; 0 where that is not limited.
    pub capacity: f64,
    /// How many may come in a second after that.
    pub per_second: f64,
    /// How many came since this was told the last time.
    pub taken: f64,
}

/// What a node hears of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyHeard {
    /// Whose it is.
    pub key: KeyId,
    /// How many requests may come at once now.
    pub level: f64,
    /// Turns that are open on other nodes.
    pub open: u32,
    /// Turns that wait to be admitted there.
    pub wanting: u32,
}

/// What a store answers to what a node told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// What all processes used in the windows that were told of.
    pub uses: Vec<KeyUse>,
    /// What holds now, of every key of which was told what holds here.
    pub now: Vec<KeyHeard>,
    /// The calendar of the store, in milliseconds since 1970.
    pub unix_millis: u64,
    /// Nodes that share the store.
    pub nodes: u32,
}

/// How limits are counted at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// Over all nodes; else each node allows its share of what was left.
    pub is_global: bool,
    /// Since when, in Unix seconds.
    pub since: u64,
    /// Nodes that share the store, as far as is known.
    pub nodes: u32,
}

#[derive(Debug, Clone, Copy)]
struct State {
    counting: Counting,
    /// How far the store's calendar is ahead of this machine's, in milliseconds.
    ahead: i64,
}

/// What is known of the nodes.
#[derive(Debug)]
pub(super) struct Nodes(Mutex<State>);

impl Nodes {
    /// Nobody was heard yet.
    pub(super) fn new() -> Self {
        let counting = Counting { is_global: false, since: clock::unix_now(), nodes: 1 };
        Self(Mutex::new(State { counting, ahead: 0 }))
    }

    pub(super) fn counting(&self) -> Counting {
        lock(&self.0).counting
    }

    pub(super) fn reach(&self) -> Reach {
        let Counting { is_global, nodes, .. } = self.counting();
        if is_global { Reach::All(nodes) } else { Reach::Share(nodes) }
    }

    /// The clocks, with the calendar of the store: windows begin on all nodes at the same moment.
    pub(super) fn clocks(&self) -> Clocks {
        let ahead = lock(&self.0).ahead;
        let unix = clock::unix_millis().saturating_add_signed(ahead) / 1000;
        Clocks { now: clock::now(), unix }
    }

    /// The store answered within a time that a turn can wait, or not.
    pub(super) fn found(&self, is_global: bool, heard: Option<&Heard>) {
        let mut state = lock(&self.0);
        if state.counting.is_global != is_global {
            state.counting.is_global = is_global;
            state.counting.since = clock::unix_now();
        }
        if let Some(heard) = heard {
            state.counting.nodes = heard.nodes.max(1);
            state.ahead = heard.unix_millis.cast_signed().saturating_sub(clock::unix_millis().cast_signed());
        }
    }
}

/// When something was last heard of a key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeardAt(Option<Instant>);

impl HeardAt {
    pub(super) fn set(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    pub(super) fn is_known(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn is_within(self, age: Duration, now: Instant) -> bool {
        self.0.is_some_and(|at| now.saturating_duration_since(at) < age)
    }
}
