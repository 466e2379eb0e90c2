//! `latimer models`: which names a client may ask for.

use std::process::ExitCode;

use latimer_proxy::config::Config;
use latimer_proxy::inbound::models;

use crate::configuration::PathArgs;
use crate::terminal::{eprint_line, print_line};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer models\n\nEach line: the name to ask for, the endpoint that answers, its context window. `endpoint/model` always works too."
)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let lines = lines(&args.paths.configuration()?.loaded.config);
    if lines.is_empty() {
        eprint_line(
            "no endpoint lists a model; add `models = [\"…\"]` to an endpoint, or ask for any name with a default_endpoint",
        );
    }
    for line in lines {
        print_line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each model, in columns.
fn lines(config: &Config) -> Vec<String> {
    let names = models::names(config);
    let width = names.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, endpoint, model): (
        String,
        &latimer_proxy::config::Endpoint,
        &latimer_proxy::config::Model,
    )| {
        let window = model.context_window.map_or_else(String::new, |tokens| format!("  {tokens} tokens"));
        format!("{name:width$}  {}{window}", endpoint.name)
    };
    names.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn names_stand_in_columns() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{ id = \"long-name\", context_window = 8000 }, \"m\"]\n";
        let config = load_text(text).expect("a configuration").config;
        assert_eq!(lines(&config), ["long-name  a  8000 tokens", "m          a"]);
        assert!(lines(&load_text("").expect("a configuration").config).is_empty());
    }
}
