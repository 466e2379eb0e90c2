//! `latimer config edit`: a person's own editor on a copy; only what is valid becomes the file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::dialogue::agrees;
use crate::environment::env;
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{eprint_line, error_lines, note_line};

/// What a new file begins with.
const BEGINNING: &str = "# The configuration of latimer; docs/configuration.md lists every key.\n";
/// The largest text that is taken back from an editor, in bytes.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// Opens the editor on a copy of the file, checks what comes back, shows the change and writes it. Nobody waits for the lock meanwhile.
///
/// # Errors
/// There is no editor, it failed, the text is no valid configuration, or somebody else changed the file meanwhile. The edited text is kept
/// then, and its path is said.
pub(super) fn run(paths: &PathArgs) -> anyhow::Result<()> {
    let config = paths.config_target()?;
    // Also makes the folder of a first file.
    let before = ConfigFile::open_whatever(&config)?.before().to_owned();
    let draft = draft_path(&config)?;
    let begun = if before.is_empty() { BEGINNING } else { &before };
    latimer_files::create_new(&draft, begun.as_bytes()).with_context(|| {
        format!("making the draft `{}`; remove it if no other edit is under way", draft.display())
    })?;
    let edited = edit_until_valid(&draft, &config, begun);
    match edited.and_then(|text| take(&config, &before, &text)) {
        Ok(()) => {
            let _ = std::fs::remove_file(&draft);
            Ok(())
        }
        Err(error) if is_unchanged(&draft, begun) => {
            let _ = std::fs::remove_file(&draft);
            Err(error)
        }
        Err(error) => {
            let kept = kept_path(&draft);
            let kept = std::fs::rename(&draft, &kept).map_or(draft, |()| kept);
            eprint_line(&format!("what you wrote is kept as `{}`", kept.display()));
            Err(error)
        }
    }
}

/// Runs the editor as often as the person wants to go on.
fn edit_until_valid(draft: &Path, config: &Path, begun: &str) -> anyhow::Result<String> {
    loop {
        run_editor(draft)?;
        let text = latimer_files::read(draft, MAX_TEXT_BYTES).context("reading what you wrote")?;
        let text = String::from_utf8(text).context("what you wrote is no UTF-8")?;
        if text == begun {
            return Ok(text);
        }
        let Err(error) = check(config, &text) else { return Ok(text) };
        for line in error_lines("latimer", &error) {
            eprint_line(&line);
        }
        if !agrees("edit it again?") {
            return Err(anyhow::anyhow!("the text cannot be used; nothing was written"))
                .exits(Exit::Configuration);
        }
    }
}

/// Says what is wrong with a text that may become the file.
fn check(config: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = ConfigFile::open_whatever(config)?;
    file.replace_text(text)?;
    file.check()
}

/// Makes the edited text the file, where nobody else changed that meanwhile.
fn take(config: &Path, before: &str, text: &str) -> anyhow::Result<()> {
    let mut file = ConfigFile::open_whatever(config)?;
    if file.before() != before {
        bail!("`{}` was changed by somebody else meanwhile; nothing was written", config.display());
    }
    if text == before || (before.is_empty() && text == BEGINNING) {
        note_line("nothing changes");
        return Ok(());
    }
    file.replace_text(text)?;
    file.write().map(drop)
}

/// Runs what `VISUAL` or `EDITOR` names, which may have arguments of its own.
fn run_editor(draft: &Path) -> anyhow::Result<()> {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| env(name).filter(|editor| !editor.trim().is_empty()));
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    // The shell takes the words apart, as it does for other programs that open an editor; the path is an argument of its own.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(draft).status();
    let status = status.with_context(|| format!("running the editor `{editor}`; set EDITOR"))?;
    if !status.success() {
        bail!("the editor `{editor}` ended with {status}; nothing was written");
    }
    Ok(())
}

/// A copy beside the configuration: an editor knows by its name that it is TOML.
fn draft_path(config: &Path) -> anyhow::Result<PathBuf> {
    let config = std::path::absolute(config).context("the path of the configuration")?;
    let config = config.canonicalize().unwrap_or(config);
    let name = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(config.with_file_name(format!(".{name}.draft-{}.toml", std::process::id())))
}

fn kept_path(draft: &Path) -> PathBuf {
    let name = draft.file_name().unwrap_or_default().to_string_lossy().into_owned();
    draft.with_file_name(name.trim_start_matches('.'))
}

fn is_unchanged(draft: &Path, begun: &str) -> bool {
    std::fs::read_to_string(draft).is_ok_and(|text| text == begun)
}
