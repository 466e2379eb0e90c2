//! One setting, changed or taken out.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use toml_edit::{DocumentMut, Value};

use crate::config_file::ConfigFile;
use crate::config_key::{KeyPath, Meaning};
use crate::config_value::{put, table_of, value_of};
use crate::configuration::PathArgs;
use crate::key_file::KeyFile;
use crate::terminal::print_line;

/// The most of a value that is read from stdin, in bytes.
const MAX_VALUE_BYTES: u64 = 1 << 16;

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Such as server.grace or endpoint.lab.retries
    #[arg(add = crate::complete::settings())]
    key: String,
    /// The new value: a text needs no quotes, a list is written `a,b` or `["a", "b"]`
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin", allow_hyphen_values = true)]
    value: Option<String>,
    /// Read the value from stdin: keys are never an argument, which every user of the machine could read
    #[arg(long)]
    stdin: bool,
    /// Show the change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Changes a setting.
///
/// # Errors
/// There is no such key, the value does not fit, or what comes out would be no valid configuration.
pub(super) fn set(paths: &PathArgs, args: &SetArgs) -> anyhow::Result<()> {
    let path = KeyPath::parse(&args.key)?;
    let meaning = path.meaning()?;
    if let Some(typed) = &args.value {
        ensure!(
            !path.is_secret() && !has_password(typed),
            "a secret is no argument: every user of the machine could read it. Give it on stdin: latimer config set {path} --stdin"
        );
    }
    let typed = match &args.value {
        Some(typed) => typed.clone(),
        None => from_stdin()?,
    };
    let target = paths.config_target()?;
    let mut file = ConfigFile::open(&target)?;
    let key_file = if args.stdin && path.last() == "api_key" {
        Some(move_to_key_file(&mut file, &path, &target, &typed, args.dry_run)?)
    } else {
        let value = value_of(meaning, &typed).with_context(|| format!("`{path}`"))?;
        write_value(&mut file.document, &path, value)?;
        None
    };
    let written = finish(file, args.dry_run);
    if let Some(key_file) = key_file {
        key_file.settle(matches!(written, Ok(true)));
    }
    written.map(drop)
}

/// Puts a value into a document, in the place that the path says.
///
/// # Errors
/// There is no such entry.
pub(super) fn write_value(document: &mut DocumentMut, path: &KeyPath, value: Value) -> anyhow::Result<()> {
    put(table_of(document.as_table_mut(), path)?, path.last(), value);
    Ok(())
}

/// Takes a setting out.
///
/// # Errors
/// It is not in the file, or the rest would be no valid configuration.
pub(super) fn unset(paths: &PathArgs, key: &str, dry_run: bool) -> anyhow::Result<()> {
    let path = KeyPath::parse(key)?;
    if matches!(path.meaning()?, Meaning::Entry(_)) {
        bail!(
            "`{path}` is a whole entry; `latimer endpoints remove NAME` or `latimer config edit` takes it out"
        );
    }
    let mut file = ConfigFile::open(&paths.config_target()?)?;
    let mut document = file.document.clone();
    let removed = table_of(document.as_table_mut(), &path)?.remove(path.last());
    ensure!(
        removed.is_some(),
        "`{path}` is not in the file; `latimer config get {path} --origin` says what holds"
    );
    file.document = document;
    finish(file, dry_run).map(drop)
}

/// Shows the change and writes it; `false` where nothing was written.
fn finish(file: ConfigFile, dry_run: bool) -> anyhow::Result<bool> {
    if !dry_run {
        return file.write();
    }
    if file.show()?.is_some() {
        print_line("nothing was written")?;
    }
    Ok(false)
}

/// A key goes into a file of its own, which only its owner can read; the configuration names that file.
fn move_to_key_file(
    file: &mut ConfigFile,
    path: &KeyPath,
    config: &std::path::Path,
    typed: &str,
    dry_run: bool,
) -> anyhow::Result<KeyFile> {
    let above = path.above().context("which endpoint is meant?")?;
    let table = table_of(file.document.as_table_mut(), path)?;
    let name = table.get("name").and_then(toml_edit::Item::as_str).unwrap_or(above.last()).to_owned();
    let key_file = KeyFile::of(config, &name)?;
    for other in ["api_key", "api_key_env"] {
        table.remove(other);
    }
    put(table, "api_key_file", Value::from(key_file.path().to_string_lossy().into_owned()));
    if dry_run { Ok(key_file) } else { key_file.store(typed) }
}

/// Whether a text is an address with a user name and a password.
fn has_password(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@'))
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_VALUE_BYTES)
        .read_to_string(&mut text)
        .context("reading the value from stdin")?;
    let text = text.trim();
    ensure!(!text.is_empty(), "nothing came on stdin");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_seen() {
        assert!(has_password("http://me:secret@proxy:1") && has_password("socks5h://me@p"));
        assert!(!has_password("http://proxy:1/@") && !has_password("a@b"));
    }
}
