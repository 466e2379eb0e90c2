//! `latimer agents cron`: schedules, and what the proxy does by itself.

use latimer_protocol::printable::escaped as printable;
use latimer_protocol::status::duration_text;
use serde_json::{Value, json};

use super::ask::{Agents, escaped, text, words};
use crate::clock::unix_seconds;
use crate::terminal::{print_line, print_lines};

/// Characters of an input that a line shows.
const MAX_SHOWN: usize = 60;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer agents cron add reviewer \"Read yesterday's commits\" --cron \"0 9 * * 1-5\" --zone Europe/Vienna\n  latimer agents cron add janitor \"Tidy the notes\" --every 7d --catch-up none\n  latimer agents cron add writer - --at 2026-12-24T18:00 < letter.md\n  latimer agents cron list --system\n  latimer agents cron pause sch_5f2c90d1a7b3e846\n\nThe proxy begins what is due as long as it runs. docs/schedules.md says what happens over sleep, restart and summer time."
)]
pub(super) struct CronArgs {
    #[command(subcommand)]
    action: CronAction,
}

#[derive(Debug, clap::Subcommand)]
enum CronAction {
    /// Give a profile an input by the clock
    Add(AddArgs),
    /// List schedules, with their next time and what became of the last one
    List {
        /// What the proxy does by itself: refreshes, clean-ups, looks
        #[arg(long)]
        system: bool,
    },
    /// Delete a schedule; a run under way goes on
    Rm(NamedArgs),
    /// Begin nothing any more; a run under way goes on
    Pause(NamedArgs),
    /// Come due again, at the next time of its step
    Resume(NamedArgs),
    /// Begin a run now; its times stay as they are
    Run(NamedArgs),
}

#[derive(Debug, clap::Args)]
struct NamedArgs {
    /// Its name, such as `sch_5f2c90d1a7b3e846`
    id: String,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("when").required(true))]
struct AddArgs {
    /// The profile's id
    profile: String,
    /// What is asked each time; `-`, or nothing, reads stdin
    text: Option<String>,
    /// After each time of this length, such as `30s`, `2h`, `30d`
    #[arg(long, value_name = "TIME", group = "when")]
    every: Option<String>,
    /// By the calendar, such as `0 9 * * 1-5` or `@daily`
    #[arg(long, value_name = "FIELDS", group = "when")]
    cron: Option<String>,
    /// Once, such as `2026-12-01T09:00`
    #[arg(long, value_name = "TIME", group = "when")]
    at: Option<String>,
    /// Where the times of day of --cron and --at are, such as `Europe/Vienna`; else the zone of the machine
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What becomes of a time that comes while the last run still works
    #[arg(long, value_parser = ["skip", "queue"])]
    overlap: Option<String>,
    /// How many of the times are made up for that were missed
    #[arg(long, value_parser = ["one", "none"])]
    catch_up: Option<String>,
}

pub(super) fn run(agents: &Agents, args: &CronArgs) -> anyhow::Result<()> {
    match &args.action {
        CronAction::Add(wanted) => add(agents, wanted),
        CronAction::List { system: true } => {
            let document = agents.get("schedules?system=true")?;
            if agents.shows_json(&document)? {
                return Ok(());
            }
            print_lines(system_lines(&document, unix_seconds()))
        }
        CronAction::List { system: false } => {
            let document = agents.get("schedules")?;
            if agents.shows_json(&document)? {
                return Ok(());
            }
            print_lines(lines(&document, unix_seconds()))
        }
        CronAction::Rm(NamedArgs { id }) => {
            let answer = agents.delete(&path(id))?;
            tell(agents, &answer, || format!("the schedule {id} is deleted"))
        }
        CronAction::Pause(NamedArgs { id }) => {
            let answer = agents.patch(&path(id), &json!({ "enabled": false }))?;
            tell(agents, &answer, || {
                format!("{id} is paused; `latimer agents cron resume {id}` has it go on")
            })
        }
        CronAction::Resume(NamedArgs { id }) => {
            let answer = agents.patch(&path(id), &json!({ "enabled": true }))?;
            tell(agents, &answer, || format!("{id} goes on, {}", next(&answer, unix_seconds())))
        }
        CronAction::Run(NamedArgs { id }) => {
            let answer = agents.post(&format!("{}/run", path(id)), &json!({}))?;
            tell(agents, &answer, || text(&answer, "id").to_owned())
        }
    }
}

fn path(id: &str) -> String {
    format!("schedules/{}", escaped(id))
}

fn tell(agents: &Agents, answer: &Value, words: impl FnOnce() -> String) -> anyhow::Result<()> {
    if agents.shows_json(answer)? { Ok(()) } else { print_line(&words()) }
}

fn add(agents: &Agents, args: &AddArgs) -> anyhow::Result<()> {
    let mut body = json!({ "profile": args.profile, "input": words(args.text.as_deref())? });
    for (name, value) in [
        ("every", &args.every),
        ("cron", &args.cron),
        ("at", &args.at),
        ("zone", &args.zone),
        ("overlap", &args.overlap),
        ("catch_up", &args.catch_up),
    ] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let made = agents.post("schedules", &body)?;
    tell(agents, &made, || format!("{}  {}", text(&made, "id"), next(&made, unix_seconds())))
}

