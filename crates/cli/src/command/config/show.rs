//! The configuration, looked at: its path, its text, its settings one by one.

use std::process::ExitCode;

use anyhow::Context as _;
use latimer_protocol::status::SCHEMA_VERSION;
use serde_json::json;

use super::origin::{Origin, Setting, settings};
use crate::config_file::masked_lines;
use crate::config_key::KeyPath;
use crate::configuration::{PathArgs, read_text};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{eprint_line, print_json, print_line, print_lines};

/// Prints where the file is, or would be.
///
/// # Errors
/// Neither a flag nor the environment names a place.
pub(super) fn path(paths: &PathArgs, json: bool) -> anyhow::Result<()> {
    let path = std::path::absolute(paths.config_target()?)?;
    if json {
        return print_json(&json!({
            "schema_version": SCHEMA_VERSION, "path": path.to_string_lossy(), "exists": path.exists(),
            "origin": Origin::of_config(paths).document(),
        }));
    }
    if !path.exists() {
        eprint_line("there is no such file yet; `latimer endpoints add` writes it");
    }
    print_line(&path.to_string_lossy())
}

/// Prints the file with stars in the place of its secrets.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn text(paths: &PathArgs, json: bool) -> anyhow::Result<()> {
    let path = existing(paths)?;
    let lines = masked_lines(&read_text(&path).exits(Exit::Configuration)?);
    if json {
        return print_json(&json!({
            "schema_version": SCHEMA_VERSION, "path": path.to_string_lossy(), "text": lines.join("\n") + "\n",
        }));
    }
    print_lines(lines)
}

fn existing(paths: &PathArgs) -> anyhow::Result<std::path::PathBuf> {
    let target = paths.config_target()?;
    let found = paths.config_path().filter(|path| path.exists()).with_context(|| {
        format!(
            "there is no configuration: `{}` is not there. `latimer endpoints add --preset deepseek` writes it",
            target.display()
        )
    });
    found.exits(Exit::Configuration)
}

/// Prints every setting with its origin.
///
/// # Errors
/// The configuration cannot be used.
pub(super) fn origins(paths: &PathArgs, json: bool) -> anyhow::Result<()> {
    let settings = settings(paths)?;
    if json {
        let data: Vec<_> = settings.iter().map(Setting::document).collect();
        return print_json(&json!({ "schema_version": SCHEMA_VERSION, "data": data }));
    }
    for setting in &settings {
        print_line(&format!("{} = {}", setting.key, setting.value))?;
        print_line(&format!("    {}", setting.origin))?;
    }
    Ok(())
}

/// Prints one setting. Without a value the command fails, so that a script sees it.
///
/// # Errors
/// There is no such key, or the configuration cannot be used.
pub(super) fn get(paths: &PathArgs, key: &str, origin: bool, json: bool) -> anyhow::Result<ExitCode> {
    let path = KeyPath::parse(key)?;
    let name = path.to_string();
    if !matches!(name.as_str(), "config" | "state_dir") {
        path.meaning()?;
    }
    let settings = settings(paths)?;
    let below = format!("{name}.");
    let found: Vec<&Setting> = settings
        .iter()
        .filter(|setting| setting.is_called(&name) || setting.key.starts_with(&below))
        .collect();
    if json {
        let data: Vec<_> = found.iter().map(|setting| setting.document()).collect();
        print_json(&json!({ "schema_version": SCHEMA_VERSION, "data": data }))?;
        return Ok(if data.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    match found.as_slice() {
        [] => {
            eprint_line(&format!("`{name}` has no value: it is not in the file, and has no default"));
            return Ok(ExitCode::FAILURE);
        }
        [one] if one.is_called(&name) => print_line(one.bare_value())?,
        several => {
            print_lines(several.iter().map(|setting| format!("{} = {}", setting.key, setting.value)))?;
        }
    }
    if origin {
        for setting in found {
            eprint_line(&setting.origin.to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}
