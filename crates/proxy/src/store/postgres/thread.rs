//! The thread that talks to the database, and everything that it does there.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::answers::{self, AnswerJob};
use super::rows::{self, RowJob};
use super::{Common, Work, drain, nodes, shared};

/// What the thread takes along.
pub(super) struct Thread {
    pub(super) common: Arc<Common>,
    pub(super) rows: mpsc::Receiver<RowJob>,
    pub(super) answers: mpsc::Receiver<AnswerJob>,
    pub(super) works: mpsc::UnboundedReceiver<Work>,
    pub(super) role: Role,
}

/// What a process does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Serves turns.
    Node,
    /// A command that asks something.
    Visitor,
}

impl Thread {
    /// Works until the last handle is gone; everything that was begun ends with it.
    pub(super) fn run(self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(event = "store.unavailable", error = %error),
        };
        let tasks = tokio::task::LocalSet::new();
        let Self { common, rows, answers, mut works, role } = self;
        tasks.block_on(&runtime, async move {
            use tokio::task::spawn_local;
            if role == Role::Node {
                spawn_local(drain::keep_link(Arc::clone(&common)));
                spawn_local(drain::empty_journal(Arc::clone(&common)));
                spawn_local(nodes::live(Arc::clone(&common)));
                spawn_local(shared::write(Arc::clone(&common)));
                spawn_local(shared::hear(Arc::clone(&common)));
                spawn_local(rows::write(Arc::clone(&common), rows));
                spawn_local(answers::write(Arc::clone(&common), answers));
            }
            while let Some(work) = works.recv().await {
                spawn_local(work(Arc::clone(&common)));
            }
        });
    }
}
