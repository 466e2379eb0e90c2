//! `latimer store`: the database that several nodes share, made, filled and looked after.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use latimer_proxy::config::database_url::DatabaseUrl;
use latimer_proxy::config::{SharedStore, StoreSettings};
use latimer_proxy::keys::copy::copy as copy_keys;
use latimer_proxy::store::FILE;
use latimer_proxy::store::client_keys::FileKeys;
use latimer_proxy::store::postgres::PostgresStore;

use crate::configuration::PathArgs;
use crate::terminal::print_line;

/// Connections of a command.
const POOL: usize = 3;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer store migrate\n  latimer store copy --from sqlite --to postgres://latimer@db.example/latimer\n  latimer store check\n\nThe database is the one of `[store]` in the configuration."
)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    action: StoreAction,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, Subcommand)]
enum StoreAction {
    /// Make the tables, or bring them up to this release
    #[command(after_help = "Example:\n  latimer store migrate")]
    Migrate,
    /// Copy usage and kept answers of a state directory; what is there already is not copied again
    #[command(
        after_help = "Example:\n  latimer store copy --from sqlite --to postgres://latimer@db.example/latimer"
    )]
    Copy {
        /// What is copied: the file latimer.db of the state directory
        #[arg(long, value_enum)]
        from: From,
        /// The database; without it the one of `[store]`
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
    /// Say whether the database can be used, and how much is in it
    #[command(after_help = "Example:\n  latimer store check")]
    Check,
    /// Give back the room of what was deleted
    #[command(after_help = "Example:\n  latimer store vacuum")]
    Vacuum,
}

/// What can be copied.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    Sqlite,
}

pub(crate) fn run(args: &StoreArgs) -> anyhow::Result<ExitCode> {
    let to = match &args.action {
        StoreAction::Copy { to, .. } => to.as_deref(),
        _ => None,
    };
    let state_dir = args.paths.state_dir()?;
    let settings = settings(&args.paths, to)?;
    let store = PostgresStore::visitor(&settings, &state_dir)?;
    match &args.action {
        StoreAction::Migrate => migrate(&store)?,
        StoreAction::Copy { from: From::Sqlite, .. } => copy(&store, &state_dir.join(FILE))?,
        StoreAction::Check => {
            let counts = store.check()?;
            if counts.iter().all(|(_, count)| *count == 0) {
                bail!("the database {} has no tables yet; run `latimer store migrate`", store.name());
            }
            print_line(&format!("{}: fine", store.name()))?;
            for (name, count) in counts {
                print_line(&format!("{name}: {count}"))?;
            }
        }
        StoreAction::Vacuum => {
            store.vacuum()?;
            print_line(&format!("{}: the room of what was deleted is free", store.name()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate(store: &Arc<PostgresStore>) -> anyhow::Result<()> {
    let done = store.migrate()?;
    let name = store.name();
    print_line(&match (done.from, done.to) {
        (from, to) if from == to => format!("{name}: the tables are of version {to}, nothing to do"),
        (0, to) => format!("{name}: the tables were made, version {to}"),
        (from, to) => format!("{name}: the tables were brought from version {from} to {to}"),
    })
}

fn copy(store: &Arc<PostgresStore>, file: &Path) -> anyhow::Result<()> {
    if !file.exists() {
        bail!("there is no `{}`; --state-dir names another state directory", file.display());
    }
    store.migrate()?;
    let copied = store.copy_from(file).with_context(|| format!("copying `{}`", file.display()))?;
    let known = copied.found.saturating_sub(copied.rows);
    print_line(&format!(
        "{}: {} rows copied, {known} were there already; {} kept answers",
        store.name(),
        copied.rows,
        copied.answers
    ))?;
    let Some(mut file_keys) = FileKeys::look(file)? else { return Ok(()) };
    let keys = copy_keys(&mut file_keys, &mut store.keys_for_command()?)?;
    if keys.found > 0 {
        let known = keys.found.saturating_sub(keys.added + keys.taken.len() as u64);
        let name = store.name();
        print_line(&format!("{name}: {} client keys copied, {known} were there already", keys.added))?;
    }
    for name in keys.taken {
        print_line(&format!("the key `{name}` was left out: another key of that name is there"))?;
    }
    Ok(())
}

/// The database that is meant: the one of the command line, else that of the configuration.
fn settings(paths: &PathArgs, to: Option<&str>) -> anyhow::Result<SharedStore> {
    if let Some(text) = to {
        let url = DatabaseUrl::parse(text).map_err(|words| anyhow::anyhow!("--to {words}"))?;
        return Ok(SharedStore { url, pool: POOL, secret: None });
    }
    match paths.configuration()?.loaded.config.store {
        StoreSettings::Shared(settings) => Ok(SharedStore { pool: POOL, ..*settings }),
        StoreSettings::File => bail!(
            "the configuration names no database; write `[store]` with `url_env = \"...\"` into it, or name one with --to"
        ),
    }
}
