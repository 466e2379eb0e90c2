//! What stands between a store in a file and the thread that writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

use super::chain::StoredConversation;
use super::engine::CleanUp;
use super::rows::UsageRow;

/// Jobs that may wait.
pub(super) const QUEUE: usize = 4096;

/// What is in the queue, and what never came out of it.
#[derive(Debug, Default)]
pub(super) struct QueueCounters {
    /// Bytes of answers that wait.
    pub(super) waiting: AtomicUsize,
    /// Answers to be kept or deleted that the file does not show yet.
    pub(super) pending: AtomicUsize,
    /// Jobs that were given up.
    pub(super) lost_rows: AtomicU64,
}

/// What the writing thread does.
pub(super) enum Job {
    Usage(Arc<UsageRow>),
    Keep {
        id: String,
        stored: Arc<StoredConversation>,
    },
    Delete {
        id: String,
    },
    Find {
        id: String,
        oldest: u64,
        reply: oneshot::Sender<Option<StoredConversation>>,
    },
    Flush(SyncSender<()>),
    /// An error is a sentence.
    CleanUp {
        what: CleanUp,
        done: oneshot::Sender<Result<(), String>>,
    },
}
