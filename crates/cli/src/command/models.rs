//! `latimer models`: which names a client may ask for.

use std::process::ExitCode;

use latimer_proxy::inbound::models;

use crate::setup::{self, Places};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer models\n\nEach line: the name to ask for, the endpoint that answers, its context window. `endpoint/model` always works too."
)]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.places.configuration()?.loaded.config;
    let names = models::names(&config);
    if names.is_empty() {
        setup::complain(
            "no endpoint lists a model; add `models = [\"…\"]` to an endpoint, or ask for any name with a default_endpoint",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let width = names.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or(0);
    for (name, endpoint, model) in names {
        let window = model.context_window.map_or_else(String::new, |tokens| format!("  {tokens} tokens"));
        setup::say(&format!("{name:width$}  {}{window}", endpoint.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
