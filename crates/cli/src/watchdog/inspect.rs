//! Commands that only look: incidents, rules, recordings, everything as one document. They need no running watchdog: without one they
//! read its files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_watchdog::decide::State;
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::file::RulesInUse;
use latimer_watchdog::run::control::Request;
use latimer_watchdog::run::decider::{RECORD_FILE, SIGNALS_FILE};
use latimer_watchdog::simulate::replay;
use latimer_watchdog::time::Time;
use serde_json::Value;

use crate::clock::unix_time;
use crate::configuration::{PathArgs, ReportArgs, read_text};
use crate::control_client::request_if_running;
use crate::terminal::{LinesError, eprint_line, print_json, print_line, print_lines, print_rows};
use crate::watchdog_settings;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog incidents     what was seen, and what helped\n  latimer-watchdog rules --json  every rule\n  latimer-watchdog export        everything as one JSON document"
)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog show 7")]
pub(crate) struct ShowArgs {
    /// The number of the incident
    id: u64,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog simulate                       what the last recording would lead to now\n  latimer-watchdog simulate night.jsonl --rules new-rules.toml"
)]
pub(crate) struct SimulateArgs {
    /// The recording [default: `signals.jsonl` of the state directory]
    log: Option<PathBuf>,
    /// Rules to try, in place of those in use
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn incidents(InspectArgs { report }: &InspectArgs) -> anyhow::Result<ExitCode> {
    let document = document(&report.paths)?;
    let incidents = list(&document, "incidents");
    if report.json {
        print_json(&document["incidents"])?;
    } else if incidents.is_empty() {
        print_line("nothing was seen yet")?;
    } else {
        print_rows(incidents.iter().map(incident_line))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let document = document(&args.report.paths)?;
    let incident = list(&document, "incidents").iter().find(|incident| incident["id"] == args.id);
    let Some(incident) = incident else {
        bail!("there is no incident {}; `latimer-watchdog incidents` lists them", args.id);
    };
    if args.report.json {
        print_json(incident)?;
    } else {
        print_rows(incident_lines(incident))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn rules(InspectArgs { report }: &InspectArgs) -> anyhow::Result<ExitCode> {
    let document = document(&report.paths)?;
    if report.json {
        print_json(&document["rules"])?;
        return Ok(ExitCode::SUCCESS);
    }
    for problem in list(&document, "rules_refused") {
        eprint_line(&format!("the rules file is not used: {}", problem.as_str().unwrap_or_default()));
    }
    print_rows(list(&document, "rules").iter().map(rule_line))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn export(InspectArgs { report }: &InspectArgs) -> anyhow::Result<ExitCode> {
    print_json(&document(&report.paths)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let paths = &args.report.paths;
    let log = match &args.log {
        Some(log) => log.clone(),
        None => paths.state_dir()?.join(SIGNALS_FILE),
    };
    let recording = std::fs::read_to_string(&log).with_context(|| format!("reading `{}`", log.display()))?;
    let settings = watchdog_settings::of(&paths.configuration()?)?;
    let rules = read_rules(paths.config_path().as_deref(), args.rules.as_deref())?;
    // What is recorded of other nights is left out: the same recording gives the same orders wherever it is played.
    let mut state = State::new(settings, rules.rules, Record::default());
    let simulation = replay(&recording, &mut state);
    if args.report.json {
        print_json(&simulation)?;
    } else {
        print_lines(simulation.to_string().lines())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is known: from the running watchdog, else from its files.
fn document(paths: &PathArgs) -> anyhow::Result<Value> {
    let state_dir = paths.state_dir()?;
    match request_if_running(&state_dir, &Request::Export)? {
        Some(document) => Ok(document),
        None => document_from_files(paths, &state_dir),
    }
}

fn document_from_files(paths: &PathArgs, state_dir: &Path) -> anyhow::Result<Value> {
    let now = Time::ZERO.plus(unix_time());
    let record = read_record(&state_dir.join(RECORD_FILE))?;
    let settings = watchdog_settings::of(&paths.configuration()?)?;
    let rules = read_rules(paths.config_path().as_deref(), None)?;
    Ok(serde_json::to_value(State::new(settings, rules.rules, record).export(now))?)
}

/// Only looks: a broken file is left where it is for the watchdog to set aside.
fn read_record(path: &Path) -> anyhow::Result<Record> {
    match std::fs::read(path) {
        Ok(bytes) => Record::from_bytes(&bytes).with_context(|| format!("reading `{}`", path.display())),
        Err(_) => Ok(Record::default()),
    }
}

/// The rules of this file, or of the one beside the configuration.
fn read_rules(config: Option<&Path>, path: Option<&Path>) -> anyhow::Result<RulesInUse> {
    let text = match (path, config.map(watchdog_settings::rules_path)) {
        (Some(path), _) => read_text(path)?,
        (None, beside) => beside.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default(),
    };
    let mut rules = RulesInUse::default();
    if !rules.take_up(&text) {
        let problems = rules.refused.iter().map(ToString::to_string);
        return Err(LinesError::new("the rules cannot be used", problems).into());
    }
    Ok(rules)
}

fn incident_line(incident: &Value) -> String {
    let facts: Vec<String> = match &incident["facts"] {
        Value::Object(facts) => facts
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect(),
        _ => Vec::new(),
    };
    let last = serde_json::from_value::<Time>(incident["last"].clone()).unwrap_or_default();
    format!(
        "{:>4}  {:4} {} times, last {last}: {} {}",
        number(incident, "id"),
        text(incident, "fault"),
        number(incident, "seen"),
        text(incident, "title"),
        facts.join(" ")
    )
    .trim_end()
    .to_owned()
}

/// An incident with everything that was tried.
fn incident_lines(incident: &Value) -> Vec<String> {
    let fix = |fix: &Value| {
        format!(
            "  {}: helped {}, did not {}, first proposed by {}",
            text(fix, "remedy"),
            number(fix, "successes"),
            number(fix, "failures"),
            text(fix, "source")
        )
    };
    let mut lines = vec![incident_line(incident)];
    lines.extend(list(incident, "fixes").iter().map(fix));
    if number(incident, "questions") > 0 {
        lines.push(format!("  {}", question_text(incident)));
    }
    lines.push(match incident["applied"].as_str() {
        Some(remedy) => format!("  applied by itself: {remedy}"),
        None => "  nothing has helped often enough to be applied by itself".to_owned(),
    });
    lines
}

/// What the questions to a model about an incident took.
fn question_text(incident: &Value) -> String {
    let questions = number(incident, "questions");
    let times = if questions == 1 { "once".to_owned() } else { format!("{questions} times") };
    #[expect(clippy::cast_precision_loss, reason = "money is rounded for people anyway")]
    let dollars = number(incident, "cost_micros") as f64 / 1e6;
    format!("a model was asked {times}: {} tokens, ${dollars:.4}", number(incident, "tokens"))
}

fn rule_line(rule: &Value) -> String {
    let silenced = if rule["silenced"] == true { "  (silenced)" } else { "" };
    format!(
        "{:4} {:22} from {:2} on  {}{silenced}",
        text(rule, "fault"),
        text(rule, "remedy"),
        number(rule, "threshold"),
        text(rule, "title")
    )
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_incident_is_a_line_and_its_fixes_follow() {
        let incident = json!({
            "id": 7, "fault": "B2", "seen": 3, "title": "a key was refused", "facts": { "endpoint": "a" },
            "fixes": [{ "remedy": "switch_provider", "successes": 2, "failures": 1, "source": "rules" }],
        });
        let asked = json!({ "questions": 2, "tokens": 1200, "cost_micros": 3400 });
        assert_eq!(question_text(&asked), "a model was asked 2 times: 1200 tokens, $0.0034");
        let lines = incident_lines(&incident);
        assert!(lines[0].starts_with("   7  B2   3 times, last "), "{lines:?}");
        assert!(lines[0].ends_with(": a key was refused endpoint=a"), "{lines:?}");
        assert_eq!(lines[1], "  switch_provider: helped 2, did not 1, first proposed by rules");
        assert_eq!(lines[2], "  nothing has helped often enough to be applied by itself");
    }

    #[test]
    fn a_rule_that_is_silenced_says_so() {
        let rule = json!({ "fault": "B2", "remedy": "wait", "threshold": 3, "title": "t", "silenced": true });
        assert_eq!(rule_line(&rule), format!("B2   {:22} from  3 on  t  (silenced)", "wait"));
    }

    #[test]
    fn rules_stand_in_a_named_file_or_beside_the_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("config.toml");
        let own = read_rules(Some(&config), None).expect("rules").rules;
        assert_eq!(own, read_rules(None, None).expect("rules").rules, "the built-in ones");
        std::fs::write(dir.path().join("watchdog-rules.toml"), "nonsense = 1\n").expect("written");
        let error = read_rules(Some(&config), None).expect_err("refused").to_string();
        assert!(error.starts_with("the rules cannot be used\n"), "{error}");
        assert!(read_rules(None, Some(&dir.path().join("none.toml"))).is_err(), "a named file must be there");
    }

    #[test]
    fn a_record_that_is_not_there_is_empty_and_a_broken_one_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(RECORD_FILE);
        assert!(read_record(&path).is_ok());
        std::fs::write(&path, "{").expect("written");
        assert!(read_record(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "{");
    }
}
