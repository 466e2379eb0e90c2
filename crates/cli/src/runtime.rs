//! The runtime of a long-running command, and the signals it listens to.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that may wait to be looked at; further ones mean the same.
const QUEUE: usize = 4;

/// The runtime of a command: one thread. A turn passes through three tasks (client, turn, upstream), and waking
/// a task on another core costs more than translating an event; one thread serves thousands of streams.
///
/// # Errors
/// The system refuses a runtime.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Raises the limit of open files: every stream needs two, and the usual soft limit is 1,024. Failing is fine: the accept loop
/// copes.
pub(crate) fn raise_descriptor_limit() {
    let _ = rlimit::increase_nofile_limit(1 << 16);
}

/// Who may look into the memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traceable {
    /// The system's administrator alone.
    ByNobody,
    /// Processes of the same user too: a watchdog takes the listening socket back from a proxy that outlived the one before, and
    /// looks at one that hangs.
    BySameUser,
}

/// Keeps keys out of core dumps, and of other programs. Failing is fine: the keys are no less safe than before.
pub(crate) fn forbid_core_dumps(traceable: Traceable) {
    // One byte is too little for a file, and tells Linux not to call a program that collects dumps either; 0 would not.
    let limit = u64::from(traceable == Traceable::BySameUser);
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, limit, limit);
    #[cfg(target_os = "linux")]
    if traceable == Traceable::ByNobody {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// A signal, its name for messages, and what it means to the command.
pub(crate) type SignalMeaning<M> = (SignalKind, &'static str, M);

/// Sends a meaning for every signal that arrives. The sender is given back for whatever else may mean the same.
///
/// # Errors
/// A signal cannot be listened to. Must be called within a runtime.
pub(crate) fn signals<M: Clone + Send + 'static>(
    meanings: impl IntoIterator<Item = SignalMeaning<M>>,
) -> anyhow::Result<(mpsc::Sender<M>, mpsc::Receiver<M>)> {
    let (send, receive) = mpsc::channel(QUEUE);
    for (kind, name, meaning) in meanings {
        let mut arrivals = signal(kind).with_context(|| format!("watching for {name}"))?;
        let send = send.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                if send.send(meaning.clone()).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok((send, receive))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn each_signal_brings_its_meaning() {
        runtime().expect("a runtime").block_on(async {
            let table = [
                (SignalKind::user_defined1(), "SIGUSR1", "first"),
                (SignalKind::user_defined2(), "SIGUSR2", "second"),
            ];
            let (send, mut receive) = signals(table).expect("signals");
            for (name, meaning) in [("USR2", "second"), ("USR1", "first")] {
                let pid = std::process::id().to_string();
                let status = Command::new("kill").arg(format!("-{name}")).arg(pid).status();
                assert!(status.expect("kill runs").success());
                assert_eq!(receive.recv().await, Some(meaning));
            }
            send.send("idle").await.expect("sent");
            assert_eq!(receive.recv().await, Some("idle"));
        });
    }
}
