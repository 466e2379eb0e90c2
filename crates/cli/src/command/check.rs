//! `latimer check`: every problem of the configuration at once.

use std::path::Path;
use std::process::ExitCode;

use latimer_proxy::config::check::report;

use crate::setup::{self, Places};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer check --config ./latimer.toml\n\nExit code 0: the file can be used. 1: it cannot; every problem is listed with its line, key and remedy."
)]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(path) = args.places.config_path() else {
        setup::say(
            "no configuration file; `latimer demo` works without one, docs/configuration.md shows how to write one",
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let text = setup::read_text(&path)?;
    // Both parts are read, so that every problem is told at once.
    let watchdog = crate::watchdog::settings::read(&text).err().unwrap_or_default();
    match setup::load_text(&text) {
        Ok(_) if !watchdog.is_empty() => {
            for problem in &watchdog {
                setup::complain(&format!("{}: {problem}", path.display()));
            }
            Ok(ExitCode::FAILURE)
        }
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                setup::complain(&report(&loaded.warnings, &path));
            }
            setup::say(&format!("{}: {}", path.display(), summary(&loaded.config)))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            setup::complain(&report(&problems, shown(&path)));
            let is_toml = !problems.iter().any(|problem| problem.to_string().contains("not valid TOML"));
            let watchdog: Vec<String> = if is_toml { watchdog } else { Vec::new() };
            for problem in &watchdog {
                setup::complain(&format!("{}: {problem}", path.display()));
            }
            let count = problems.len() + watchdog.len();
            setup::complain(&format!("{count} problem{}", if count == 1 { "" } else { "s" }));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn summary(config: &latimer_proxy::config::Config) -> String {
    let models: usize = config.endpoints.iter().map(|endpoint| endpoint.models.len()).sum();
    format!("fine, {} endpoint(s), {models} model(s)", config.endpoints.len())
}

fn shown(path: &Path) -> &Path {
    path
}
