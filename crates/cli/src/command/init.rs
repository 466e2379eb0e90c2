//! `latimer init`: from a machine with a key, an account or a local server to the first answer. Looks, asks, tries, shows, and writes.

mod offer;
mod plan;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use latimer_proxy::trial::TrialTask;
use serde_json::{Value, json};

use self::offer::{Findings, Offer};
use self::plan::Plan;
use super::demo;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::dialogue;
use crate::endpoint_trial::{Asker, document, failure_document, failure_words, remedy, summary, task_name};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{eprint_line, print_json, print_line, print_lines};

/// How long each answer of a provider may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer init                                       look around, ask, try, and write the file\n  latimer init --yes                                 the first provider that is found\n  latimer init --yes --preset deepseek               with the key in DEEPSEEK_API_KEY\n  latimer init --yes --preset zai --key-env MY_KEY --model glm-5\n  latimer init --preset openrouter --key-stdin --yes < key.txt\n\nNothing is written before it was shown. What is there already stays; a copy of it is kept as `….bak`.\nExit code 5: nothing to use was found. 6: the provider refused, and nothing was written."
)]
pub(crate) struct InitArgs {
    /// Ask nothing: take what the flags say, else the first that is found
    #[arg(long, short)]
    yes: bool,
    /// A provider known by name; `latimer presets` lists them
    #[arg(long, value_name = "PRESET", add = crate::complete::presets())]
    preset: Option<String>,
    /// Where the provider is, where it is not where the preset says
    #[arg(long, value_name = "URL", requires = "preset")]
    base_url: Option<String>,
    /// The variable that holds the key [default: that of the preset]
    #[arg(long, value_name = "VARIABLE", requires = "preset", conflicts_with = "key_stdin")]
    key_env: Option<String>,
    /// Read the key from stdin, and keep it in a file that only you can read
    #[arg(long, requires = "preset")]
    key_stdin: bool,
    /// The model to begin with [default: the first of the preset that the provider lists]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Ask the provider nothing before the file is written
    #[arg(long)]
    no_probe: bool,
    /// Print JSON instead of text
    #[arg(long, requires = "yes")]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.yes || dialogue::can_ask(),
        "there is no terminal to ask at; say what to do: latimer init --yes [--preset NAME] (`latimer presets` lists the names)"
    );
    let path = args.paths.config_target()?;
    let state_dir = args.paths.state_dir()?;
    let findings = Findings::of_machine(&state_dir);
    if !args.json {
        print_lines(findings.lines())?;
    }
    let offer = match choose(args, &findings)? {
        Choice::Take(offer) => offer,
        Choice::Demo => return demo::run(&demo::DemoArgs::default()),
        Choice::Nothing => return Ok(Exit::NoProvider.into()),
    };
    let mut file = ConfigFile::open(&path)?;
    let mut plan = Plan::new(&mut file, &path, offer, args)?;
    let tried = if args.no_probe { Tried::default() } else { probe(&mut plan, &mut file, args)? };
    if let Some(problem) = &tried.problem {
        plan.take_back_key();
        if args.json {
            print_json(
                &json!({ "schema_version": 1, "written": false, "found": findings, "trials": tried.documents }),
            )?;
        } else {
            for line in problem {
                eprint_line(line);
            }
            eprint_line("nothing was written; `--no-probe` writes without asking the provider");
        }
        return Ok(Exit::Refused.into());
    }
    let ask = || if args.yes { Ok(true) } else { dialogue::confirm("write this?", true) };
    let is_written = if args.json { file.write_silently()? } else { file.write_if(ask)? };
    if !is_written && plan.is_new {
        plan.take_back_key();
        print_line("nothing was written")?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        print_json(&json!({
            "schema_version": 1, "written": is_written, "path": path, "endpoint": plan.name, "model": plan.model,
            "found": findings, "trials": tried.documents, "next": findings.next(&plan.name),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(&format!("next: {}", findings.next(&plan.name)))?;
    Ok(ExitCode::SUCCESS)
}

/// What is to be done with what was found.
enum Choice {
    Take(Offer),
    Demo,
    Nothing,
}

fn choose(args: &InitArgs, findings: &Findings) -> anyhow::Result<Choice> {
    if let Some(name) = &args.preset {
        let offer = Offer::of_preset(name, args.key_env.as_deref(), args.key_stdin, findings)?;
        return Ok(Choice::Take(Offer {
            base_url: args.base_url.clone().or(offer.base_url.clone()),
            ..offer
        }));
    }
    let mut offers = findings.offers();
    if args.yes {
        if let Some(first) = offers.into_iter().next() {
            return Ok(Choice::Take(first));
        }
        eprint_line(
            "no key, no account and no local server was found. Set a key (export DEEPSEEK_API_KEY=…, `latimer presets` lists",
        );
        eprint_line(
            "the variables) or log in (latimer login google), and run it again; `latimer demo` shows a turn without any of them",
        );
        return Ok(Choice::Nothing);
    }
    let mut choices: Vec<String> = offers.iter().map(Offer::words).collect();
    choices.push("another provider: paste a key".to_owned());
    choices.push("none yet: show me a turn with a scripted provider".to_owned());
    let place = dialogue::choose("which one?", &choices)?;
    if place < offers.len() {
        return Ok(Choice::Take(offers.swap_remove(place)));
    }
    if place + 1 == choices.len() {
        return Ok(Choice::Demo);
    }
    let name = dialogue::ask("its preset (`latimer presets` lists them): ")?;
    Offer::of_preset(&name, None, true, findings).map(Choice::Take)
}

/// What trying showed.
#[derive(Default)]
struct Tried {
    documents: Vec<Value>,
    /// Why the provider cannot be used as it is.
    problem: Option<Vec<String>>,
}

/// Asks for the models, then for words and for a call.
fn probe(plan: &mut Plan, file: &mut ConfigFile, args: &InitArgs) -> anyhow::Result<Tried> {
    let mut tried = Tried::default();
    let state_dir = args.paths.state_dir()?;
    let config = file.parsed()?;
    let endpoint = plan.endpoint(&config)?;
    let asker = Asker::new(&config, endpoint, &state_dir, ANSWER_TIMEOUT);
    match asker.models()? {
        Ok(Some(models)) => {
            if !args.json {
                print_line(&format!("{} lists {} models", plan.name, models.len()))?;
            }
            plan.settle(file, &models, args.model.as_deref())?;
        }
        Ok(None) => {}
        // Some providers have no list, and answer all the same: the turn below decides.
        Err(failure) => {
            tried.documents.push(json!({ "task": "models", "error": failure_document(&failure) }));
        }
    }
    let config = file.parsed()?;
    let endpoint = plan.endpoint(&config)?;
    let asker = Asker::new(&config, endpoint, &state_dir, ANSWER_TIMEOUT);
    let Some(model) = plan.model.clone() else {
        let error = anyhow::anyhow!("{} lists no model: name one with --model", plan.name);
        return Err(error).exits(Exit::NoProvider);
    };
    for task in [TrialTask::Stream, TrialTask::Tool] {
        let report = asker.turn(&model, task)?;
        tried.documents.push(document(&report, task));
        if let Some(failure) = &report.failure {
            tried.problem = Some(vec![
                format!("✗ {}  {model}: {}", plan.name, failure_words(failure)),
                format!("  → {}", remedy(failure, endpoint)),
            ]);
            return Ok(tried);
        }
        if !args.json {
            print_line(&format!("{} {model}, {}: {}", plan.name, task_name(task), summary(&report, task)))?;
        }
    }
    Ok(tried)
}
