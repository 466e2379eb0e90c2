//! `latimer endpoints test`: one short real turn at an endpoint, and what it shows.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use latimer_protocol::failure::FailureKind;
use latimer_proxy::config::{Config, Endpoint};
use latimer_proxy::trial::TrialTask;
use serde_json::{Value, json};

use super::find_endpoint;
use crate::endpoint_trial::{Asker, document, failure_words, is_done, remedy, summary};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{print_json, print_line};

/// How long an answer may be awaited where nothing else is said.
const DEFAULT_TIMEOUT_SECS: u64 = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Its name in the configuration; without it the first one
    #[arg(add = crate::complete::endpoints(), conflicts_with = "all")]
    name: Option<String>,
    /// Every endpoint, one after the other
    #[arg(long)]
    all: bool,
    /// The model to ask [default: the first of the endpoint]
    #[arg(long, value_name = "MODEL", conflicts_with = "all")]
    model: Option<String>,
    /// Fail where the model does not call a tool; without it that is a remark
    #[arg(long)]
    tools: bool,
    /// Show it a small picture, too
    #[arg(long)]
    images: bool,
    /// Ask for a longer answer, too, and fail where it comes in one piece
    #[arg(long)]
    stream: bool,
    /// How long each answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT_SECS, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// How an endpoint did.
struct Outcome {
    /// What the command ends with where this endpoint is not well.
    exit: Option<Exit>,
    lines: Vec<String>,
    document: Value,
}

/// Asks and tells.
///
/// # Errors
/// There is no such endpoint, or nothing to ask for.
pub(super) fn run(
    config: &Config,
    state_dir: &Path,
    args: &TestArgs,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let chosen: Vec<&Endpoint> = match &args.name {
        Some(name) => vec![find_endpoint(config, name)?],
        None if args.all => config.endpoints.iter().collect(),
        None => config.endpoints.iter().take(1).collect(),
    };
    if chosen.is_empty() {
        let error = anyhow::anyhow!("no endpoint is configured; `latimer init` sets one up");
        return Err(error).exits(Exit::NoProvider);
    }
    let mut documents = Vec::new();
    let mut worst = None;
    for endpoint in chosen {
        let outcome = ask(config, state_dir, endpoint, args)?;
        worst = worst.or(outcome.exit);
        if !as_json {
            outcome.lines.iter().try_for_each(|line| print_line(line))?;
        }
        documents.push(outcome.document);
    }
    if as_json {
        print_json(&json!({ "schema_version": 1, "ok": worst.is_none(), "endpoints": documents }))?;
    }
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

fn ask(config: &Config, state_dir: &Path, endpoint: &Endpoint, args: &TestArgs) -> anyhow::Result<Outcome> {
    let name = endpoint.name.as_str();
    let asker = Asker::new(config, endpoint, state_dir, Duration::from_secs(args.timeout));
    let listed = endpoint.models.first().map(|model| model.id.clone());
    let Some(model) = args.model.clone().or(listed) else {
        let next = format!("give --model, or let the provider say: latimer endpoints models {name} --write");
        return Ok(Outcome {
            exit: Some(Exit::NoProvider),
            lines: vec![format!("✗ {name}: it lists no model; {next}")],
            document: json!({ "endpoint": name, "ok": false, "error": "no model", "next": next }),
        });
    };
    let mut tasks = vec![TrialTask::Tool];
    tasks.extend(args.stream.then_some(TrialTask::Stream));
    tasks.extend(args.images.then_some(TrialTask::Image));
    let (mut exit, mut lines, mut trials) = (None, Vec::new(), Vec::new());
    for task in tasks {
        let report = asker.turn(&model, task)?;
        trials.push(document(&report, task));
        let is_wanted = task != TrialTask::Tool || args.tools;
        let done = is_done(&report, task);
        if let Some(failure) = &report.failure {
            exit = Some(if failure.kind == FailureKind::Timeout { Exit::TimedOut } else { Exit::Refused });
            lines.push(format!("✗ {name}  {model}: {}", failure_words(failure)));
            lines.push(format!("  → {}", remedy(failure, endpoint)));
            break;
        }
        exit = exit.or((!done && is_wanted).then_some(Exit::Refused));
        let mark = if done {
            "✓"
        } else if is_wanted {
            "✗"
        } else {
            "!"
        };
        lines.push(format!("{mark} {name}  {model}: {}", summary(&report, task)));
        lines.extend(report.learned.iter().map(|(code, meaning)| format!("  learned: {meaning} ({code})")));
    }
    Ok(Outcome {
        exit,
        lines,
        document: json!({ "endpoint": name, "model": model, "ok": exit.is_none(), "trials": trials }),
    })
}
