//! What a person can look at and say: incidents, rules, recordings; cancel, silence, accept.
//!
//! What is only looked at is also there without a running watchdog: it is read from the files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use latimer_watchdog::decide::State;
use latimer_watchdog::incidents::file;
use latimer_watchdog::rules::file::RulesInUse;
use latimer_watchdog::run::control::{ControlError, Request, ask};
use latimer_watchdog::run::decider::{RECORD_FILE, SIGNALS_FILE};
use latimer_watchdog::simulate::replay;
use latimer_watchdog::time::Time;
use serde_json::Value;

use super::ask::request;
use super::settings;
use crate::setup::{self, Places};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog incidents     what was seen, and what helped\n  latimer-watchdog rules --json  every rule\n  latimer-watchdog export        everything as one JSON document"
)]
pub(crate) struct LookArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog show 7")]
pub(crate) struct ShowArgs {
    /// The number of the incident
    id: u64,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
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
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog cancel      cancel everything that waits\n  latimer-watchdog cancel 12   cancel one action"
)]
pub(crate) struct CancelArgs {
    /// The number of the action; without it, all of them
    id: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer-watchdog accept 12")]
pub(crate) struct AcceptArgs {
    /// The number in the alert
    id: u64,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
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
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn incidents(args: &LookArgs) -> anyhow::Result<ExitCode> {
    let export = export_of(&args.places)?;
    let incidents = list(&export, "incidents");
    if args.json {
        return say_json(&export["incidents"]);
    }
    if incidents.is_empty() {
        return say("nothing was seen yet");
    }
    for incident in incidents {
        say(&incident_line(incident))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let export = export_of(&args.places)?;
    let found = list(&export, "incidents").iter().find(|incident| incident["id"] == args.id);
    let Some(incident) = found else {
        bail!("there is no incident {}; `latimer-watchdog incidents` lists them", args.id);
    };
    if args.json {
        return say_json(incident);
    }
    say(&incident_line(incident))?;
    for fix in list(incident, "fixes") {
        say(&format!(
            "  {}: helped {}, did not {}, first proposed by {}",
            text(fix, "remedy"),
            number(fix, "successes"),
            number(fix, "failures"),
            text(fix, "source")
        ))?;
    }
    say(&match incident["applied"].as_str() {
        Some(remedy) => format!("  applied by itself: {remedy}"),
        None => "  nothing has helped often enough to be applied by itself".to_owned(),
    })
}

pub(crate) fn rules(args: &LookArgs) -> anyhow::Result<ExitCode> {
    let export = export_of(&args.places)?;
    if args.json {
        return say_json(&export["rules"]);
    }
    for problem in list(&export, "rules_refused") {
        setup::complain(&format!("the rules file is not used: {}", problem.as_str().unwrap_or_default()));
    }
    for rule in list(&export, "rules") {
        let silenced = if rule["silenced"] == true { "  (silenced)" } else { "" };
        say(&format!(
            "{:4} {:22} from {:2} on  {}{silenced}",
            text(rule, "fault"),
            text(rule, "remedy"),
            number(rule, "threshold"),
            text(rule, "title")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn export(args: &LookArgs) -> anyhow::Result<ExitCode> {
    say_json(&export_of(&args.places)?)
}

pub(crate) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let log = match &args.log {
        Some(log) => log.clone(),
        None => args.places.state()?.join(SIGNALS_FILE),
    };
    let recording = std::fs::read_to_string(&log).with_context(|| format!("reading `{}`", log.display()))?;
    let settings = settings::of(&args.places.configuration()?)?;
    let rules = rules_of(&args.places, args.rules.as_deref())?;
    // What is recorded of other nights is left out: the same recording gives the same orders wherever it is played.
    let mut state = State::new(settings, rules.rules, file::Record::default());
    let played = replay(&recording, &mut state);
    if args.json { say_json(&serde_json::to_value(&played)?) } else { say(&played.to_string()) }
}

pub(crate) fn cancel(args: &CancelArgs) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Cancel { id: args.id }, SOON)?;
    if args.json {
        return say_json(&value);
    }
    let count = list(&value, "cancelled").len();
    say(&if count == 0 { "nothing waits to be done".to_owned() } else { format!("cancelled {count}") })
}

pub(crate) fn accept(args: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let value = request(&args.places.state()?, &Request::Accept { id: args.id }, SOON)?;
    if args.json { say_json(&value) } else { say("accepted") }
}

pub(crate) fn silence(args: &SilenceArgs) -> anyhow::Result<ExitCode> {
    let asked = Request::Silence { fault: args.fault.clone(), seconds: args.seconds };
    let value = request(&args.places.state()?, &asked, SOON)?;
    if args.json {
        return say_json(&value);
    }
    let fault = text(&value, "fault");
    say(&match args.seconds {
        Some(0) => format!("{fault} is acted on again"),
        Some(seconds) => format!("{fault} is only counted for {seconds} s"),
        None => format!("{fault} is only counted from now on"),
    })
}

/// Everything that is known: from the running watchdog, else from the files.
fn export_of(places: &Places) -> anyhow::Result<Value> {
    let state_dir = places.state()?;
    match ask(&state_dir, &Request::Export, SOON) {
        Ok(value) => Ok(value),
        Err(ControlError::Nobody) => from_files(places, &state_dir),
        Err(error) => Err(error).context("asking the watchdog"),
    }
}

fn from_files(places: &Places, state_dir: &Path) -> anyhow::Result<Value> {
    let now = now();
    let path = state_dir.join(RECORD_FILE);
    // Only looked at: a broken file is left where it is for the watchdog to set aside.
    let record = match std::fs::read(&path) {
        Ok(bytes) => {
            file::Record::from_bytes(&bytes).with_context(|| format!("reading `{}`", path.display()))?
        }
        Err(_) => file::Record::default(),
    };
    let settings = settings::of(&places.configuration()?)?;
    let rules = rules_of(places, None)?;
    Ok(serde_json::to_value(State::new(settings, rules.rules, record).export(now))?)
}

/// The rules of this file, or of the one beside the configuration.
fn rules_of(places: &Places, path: Option<&Path>) -> anyhow::Result<RulesInUse> {
    let beside = places.config_path().map(|config| super::run::rules_file(&config));
    let text = match (path, beside) {
        (Some(path), _) => setup::read_text(path)?,
        (None, beside) => beside.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default(),
    };
    let mut rules = RulesInUse::default();
    if !rules.take_up(&text) {
        let problems: Vec<String> = rules.refused.iter().map(ToString::to_string).collect();
        bail!("the rules cannot be used\n{}", problems.join("\n"));
    }
    Ok(rules)
}

fn now() -> Time {
    Time::ZERO.plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
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

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn say(words: &str) -> anyhow::Result<ExitCode> {
    setup::say(words)?;
    Ok(ExitCode::SUCCESS)
}

fn say_json(value: &Value) -> anyhow::Result<ExitCode> {
    say(&serde_json::to_string_pretty(value)?)
}
