//! Copies of the configuration: made on demand, kept at every change, brought back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_watchdog::time::Time;
use serde_json::json;

use crate::clock::unix_seconds;
use crate::config_file::{ConfigFile, last_copies};
use crate::configuration::{PathArgs, read_text};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{print_json, print_line};

/// The most copies that are listed.
const MAX_LISTED: usize = 1000;
/// Copies of one second that get a name of their own; one more is refused.
const MAX_SAME_SECOND: u32 = 1000;
/// The largest copy that is brought back, in bytes.
const MAX_COPY_BYTES: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// A copy that `--list` shows, or any file [default: the file before the last change]
    #[arg(value_name = "FILE")]
    from: Option<PathBuf>,
    /// List the copies, the newest first
    #[arg(long, conflicts_with = "from")]
    list: bool,
}

/// Writes a copy that later changes leave alone. It holds what the file holds, so only its owner can read it.
///
/// # Errors
/// There is no configuration, or the copy cannot be written or is there already.
pub(super) fn backup(paths: &PathArgs, to: Option<&Path>) -> anyhow::Result<()> {
    let config = paths.config_target()?;
    let text = read_text(&config).exits(Exit::Configuration)?;
    let to = if let Some(to) = to {
        to.to_owned()
    } else {
        let folder = folder(&config)?;
        latimer_files::prepare(&folder).with_context(|| format!("making `{}`", folder.display()))?;
        free_name(&folder, &stamp(unix_seconds()))
    };
    latimer_files::create_new(&to, text.as_bytes()).with_context(|| format!("writing `{}`", to.display()))?;
    print_line(&format!("kept a copy as `{}`; `latimer config restore` brings it back", to.display()))
}

/// Brings a copy back; what it replaces is kept in its turn.
///
/// # Errors
/// There is no such copy, or it is no valid configuration.
pub(super) fn restore(paths: &PathArgs, args: &RestoreArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = paths.config_target()?;
    if args.list {
        return list(&config, json);
    }
    let from = match &args.from {
        Some(from) => find(&config, from)?,
        None => last_copies(&config)
            .into_iter()
            .next()
            .context("there is no copy yet; every change by a command keeps one")?,
    };
    ensure!(
        from.exists(),
        "there is no copy `{}`; `latimer config restore --list` lists them",
        from.display()
    );
    let bytes = latimer_files::read(&from, MAX_COPY_BYTES);
    let bytes = bytes.with_context(|| format!("reading `{}`", from.display()))?;
    let text = String::from_utf8(bytes).with_context(|| format!("`{}` is no text", from.display()))?;
    // A file that is broken is what a copy is brought back for.
    let mut file = ConfigFile::open_whatever(&config)?;
    file.replace_text(&text)?;
    file.write()?;
    Ok(ExitCode::SUCCESS)
}

fn list(config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let copies = copies(config)?;
    if json {
        let data: Vec<_> = copies.iter().map(|copy| copy.to_string_lossy()).collect();
        print_json(&json!({ "schema_version": SCHEMA_VERSION, "data": data }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if copies.is_empty() {
        print_line(
            "no copy yet; every change keeps the file before it, and `latimer config backup` makes one",
        )?;
    }
    for copy in copies {
        print_line(&copy.to_string_lossy())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The files before the last changes, then the copies that were made, the newest first.
fn copies(config: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut made: Vec<PathBuf> = match std::fs::read_dir(folder(config)?) {
        Ok(entries) => entries.flatten().take(MAX_LISTED).map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    made.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    made.sort_unstable_by(|one, other| other.cmp(one));
    Ok(last_copies(config).into_iter().chain(made).collect())
}

/// A copy by its path, or by its name in the folder of copies.
fn find(config: &Path, named: &Path) -> anyhow::Result<PathBuf> {
    let is_name = named.components().count() == 1 && !named.exists();
    Ok(if is_name { folder(config)?.join(named) } else { named.to_owned() })
}

fn folder(config: &Path) -> anyhow::Result<PathBuf> {
    let config = std::path::absolute(config).context("the path of the configuration")?;
    Ok(config.with_file_name("backups"))
}

/// A time as it stands in the name of a file, in UTC: `2026-03-14-150900`.
fn stamp(seconds: u64) -> String {
    let text = Time::from_secs(seconds).to_string();
    let kept = text.chars().take("2026-03-14T15:09:00".len());
    kept.filter(|c| *c != ':').map(|c| if c.is_ascii_digit() { c } else { '-' }).collect()
}

fn free_name(folder: &Path, stamp: &str) -> PathBuf {
    let name = |number: u32| {
        let tail = if number == 0 { String::new() } else { format!("-{number}") };
        folder.join(format!("{stamp}{tail}.toml"))
    };
    (0..MAX_SAME_SECOND).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_sorts_by_time_and_a_second_copy_gets_a_number() {
        assert_eq!(stamp(1_773_500_940), "2026-03-14-150900");
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(free_name(dir.path(), "x"), dir.path().join("x.toml"));
        std::fs::write(dir.path().join("x.toml"), "").expect("written");
        assert_eq!(free_name(dir.path(), "x"), dir.path().join("x-1.toml"));
    }
}
