//! `latimer` without a command: what runs, else the two commands of a first run.

use std::process::ExitCode;

use super::status;
use crate::configuration::PathArgs;
use crate::terminal::{print_folded, print_rows};

pub(crate) fn run(paths: &PathArgs) -> anyhow::Result<ExitCode> {
    print_folded(concat!("latimer ", env!("CARGO_PKG_VERSION"), ": coding agents on any model"))?;
    match status::summary(paths)? {
        Some(lines) => print_rows(lines)?,
        None => print_rows(next(paths))?,
    }
    print_folded("`latimer --help` lists every command")?;
    Ok(ExitCode::SUCCESS)
}

/// What to do where nothing runs.
fn next(paths: &PathArgs) -> Vec<String> {
    let command = |command: &str, what: &str| format!("  {command:22}  {what}");
    let launch = command("latimer launch codex", "run Codex on it (claude, opencode, gemini too)");
    match (paths.config_path(), paths.configuration()) {
        (Some(path), Err(_)) => vec![
            format!("`{}` cannot be used", path.display()),
            command("latimer check", "every problem of it, with its line"),
        ],
        (Some(path), Ok(configuration)) if !configuration.loaded.config.endpoints.is_empty() => {
            let count = configuration.loaded.config.endpoints.len();
            let noun = if count == 1 { "endpoint" } else { "endpoints" };
            vec![
                format!("{count} {noun} in `{}`; nothing runs", path.display()),
                launch,
                command("latimer doctor", "look whether all is well"),
            ]
        }
        _ => vec![
            "nothing is set up yet".to_owned(),
            command("latimer init", "set up a provider: look, try, write the file"),
            launch,
            command("latimer demo", "see a whole turn without any provider"),
        ],
    }
}
