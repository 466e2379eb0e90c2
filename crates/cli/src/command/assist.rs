//! `latimer assist`: a configured model reads what is known of this set-up and proposes steps. Its answer is text of a stranger: only steps of
//! a closed list are understood, each is checked, shown, and done after a yes.

mod answer;
mod carry_out;
mod facts;
mod new_endpoint;
mod question;
mod step;

use std::process::ExitCode;

use latimer_protocol::status::SCHEMA_VERSION;
use serde_json::json;

use self::answer::Answer;
use self::facts::Facts;
use super::launch::choice::ChoiceArgs;
use crate::configuration::PathArgs;
use crate::terminal::{eprint_line, print_json, print_line, print_lines};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer assist \"why does my Codex stop after one answer?\"\n  latimer assist --endpoint lab add my second DeepSeek key\n  latimer assist --dry-run \"make Claude Code cheaper\"\n\nThe question, the findings of the doctor, the configuration without its secrets and the last failures (their codes and reasons, nothing of a conversation) go to the endpoint that is asked. What it proposes is shown as a diff or a command, and done only after you say yes; it cannot propose anything but: set a key, add or test an endpoint, change a setting, log in, run the doctor."
)]
pub(crate) struct AssistArgs {
    /// What is wrong, or wanted
    #[arg(required = true, value_name = "TEXT", num_args = 1..)]
    text: Vec<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the answer and its steps as JSON, and do nothing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &AssistArgs) -> anyhow::Result<ExitCode> {
    let text = args.text.join(" ");
    let facts = Facts::gather(&args.paths)?;
    let asked = question::ask(&args.paths, &args.choice, &text, &facts)?;
    let names = facts.endpoints;
    let answer = Answer::read(&asked, &names);
    if args.json {
        print_json(&json!({
            "schema_version": SCHEMA_VERSION,
            "answer": answer.words,
            "steps": answer.steps.iter().map(step::Step::document).collect::<Vec<_>>(),
            "left_out": answer.left_out,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_lines(answer.words.lines())?;
    for left_out in &answer.left_out {
        eprint_line(&format!("left out: {left_out}"));
    }
    let count = answer.steps.len();
    for (at, step) in answer.steps.iter().enumerate() {
        print_line("")?;
        print_line(&format!("step {} of {count}: {}", at + 1, step.words()))?;
        if let Err(error) = carry_out::run(step, &args.paths, args.dry_run) {
            eprint_line(&format!("latimer: this step was not done: {error:#}"));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
