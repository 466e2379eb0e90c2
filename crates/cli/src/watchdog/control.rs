//! Commands that ask something of a running watchdog: its status, the life of the proxy, and what is pending.

use std::process::ExitCode;
use std::time::Duration;

use latimer_watchdog::run::control::Request;
use serde_json::Value;

use crate::configuration::ReportArgs;
use crate::control_client::{
    ANSWER_TIMEOUT, request, status as read_status, status_lines, stop as stop_watchdog,
};
use crate::terminal::{print_json, print_json_line, print_line, print_lines};

/// How long a new proxy may take to become well.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog status --json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    report: ReportArgs,
}

/// What the commands take that change whether a proxy runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog upgrade\n  latimer-watchdog restart\n  latimer-watchdog stop"
)]
pub(crate) struct LifecycleArgs {
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog cancel      cancel everything that waits\n  latimer-watchdog cancel 12   cancel one action"
)]
pub(crate) struct CancelArgs {
    /// The number of the action; without it, all of them
    id: Option<u64>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog accept 12")]
pub(crate) struct AcceptArgs {
    /// The number in the alert
    id: u64,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog silence B2 --for 3600   only count this fault for an hour\n  latimer-watchdog silence B2 --for 0      act on it again"
)]
pub(crate) struct SilenceArgs {
    /// The code of the fault, such as `B2`
    fault: String,
    /// For so many seconds; 0 ends the silence; without it, until it is ended
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn status(StatusArgs { report }: &StatusArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Status, ANSWER_TIMEOUT)?;
    if report.json {
        print_json(&answer)?;
    } else {
        print_lines(status_lines(&read_status(answer)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn upgrade(LifecycleArgs { report }: &LifecycleArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Upgrade, UPGRADE_TIMEOUT)?;
    let pid = answer.get("pid").and_then(Value::as_u64).unwrap_or_default();
    let text = format!("the new proxy serves (process {pid}); the old one ends with its last turn");
    print_lifecycle(report, &answer, &text)
}

pub(crate) fn start(LifecycleArgs { report }: &LifecycleArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Start, ANSWER_TIMEOUT)?;
    print_lifecycle(report, &answer, "starting; `latimer-watchdog status` shows how it goes")
}

pub(crate) fn restart(LifecycleArgs { report }: &LifecycleArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Restart, ANSWER_TIMEOUT)?;
    print_lifecycle(report, &answer, "restarting; `latimer-watchdog status` shows how it goes")
}

pub(crate) fn stop(LifecycleArgs { report }: &LifecycleArgs) -> anyhow::Result<ExitCode> {
    let answer = stop_watchdog(&report.paths.state_dir()?, report.paths.grace())?;
    print_lifecycle(report, &answer, "stopped")
}

pub(crate) fn cancel(CancelArgs { id, report }: &CancelArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Cancel { id: *id }, ANSWER_TIMEOUT)?;
    print_answer(report, &answer, &cancel_text(&answer))
}

pub(crate) fn accept(AcceptArgs { id, report }: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&report.paths.state_dir()?, &Request::Accept { id: *id }, ANSWER_TIMEOUT)?;
    print_answer(report, &answer, "accepted")
}

pub(crate) fn silence(SilenceArgs { fault, seconds, report }: &SilenceArgs) -> anyhow::Result<ExitCode> {
    let silence = Request::Silence { fault: fault.clone(), seconds: *seconds };
    let answer = request(&report.paths.state_dir()?, &silence, ANSWER_TIMEOUT)?;
    let fault = answer.get("fault").and_then(Value::as_str).unwrap_or_default();
    print_answer(report, &answer, &silence_text(fault, *seconds))
}

fn cancel_text(answer: &Value) -> String {
    match answer.get("cancelled").and_then(Value::as_array).map_or(0, Vec::len) {
        0 => "nothing waits to be done".to_owned(),
        count => format!("cancelled {count}"),
    }
}

fn silence_text(fault: &str, seconds: Option<u64>) -> String {
    match seconds {
        Some(0) => format!("{fault} is acted on again"),
        Some(seconds) => format!("{fault} is only counted for {seconds} s"),
        None => format!("{fault} is only counted from now on"),
    }
}

/// The answer on one line of JSON, or a text for people.
fn print_lifecycle(report: &ReportArgs, answer: &Value, text: &str) -> anyhow::Result<ExitCode> {
    if report.json {
        print_json_line(answer)?;
    } else {
        print_line(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The answer as indented JSON, or a text for people.
fn print_answer(report: &ReportArgs, answer: &Value, text: &str) -> anyhow::Result<ExitCode> {
    if report.json {
        print_json(answer)?;
    } else {
        print_line(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_is_told_how_much_was_cancelled() {
        assert_eq!(cancel_text(&json!({ "cancelled": [1, 2] })), "cancelled 2");
        assert_eq!(cancel_text(&json!({ "cancelled": [] })), "nothing waits to be done");
        assert_eq!(cancel_text(&json!({})), "nothing waits to be done");
    }

    #[test]
    fn a_silence_says_how_long_it_holds() {
        assert_eq!(silence_text("B2", Some(0)), "B2 is acted on again");
        assert_eq!(silence_text("B2", Some(60)), "B2 is only counted for 60 s");
        assert_eq!(silence_text("B2", None), "B2 is only counted from now on");
    }
}
