//! Runs a client to its end: `latimer launch` outlives it, hands on what is said to it, and gives its exit code.

use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::SignalKind;

use super::client::LaunchedClient;
use super::registration::ClientRegistration;
use crate::runtime::{runtime, signals};
use crate::terminal;

/// Starts the client, and waits until it has ended.
///
/// # Errors
/// The client cannot be started.
pub(super) fn run(
    command: Command,
    state_dir: &Path,
    client: &dyn LaunchedClient,
) -> anyhow::Result<ExitStatus> {
    // Ctrl-C of a terminal reaches the client by itself; a second one would end a client that asks whether it was meant.
    let has_terminal = terminal::is_attached();
    runtime()?.block_on(async move {
        // Before the client runs, so that there is no moment in which a signal would leave it alone.
        let (_sender, mut arrivals) = signals([
            (SignalKind::interrupt(), "Ctrl-C", Signal::INT),
            (SignalKind::quit(), "SIGQUIT", Signal::QUIT),
            (SignalKind::terminate(), "SIGTERM", Signal::TERM),
            (SignalKind::hangup(), "SIGHUP", Signal::HUP),
        ])?;
        let program = command.get_program().to_owned();
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .with_context(|| format!("running `{}`", program.to_string_lossy()))?;
        let pid = child.id();
        let registration = pid.map(|pid| ClientRegistration::enter(state_dir, pid, client));
        let mut was_asked = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.context("waiting for the client")?,
                Some(signal) = arrivals.recv() => {
                    was_asked = true;
                    let is_from_terminal = has_terminal && matches!(signal, Signal::INT | Signal::QUIT);
                    if !is_from_terminal {
                        pass_on(pid, signal);
                    }
                }
            }
        };
        if let Some(registration) = registration {
            registration.leave(status, was_asked);
        }
        Ok(status)
    })
}

/// A client that has gone meanwhile needs none.
fn pass_on(pid: Option<u32>, signal: Signal) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}
