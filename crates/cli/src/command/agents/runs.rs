//! `latimer agents run`, `runs`, `show`, `cancel` and `push`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Agents, escaped, text, words};
use crate::exit::Exit;
use crate::terminal::{eprint_line, note_line, print_line, print_lines};

/// How long one request waits for the end of a run, and what it may take beside that.
const WAIT: u64 = 30;
const WAIT_LIMIT: Duration = Duration::from_secs(WAIT + 10);
/// Characters of what was asked that a line shows.
const MAX_SHOWN: usize = 60;

#[derive(Debug, clap::Args)]
pub(super) struct StartRunArgs {
    /// The profile's id
    profile: String,
    /// What is asked; `-`, or nothing, reads stdin
    text: Option<String>,
    /// Wait until it is over, and print the result
    #[arg(long)]
    wait: bool,
    /// How long it may take, such as `90s`, `10m`, `2h`
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunsArgs {
    /// Only those that stand here
    #[arg(long, value_parser = ["queued", "running", "completed", "failed", "timed_out", "cancelled"])]
    status: Option<String>,
    /// Only those of this profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// How many
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    lines: u16,
}

pub(super) fn start(agents: &Agents, args: &StartRunArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "profile": args.profile, "input": words(args.text.as_deref())? });
    if let Some(timeout) = &args.timeout {
        body["timeout"] = json!(timeout);
    }
    let started = agents.post("runs", &body)?;
    let id = text(&started, "id").to_owned();
    if !args.wait {
        if !agents.shows_json(&started)? {
            print_line(&id)?;
            note_line(&format!("`latimer agents show {id}` tells how it goes"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    note_line(&format!("{id}; Ctrl-C leaves it at work"));
    let path = format!("runs/{id}?wait={WAIT}");
    let run = loop {
        let run = agents.get_within(&path, WAIT_LIMIT)?;
        if !matches!(text(&run, "status"), "queued" | "running") {
            break run;
        }
    };
    let is_fine = run["status"] == "completed";
    if !agents.shows_json(&run)? {
        if is_fine {
            print_line(text(&run, "result"))?;
        } else {
            eprint_line(&format!("{id} {}: {}", text(&run, "status"), text(&run["error"], "message")));
        }
    }
    Ok(match text(&run, "status") {
        "completed" => ExitCode::SUCCESS,
        "timed_out" => Exit::TimedOut.into(),
        _ => ExitCode::FAILURE,
    })
}

pub(super) fn list(agents: &Agents, args: &RunsArgs) -> anyhow::Result<()> {
    let mut path = format!("runs?limit={}", args.lines);
    for (name, value) in [("status", &args.status), ("profile", &args.profile)] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", escaped(value));
        }
    }
    let document = agents.get(&path)?;
    if agents.shows_json(&document)? {
        return Ok(());
    }
    let none = Vec::new();
    let runs = document["data"].as_array().unwrap_or(&none);
    if runs.is_empty() {
        return print_line("no such run; `latimer agents run PROFILE …` begins one");
    }
    print_lines(runs.iter().map(line))
}

pub(super) fn show(agents: &Agents, run: &str) -> anyhow::Result<()> {
    let document = agents.get(&format!("runs/{}", escaped(run)))?;
    if agents.shows_json(&document)? {
        return Ok(());
    }
    print_lines(details(&document))
}

pub(super) fn cancel(agents: &Agents, run: &str) -> anyhow::Result<()> {
    let document = agents.post(&format!("runs/{}/cancel", escaped(run)), &json!({}))?;
    if agents.shows_json(&document)? {
        return Ok(());
    }
    print_line(&format!("{run} is {}", text(&document, "status")))
}

pub(super) fn push(agents: &Agents, run: &str, said: &str) -> anyhow::Result<()> {
    let body = json!({ "text": words(Some(said))? });
    let document = agents.post(&format!("runs/{}/input", escaped(run)), &body)?;
    if agents.shows_json(&document)? {
        return Ok(());
    }
    print_line(&format!("{run} is told; it does not end before it has answered that"))
}

fn line(run: &Value) -> String {
    let input = text(run, "input");
    let first = input.lines().next().unwrap_or_default();
    let mut shown: String = first.chars().take(MAX_SHOWN).collect();
    if shown.len() < input.len() {
        shown.push('…');
    }
    format!("{}  {:9}  {}  {shown}", text(run, "id"), text(run, "status"), text(run, "profile"))
}

fn details(run: &Value) -> Vec<String> {
    let mut lines = vec![line(run)];
    let seconds = |from: &str, to: &str| Some(run[to].as_u64()?.saturating_sub(run[from].as_u64()?));
    if let Some(took) = seconds("started", "ended") {
        lines.push(format!("  took {took} s of {} s", run["timeout"]));
    }
    let usage = &run["usage"];
    lines.push(format!(
        "  {} turn(s), {} tokens in ({} cached), {} out",
        usage["turns"], usage["input_tokens"], usage["cached_tokens"], usage["output_tokens"]
    ));
    if let Some(message) = run["error"]["message"].as_str() {
        lines.push(format!("  {}: {message}", text(&run["error"], "code")));
    }
    if let Some(result) = run["result"].as_str() {
        lines.push(String::new());
        lines.extend(result.lines().map(str::to_owned));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_one_line_and_its_details_are_below() {
        let run = json!({
            "id": "run_1", "status": "completed", "profile": "lab", "input": "Look\nat it", "result": "Done.\nAll of it.", "error": null,
            "timeout": 60, "started": 5, "ended": 9, "usage": { "turns": 1, "input_tokens": 9, "cached_tokens": 3, "output_tokens": 4 },
        });
        assert_eq!(line(&run), "run_1  completed  lab  Look…");
        assert_eq!(
            details(&run)[1..],
            ["  took 4 s of 60 s", "  1 turn(s), 9 tokens in (3 cached), 4 out", "", "Done.", "All of it."]
        );
        let failed = json!({ "id": "run_1", "status": "failed", "profile": "lab", "input": "x", "error": { "code": "timeout", "message": "too long" }, "usage": {} });
        assert!(details(&failed).contains(&"  timeout: too long".to_owned()));
    }
}
