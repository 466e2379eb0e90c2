//! What requests ask of the thread of the keys.

use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

/// What is asked of the thread.
pub(super) enum Ask {
    /// Look for changed keys, and say when.
    Look(oneshot::Sender<()>),
    /// Exchange everything, and say whether that worked. An error is a sentence.
    Exchange(oneshot::Sender<Result<(), String>>),
    /// Exchange everything, and say when.
    Flush(SyncSender<()>),
    /// Look for changed keys: there are some.
    Changed,
    /// Tell other nodes what was used, soon.
    Tell,
    /// Ask other nodes now: a turn waits.
    Claim,
}
