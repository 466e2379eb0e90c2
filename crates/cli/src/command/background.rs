//! `latimer up` and `latimer down`: the watchdog and its proxy in the background.

use std::process::ExitCode;

use latimer_watchdog::run::status::WatchdogPhase;
use serde_json::json;

use crate::configuration::ReportArgs;
use crate::control_client::{status_if_running, status_lines, stop};
use crate::spawn::start_watchdog;
use crate::terminal::{print_json, print_json_line, print_line, print_lines};

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
    let (status, is_new) = match status_if_running(&state_dir)? {
        Some(status) => (status, false),
        None => (start_watchdog(&state_dir, &configuration, None)?, true),
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

pub(crate) fn down(BackgroundArgs { report }: &BackgroundArgs) -> anyhow::Result<ExitCode> {
    let state_dir = report.paths.state_dir()?;
    let was_running = status_if_running(&state_dir)?.is_some();
    if was_running {
        stop(&state_dir, report.paths.grace())?;
    }
    if report.json {
        print_json_line(&json!({ "was_running": was_running }))?;
    } else {
        print_line(if was_running { "stopped" } else { "nothing runs" })?;
    }
    Ok(ExitCode::SUCCESS)
}
