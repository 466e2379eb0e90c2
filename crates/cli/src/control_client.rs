//! Asks a running watchdog over its control socket, and writes its status for people.

use std::path::Path;
use std::time::Duration;

use crate::clock;
use anyhow::{Context as _, ensure};
use latimer_protocol::status::duration_text;
use latimer_watchdog::run::control::{ControlError, Request, ask};
use latimer_watchdog::run::status::WatchdogStatus;
use serde_json::Value;

/// How long a simple answer may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a watchdog that ends is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// What ending takes beside the time that open turns get.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// Sends a request to the watchdog of this state directory.
///
/// # Errors
/// None runs, it refuses, or it takes longer than this.
pub(crate) fn request(state_dir: &Path, request: &Request, timeout: Duration) -> anyhow::Result<Value> {
    ask(state_dir, request, timeout)
        .with_context(|| format!("asking the watchdog of `{}`", state_dir.display()))
}

/// The answer to a request; `None` when no watchdog runs on this state directory.
///
/// # Errors
/// It refuses, or does not answer in time.
pub(crate) fn request_if_running(state_dir: &Path, request: &Request) -> anyhow::Result<Option<Value>> {
    match ask(state_dir, request, ANSWER_TIMEOUT) {
        Ok(value) => Ok(Some(value)),
        Err(ControlError::Nobody) => Ok(None),
        Err(error) => Err(error).context("asking the watchdog"),
    }
}

/// The status of the watchdog of this state directory; `None` when none runs.
///
/// # Errors
/// It does not answer in time, or with something that this version does not know.
pub(crate) fn status_if_running(state_dir: &Path) -> anyhow::Result<Option<WatchdogStatus>> {
    let answer = request_if_running(state_dir, &Request::Status)?;
    answer.map(status).transpose()
}

/// The answer to [`Request::Status`], read.
///
/// # Errors
/// It came from a watchdog of another version.
pub(crate) fn status(answer: Value) -> anyhow::Result<WatchdogStatus> {
    serde_json::from_value(answer).context("a watchdog of another version answered; restart it")
}

/// The longest that ending everything may take, when open turns get this long.
pub(crate) fn stop_timeout(grace: Duration) -> Duration {
    grace + STOP_MARGIN
}

/// Ends the watchdog and its proxy, and waits until both are gone.
///
/// # Errors
/// None runs, or it still runs after [`stop_timeout`].
pub(crate) fn stop(state_dir: &Path, grace: Duration) -> anyhow::Result<Value> {
    let timeout = stop_timeout(grace);
    let answer = request(state_dir, &Request::Stop, ANSWER_TIMEOUT)?;
    let asked_at = clock::now();
    while ask(state_dir, &Request::Status, ANSWER_TIMEOUT).is_ok() {
        ensure!(asked_at.elapsed() < timeout, "it still runs after {} s", timeout.as_secs());
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(answer)
}

/// A status for people, in several lines.
pub(crate) fn status_lines(status: &WatchdogStatus) -> Vec<String> {
    let phase = serde_json::to_value(status.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned));
    let mut lines = vec![format!(
        "{} on http://{}, watched for {} by process {}",
        phase.unwrap_or_default(),
        status.address,
        duration_text(status.uptime_s),
        status.pid
    )];
    match &status.proxy {
        Some(proxy) => lines.push(format!(
            "proxy: process {}, up {}, {} MB, {} descriptors{}",
            proxy.pid,
            duration_text(proxy.uptime_s),
            proxy.memory_bytes >> 20,
            proxy.descriptors,
            if proxy.well { "" } else { ", has not answered a turn yet" }
        )),
        None => lines.push("proxy: none runs".to_owned()),
    }
    lines.push(format!("starts: {}", status.starts));
    for client in &status.clients {
        lines.push(format!(
            "client: {} (process {}, {} MB)",
            client.name,
            client.pid,
            client.memory_bytes >> 20
        ));
    }
    for pending in &status.pending {
        lines.push(format!(
            "pending: {} in {} ms; `latimer-watchdog cancel {}` prevents it",
            pending.action, pending.in_ms, pending.id
        ));
    }
    for alert in &status.alerts {
        let fault = alert.fault.as_deref().map_or_else(String::new, |fault| format!("{fault}: "));
        lines.push(format!("alert: {fault}{}", alert.text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_watchdog_there_is_no_status() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(status_if_running(dir.path()).expect("no error"), None);
        let error = request(dir.path(), &Request::Status, ANSWER_TIMEOUT).expect_err("nobody");
        assert!(format!("{error:#}").contains("no watchdog runs on this state directory"), "{error:#}");
    }

    #[test]
    fn a_status_names_what_is_pending_and_how_to_prevent_it() {
        let status = status(json!({
            "pid": 7, "version": "1", "uptime_s": 61, "address": "127.0.0.1:1", "phase": "serving", "starts": 2,
            "proxy": { "pid": 8, "uptime_s": 5, "well": false, "memory_bytes": 3 << 20, "descriptors": 9 },
            "clients": [{ "pid": 9, "name": "codex", "memory_bytes": 2 << 20 }],
            "pending": [{ "id": 12, "action": "restart", "in_ms": 900 }],
            "alerts": [{ "at": 1, "fault": "B2", "text": "look at the key" }],
        }))
        .expect("a status");
        let expected = [
            "serving on http://127.0.0.1:1, watched for 1 min by process 7",
            "proxy: process 8, up 5 s, 3 MB, 9 descriptors, has not answered a turn yet",
            "starts: 2",
            "client: codex (process 9, 2 MB)",
            "pending: restart in 900 ms; `latimer-watchdog cancel 12` prevents it",
            "alert: B2: look at the key",
        ];
        assert_eq!(status_lines(&status), expected);
    }

    #[test]
    fn an_answer_of_another_version_is_said_to_be_one() {
        let error = status(json!({ "pid": "seven" })).expect_err("not a status");
        assert!(error.to_string().contains("another version"), "{error}");
    }
}
