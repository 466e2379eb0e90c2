//! Commands that ask a running watchdog.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use latimer_watchdog::run::control::{Request, ask};
use latimer_watchdog::run::status::WatchdogStatus;
use serde_json::Value;

use super::run::patience;
use crate::setup::{self, Places};

/// How long a simple answer may take.
const SOON: Duration = Duration::from_secs(5);
/// How long a new proxy may take to become well.
const UPGRADE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog status --json")]
pub(crate) struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog upgrade\n  latimer-watchdog restart\n  latimer-watchdog stop"
)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Status, SOON)?;
    if args.json {
        setup::say(&serde_json::to_string_pretty(&value)?)?;
    } else {
        let status: WatchdogStatus =
            serde_json::from_value(value).context("a watchdog of another version answered")?;
        setup::say(&words(&status))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn upgrade(args: &Args) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Upgrade, UPGRADE)?;
    let pid = value.get("pid").and_then(Value::as_u64).unwrap_or_default();
    say(
        args.json,
        &value,
        &format!("the new proxy serves (process {pid}); the old one ends with its last turn"),
    )
}

pub(crate) fn start(args: &Args) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Start, SOON)?;
    say(args.json, &value, "starting; `latimer-watchdog status` shows how it goes")
}

pub(crate) fn restart(args: &Args) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Restart, SOON)?;
    say(args.json, &value, "restarting; `latimer-watchdog status` shows how it goes")
}

pub(crate) fn stop(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    // A configuration that is broken by now is no reason not to stop.
    let grace =
        args.places.configuration().map_or(Duration::from_secs(30), |read| read.loaded.config.server.grace);
    let value = end(&state_dir, patience(grace))?;
    say(args.json, &value, "stopped")
}

/// Ends the watchdog and its proxy, and waits until both are gone.
pub(crate) fn end(state_dir: &Path, patience: Duration) -> anyhow::Result<Value> {
    let value = request(state_dir, &Request::Stop, SOON)?;
    let begun = Instant::now();
    while ask(state_dir, &Request::Status, SOON).is_ok() {
        anyhow::ensure!(begun.elapsed() < patience, "it still runs after {} s", patience.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(value)
}

pub(crate) fn request(state_dir: &Path, request: &Request, patience: Duration) -> anyhow::Result<Value> {
    ask(state_dir, request, patience)
        .with_context(|| format!("asking the watchdog of `{}`", state_dir.display()))
}

fn say(json: bool, value: &Value, words: &str) -> anyhow::Result<ExitCode> {
    if json {
        setup::say(&value.to_string())?;
    } else {
        setup::say(words)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A status for people.
pub(crate) fn words(status: &WatchdogStatus) -> String {
    let phase = serde_json::to_value(status.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned));
    let mut lines = vec![format!(
        "{} on http://{}, watched for {} by process {}",
        phase.unwrap_or_default(),
        status.address,
        length(status.uptime_s),
        status.pid
    )];
    match &status.proxy {
        Some(proxy) => lines.push(format!(
            "proxy: process {}, up {}, {} MB, {} descriptors{}",
            proxy.pid,
            length(proxy.uptime_s),
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
    lines.join("\n")
}

fn length(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}
