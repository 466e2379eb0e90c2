//! `latimer config`: the configuration file, looked at and edited. Comments and order survive, what would not be valid is not written, and
//! the file before is kept.

mod change;
mod copies;
mod edit;
mod origin;
mod share;
mod show;
mod take;

use std::process::ExitCode;

use crate::command::check;
use crate::configuration::PathArgs;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer config path\n  latimer config show --origin            every setting, and who says so\n  latimer config get endpoint.deepseek.retries\n  latimer config set endpoint.deepseek.timeouts.idle 60s\n  latimer config set endpoint.lab.api_key --stdin < key.txt\n  latimer config edit                     in $EDITOR; a broken text is not taken\n  latimer config restore                  the file before the last change\n  latimer config export team.toml         without any key\n  latimer config import team.toml\n\nA flag goes before the environment, that before the file, and that before a preset and the default. Names with a dot or a slash stand in quotes: 'endpoint.lab.models.\"z-ai/glm-5\".images'."
)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: ConfigAction,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigAction {
    /// Print the path of the configuration file
    Path,
    /// Print the file without its secrets; with --origin every setting and who says so
    Show {
        /// Every setting with its value and its origin: flag, environment, line of the file, preset or default
        #[arg(long)]
        origin: bool,
    },
    /// Print one setting, as it holds
    Get {
        /// Such as server.grace or endpoint.lab.retries
        #[arg(add = crate::complete::settings())]
        key: String,
        /// Also who says so
        #[arg(long)]
        origin: bool,
    },
    /// Change one setting
    Set(change::SetArgs),
    /// Take one setting out of the file, so that the preset or the default holds
    Unset {
        /// Such as server.grace or endpoint.lab.retries
        #[arg(add = crate::complete::settings())]
        key: String,
        /// Show the change, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Open the file in $VISUAL or $EDITOR, and take what is valid
    Edit,
    /// Report every problem of the file at once, as `latimer check` does
    Check(check::CheckArgs),
    /// Keep a copy of the file that later changes leave alone
    Backup {
        /// Where to [default: a dated file in the folder `backups` beside the configuration]
        #[arg(value_name = "FILE")]
        to: Option<std::path::PathBuf>,
    },
    /// Bring back the file before the last change, or a copy
    Restore(copies::RestoreArgs),
    /// Write endpoints, routes and profiles into a file without any key
    Export(share::ExportArgs),
    /// Take up what an exported file has, after it was shown
    Import(take::ImportArgs),
}

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let ConfigArgs { action, json, paths } = args;
    match action {
        ConfigAction::Path => show::path(paths, *json)?,
        ConfigAction::Show { origin: false } => show::text(paths, *json)?,
        ConfigAction::Show { origin: true } => show::origins(paths, *json)?,
        ConfigAction::Get { key, origin } => return show::get(paths, key, *origin, *json),
        ConfigAction::Set(set) => change::set(paths, set)?,
        ConfigAction::Unset { key, dry_run } => change::unset(paths, key, *dry_run)?,
        ConfigAction::Edit => edit::run(paths)?,
        ConfigAction::Check(check) => return check::run(check),
        ConfigAction::Backup { to } => copies::backup(paths, to.as_deref())?,
        ConfigAction::Restore(restore) => return copies::restore(paths, restore, *json),
        ConfigAction::Export(export) => share::export(paths, export)?,
        ConfigAction::Import(import) => return take::import(paths, import),
    }
    Ok(ExitCode::SUCCESS)
}
