//! `latimer up` and `latimer down`: the watchdog and its proxy in the background.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::status::Health;
use latimer_proxy::config::Config;
use latimer_watchdog::run::status::WatchdogPhase;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

/// How often a proxy that ends is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

use crate::configuration::ReportArgs;
use crate::control_client::{status_if_running, status_lines, stop, stop_timeout};
use crate::proxy_client::ProvenProxy;
use crate::spawn::start_watchdog;
use crate::terminal::{print_json, print_json_line, print_line, print_lines};
use crate::{clock, port, proxy_client, proxy_file};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer up        start the watchdog and its proxy in the background\n  latimer down      end both; open turns get their time"
)]
pub(crate) struct BackgroundArgs {
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn up(BackgroundArgs { report }: &BackgroundArgs) -> anyhow::Result<ExitCode> {
    let state_dir = report.paths.state_dir()?;
    let configuration = report.paths.configuration()?;
    let (status, is_new) = if let Some(status) = status_if_running(&state_dir)? {
        (status, false)
    } else {
        refuse_taken(&state_dir, &configuration.loaded.config)?;
        (start_watchdog(&state_dir, &configuration, None, None)?, true)
    };
    if report.json {
        print_json(&status)?;
    } else {
        let headline = if is_new { "started" } else { "runs already" };
        print_line(headline)?;
        print_lines(status_lines(&status))?;
    }
    Ok(if status.phase == WatchdogPhase::Holding { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says who holds the address before anything is started that could only fail. A proxy of ours that runs there is adopted.
fn refuse_taken(state_dir: &Path, config: &Config) -> anyhow::Result<()> {
    let address = config.server.listen;
    let is_ours = proxy_client::find(state_dir, config)?.is_some() || proxy_file::url(state_dir).is_some();
    anyhow::ensure!(
        is_ours || port::is_free(address),
        "another program holds {address}; end it, or give latimer another address: server.listen = \"{}\"",
        port::next_free(address)?
    );
    Ok(())
}

pub(crate) fn down(BackgroundArgs { report }: &BackgroundArgs) -> anyhow::Result<ExitCode> {
    let state_dir = report.paths.state_dir()?;
    let was_running = if status_if_running(&state_dir)?.is_some() {
        stop(&state_dir, report.paths.grace())?;
        true
    } else {
        stop_unwatched(report, &state_dir)?
    };
    if report.json {
        print_json_line(&json!({ "was_running": was_running }))?;
    } else {
        print_line(if was_running { "stopped" } else { "nothing runs" })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A proxy that runs without a watchdog, with its health; `None` where none does, or the configuration does not say where to look.
fn unwatched(report: &ReportArgs, state_dir: &Path) -> Option<(ProvenProxy, Health)> {
    let config = report.paths.configuration().ok()?.loaded.config;
    let proxy = proxy_client::find(state_dir, &config).ok()??;
    let health = proxy.health()?;
    Some((proxy, health))
}

/// Ends a proxy that runs without a watchdog, and waits until it is gone; `false` where none runs.
fn stop_unwatched(report: &ReportArgs, state_dir: &Path) -> anyhow::Result<bool> {
    let Some((proxy, health)) = unwatched(report, state_dir) else { return Ok(false) };
    let pid = i32::try_from(health.pid).ok().and_then(Pid::from_raw).context("the proxy says no process")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("stopping process {}", health.pid))?;
    let (asked_at, timeout) = (clock::now(), stop_timeout(report.paths.grace()));
    // It takes its announcement away when its last turn is over.
    let is_announced = || proxy_file::url(state_dir).as_deref() == Some(proxy.url.as_str());
    while is_announced() && test_kill_process(pid).is_ok() {
        anyhow::ensure!(
            asked_at.elapsed() < timeout,
            "the proxy at {} (process {}) still runs after {} s",
            proxy.url,
            health.pid,
            timeout.as_secs()
        );
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(true)
}