/// When it comes due, in words.
fn next(schedule: &Value, now: u64) -> String {
    match schedule["next_run_at"].as_u64() {
        Some(at) if at > now => format!("next in {}", duration_text(at - now)),
        Some(_) => "due now".to_owned(),
        None => "never due".to_owned(),
    }
}

/// What became of the last time, in words; nothing where there was none.
fn last(row: &Value, now: u64) -> String {
    let status = text(row, "last_status");
    if status.is_empty() {
        return String::new();
    }
    let begun = row["last_run_at"]
        .as_u64()
        .map(|at| format!(" (begun {} ago)", duration_text(now.saturating_sub(at))));
    let error = row["last_error"].as_str().map(|error| format!(": {}", printable(error)));
    format!(", last {status}{}{}", begun.unwrap_or_default(), error.unwrap_or_default())
}

fn lines(document: &Value, now: u64) -> Vec<String> {
    let none = Vec::new();
    let schedules = document["data"].as_array().unwrap_or(&none);
    if schedules.is_empty() {
        return vec!["no schedule yet; `latimer agents cron add PROFILE … --every 1d` makes one".to_owned()];
    }
    schedules.iter().flat_map(|schedule| schedule_lines(schedule, now)).collect()
}

fn schedule_lines(schedule: &Value, now: u64) -> [String; 2] {
    let zone = text(schedule, "zone");
    let when = match (schedule["every"].as_str(), schedule["cron"].as_str(), schedule["at"].as_str()) {
        (Some(every), ..) => format!("every {every}"),
        (_, Some(cron), _) => format!("cron {cron} ({zone})"),
        (.., at) => format!("at {} ({zone})", at.unwrap_or_default()),
    };
    let state = match (schedule["enabled"].as_bool(), schedule["next_run_at"].as_u64()) {
        (Some(true), _) => next(schedule, now),
        _ if schedule["at"].is_string() && schedule["run_count"].as_u64() > Some(0) => "over".to_owned(),
        _ => "paused".to_owned(),
    };
    let waits = if schedule["waits"] == true { ", one waits" } else { "" };
    let (id, profile) = (text(schedule, "id"), text(schedule, "profile"));
    let runs = schedule["run_count"].as_u64().unwrap_or(0);
    let asked: String = text(schedule, "input").chars().take(MAX_SHOWN).collect();
    [
        format!("{id}  {profile}  {when}  {state}, {runs} run(s){waits}{}", last(schedule, now)),
        format!("  {}", printable(asked.lines().next().unwrap_or_default())),
    ]
}

fn system_lines(document: &Value, now: u64) -> Vec<String> {
    let none = Vec::new();
    let jobs = document["data"].as_array().unwrap_or(&none);
    let width = jobs.iter().map(|job| text(job, "id").len()).max().unwrap_or(0);
    let line = |job: &Value| {
        let period = match job["every_ms"].as_u64().unwrap_or(0) {
            short if short % 1000 != 0 => format!("{short} ms"),
            whole => duration_text(whole / 1000),
        };
        let (name, what) = (text(job, "id"), text(job, "what"));
        let runs = job["run_count"].as_u64().unwrap_or(0);
        format!("{name:width$}  every {period}, {}, {runs} run(s){}  {what}", next(job, now), last(job, now))
    };
    jobs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_two_lines() {
        let document = json!({ "data": [
            { "id": "sch_1", "profile": "reviewer", "input": "Look\nwell", "cron": "0 9 * * *", "zone": "Europe/Vienna", "enabled": true,
              "next_run_at": 1000 + 7260, "last_run_at": 400, "last_status": "failed", "last_error": "no profile", "run_count": 3, "waits": true },
            { "id": "sch_2", "profile": "p", "input": "x", "every": "30s", "enabled": false, "next_run_at": null, "run_count": 0 },
            { "id": "sch_3", "profile": "p", "input": "x", "at": "2026-12-01T09:00:00Z", "zone": "UTC", "enabled": false, "run_count": 1,
              "last_run_at": 940, "last_status": "completed" },
        ] });
        assert_eq!(
            lines(&document, 1000),
            [
                "sch_1  reviewer  cron 0 9 * * * (Europe/Vienna)  next in 2 h 1 min, 3 run(s), one waits, last failed (begun 10 min ago): no profile",
                "  Look",
                "sch_2  p  every 30s  paused, 0 run(s)",
                "  x",
                "sch_3  p  at 2026-12-01T09:00:00Z (UTC)  over, 1 run(s), last completed (begun 1 min ago)",
                "  x",
            ]
        );
        assert!(lines(&json!({ "data": [] }), 0)[0].contains("cron add"));
    }

    #[test]
    fn a_job_of_the_proxy_is_a_line() {
        let document = json!({ "data": [
            { "id": "key-exchange", "what": "keys", "every_ms": 500, "next_run_at": 1000, "last_run_at": 1000, "last_status": "completed", "run_count": 9 },
            { "id": "trim", "what": "rows", "every_ms": 600_000, "next_run_at": 1060, "last_status": "waiting", "run_count": 0 },
        ] });
        assert_eq!(
            system_lines(&document, 1000),
            [
                "key-exchange  every 500 ms, due now, 9 run(s), last completed (begun 0 s ago)  keys",
                "trim          every 10 min, next in 1 min, 0 run(s), last waiting  rows",
            ]
        );
    }
}
