//! The configuration file on the page: shown without its secrets, and written only when it is one, and nobody else changed it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use latimer_files::{FileLock, TryLock};
use latimer_protocol::status::SCHEMA_VERSION;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::bad;
use crate::config::check::ConfigProblem;
use crate::config::edit::EditError;
use crate::config::mask::Masked;
use crate::config::state::edit_lock_path;
use crate::config::watch::{Live, Loader};
use crate::http::refusal::Refusal;

/// What stands in the place of a secret, for people.
const MASK: &str = "\"(kept N)\"";

/// What the name of the file before the last save ends with.
const KEPT: &str = ".before";

/// A text that is to become the file.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Changed {
    text: String,
    /// Of the file that was changed.
    version: String,
}

/// `GET /api/v1/config`.
///
/// # Errors
///
/// The file cannot be read (500).
pub(super) fn show(live: &Live) -> Result<Value, Refusal> {
    let Some(path) = live.path() else {
        return Ok(json!({ "schema_version": SCHEMA_VERSION, "path": null }));
    };
    let text = read(path)?;
    Ok(document(live, path, &text, live.state().refused.as_deref()))
}

/// `POST /api/v1/config`.
///
/// # Errors
///
/// There is no file (404), it was changed meanwhile (409), the text is no configuration (400), or it cannot be written (500). Nothing is
/// written then.
pub(super) fn save(live: &Live, body: &Bytes) -> Result<Value, Refusal> {
    let (Some(path), Some(load)) = (live.path(), live.loader()) else { return Err(no_file()) };
    let Changed { text, version } =
        serde_json::from_slice(body).map_err(|error| bad(&format!("the body cannot be read: {error}")))?;
    let _lock = lock(path)?;
    let before = read(path)?;
    if version != version_of(&before) {
        return Err(Refusal::invalid(409, "conflict").message(
            "the file was changed meanwhile, so nothing was written; read it again and change that",
        ));
    }
    let text = Masked::new(&before).restore(&text).map_err(|line| {
        bad(&format!("line {line}: there is no kept secret of this number; nothing was written"))
    })?;
    take_up(live, path, load, &before, &text)?;
    Ok(document(live, path, &text, None))
}

/// `POST /api/v1/config/check`: whether a text would be a configuration. Nothing is written.
///
/// # Errors
///
/// There is no file (404), or the text is no configuration (400).
pub(super) fn check(live: &Live, body: &Bytes) -> Result<Value, Refusal> {
    let (Some(path), Some(load)) = (live.path(), live.loader()) else { return Err(no_file()) };
    let Changed { text, .. } =
        serde_json::from_slice(body).map_err(|error| bad(&format!("the body cannot be read: {error}")))?;
    let before = read(path)?;
    let text = Masked::new(&before)
        .restore(&text)
        .map_err(|line| bad(&format!("line {line}: there is no kept secret of this number")))?;
    let loaded = load(&text).map_err(|problems| bad(&refusal_of(&problems)))?;
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "lines": changed_lines(&before, &text),
        "warnings": warnings,
        "is_current": live.state().refused.is_none(),
    }))
}

/// `POST /api/v1/config/restore`: the file before the last save becomes the file again, and the other way round.
///
/// # Errors
///
/// There is no such file (404), it is no configuration (400), or it cannot be written (500).
pub(super) fn restore(live: &Live) -> Result<Value, Refusal> {
    let (Some(path), Some(load)) = (live.path(), live.loader()) else { return Err(no_file()) };
    let _lock = lock(path)?;
    let before = read(path)?;
    let kept = std::fs::read_to_string(beside(&real(path), KEPT)).map_err(|_| {
        Refusal::invalid(404, "not_found").message("no earlier file is kept beside the configuration")
    })?;
    take_up(live, path, load, &before, &kept)?;
    Ok(document(live, path, &kept, None))
}

/// Changes the file by itself, with everything that a person wrote left as it is.
///
/// # Errors
///
/// There is no file or nothing of this name in it (404), somebody else edits it or the change cannot be made (409), what would come out
/// is no configuration (400), or it cannot be written (500).
pub(super) fn edit(live: &Live, edit: impl FnOnce(&str) -> Result<String, EditError>) -> Result<(), Refusal> {
    let (Some(path), Some(load)) = (live.path(), live.loader()) else { return Err(no_file()) };
    let _lock = lock(path)?;
    let before = read(path)?;
    let text = edit(&before).map_err(|error| {
        let status = match error {
            EditError::NoEndpoint(_) => 404,
            EditError::Value(_) => 400,
            EditError::Toml(_) | EditError::AtTheEnd(_) | EditError::NoTable(_) => 409,
        };
        Refusal::invalid(status, "not_changed").message(format!("{error}; nothing was written"))
    })?;
    take_up(live, path, load, &before, &text)
}

/// The text of the file, where there is one that can be read.
pub(super) fn text(live: &Live) -> Option<String> {
    std::fs::read_to_string(live.path()?).ok()
}

/// Writes a text that is a configuration, and uses it at once.
fn take_up(live: &Live, path: &Path, load: Loader, before: &str, text: &str) -> Result<(), Refusal> {
    let loaded = load(text).map_err(|problems| bad(&refusal_of(&problems)))?;
    replace(path, before, text).map_err(|error| {
        Refusal::new(500, "server_error", "not_written")
            .message(format!("the file could not be written: {error}; the old one stands"))
    })?;
    live.replace(Ok(loaded));
    tracing::info!(event = "config.saved", path = %path.display(), lines = changed_lines(before, text));
    Ok(())
}

fn no_file() -> Refusal {
    Refusal::invalid(404, "not_found").message("there is no configuration file to change")
}

/// Where a file really is, which may be a link into a folder of dotfiles.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The file of the same name with this behind it.
fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

/// Nobody else edits the file meanwhile.
fn lock(path: &Path) -> Result<FileLock, Refusal> {
    match FileLock::take(&edit_lock_path(&real(path))) {
        Ok(TryLock::Taken(lock)) => Ok(lock),
        Ok(TryLock::Held) => Err(Refusal::invalid(409, "conflict")
            .message("a command is editing the file at this moment, so nothing was written; try again")),
        Err(error) => Err(Refusal::new(500, "server_error", "not_written")
            .message(format!("the file cannot be locked: {error}; the old one stands"))),
    }
}

fn document(live: &Live, path: &Path, text: &str, refused: Option<&str>) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "path": std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy(),
        "text": Masked::new(text).text,
        "version": version_of(text),
        "mask": MASK,
        "refused": refused,
        "may_restore": beside(&real(path), KEPT).exists(),
        "keep_requests": live.current().server.keep_requests,
    })
}

fn read(path: &Path) -> Result<String, Refusal> {
    std::fs::read_to_string(path).map_err(|error| {
        Refusal::new(500, "server_error", "not_readable")
            .message(format!("the file `{}` cannot be read: {error}", path.display()))
    })
}

/// Tells one text from another.
fn version_of(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(12).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn refusal_of(problems: &[ConfigProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let place = if problem.line > 0 { format!("line {}: ", problem.line) } else { String::new() };
            let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
            format!("{place}{key}{}", problem.message)
        })
        .collect();
    format!("{}; nothing was written", lines.join("; "))
}

/// Replaces the file where it really is, with the mode that it has; the text before stays beside it.
fn replace(path: &Path, before: &str, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path)?;
    let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
    latimer_files::write(&beside(&path, KEPT), before.as_bytes())?;
    latimer_files::write(&path, text.as_bytes())?;
    if mode != 0o600 {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// How many lines are not as they were.
fn changed_lines(before: &str, after: &str) -> usize {
    let known: std::collections::HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !known.contains(line)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::{ParsedConfig, load};

    const FILE: &str =
        "# mine\n[[endpoint]]\nname = \"a\" # here\nbase_url = \"https://a.test\"\napi_key = \"s3cret\"\n";

    fn parsed(text: &str) -> Result<ParsedConfig, Vec<ConfigProblem>> {
        load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()))
    }

    fn live(dir: &Path) -> (Live, PathBuf) {
        let path = dir.join("config.toml");
        std::fs::write(&path, FILE).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        let live = Live::new(parsed(FILE).expect("fine").config, Some(path.clone()));
        live.set_loader(parsed);
        (live, path)
    }

    fn body(text: &str, version: &Value) -> Bytes {
        json!({ "text": text, "version": version }).to_string().into()
    }

    #[test]
    fn a_change_keeps_secrets_comments_and_mode_and_the_file_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, path) = live(dir.path());
        let shown = show(&live).expect("shown");
        let text = shown["text"].as_str().expect("text");
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
        let changed = text.replace("a.test", "b.test");
        let saved = save(&live, &body(&changed, &shown["version"])).expect("saved");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), FILE.replace("a.test", "b.test"));
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_to_string(dir.path().join("config.toml.before")).expect("kept"), FILE);
        assert_eq!(live.current().endpoints[0].base_url, "https://b.test");
        assert_ne!(saved["version"], shown["version"]);
    }

    #[test]
    fn a_file_that_a_command_edits_is_not_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, path) = live(dir.path());
        let shown = show(&live).expect("shown");
        let text = shown["text"].as_str().expect("text");
        let changed = text.replace("a.test", "b.test");
        let held = lock(&path).expect("nobody has it");
        let refused = save(&live, &body(&changed, &shown["version"])).expect_err("refused");
        assert!(refused.status == 409 && refused.message.contains("a command"), "{}", refused.message);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), FILE);
        drop(held);
        assert!(save(&live, &body(&changed, &shown["version"])).is_ok());
    }

    #[test]
    fn a_text_is_tried_before_it_is_saved_and_the_file_before_comes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, path) = live(dir.path());
        let shown = show(&live).expect("shown");
        assert_eq!(shown["may_restore"], false);
        let text = shown["text"].as_str().expect("text");
        let changed = text.replace("a.test", "b.test");
        let tried = check(&live, &body(&changed, &shown["version"])).expect("a configuration");
        assert_eq!(tried["lines"], 1);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), FILE, "nothing is written");
        assert_eq!(check(&live, &body("[server", &shown["version"])).expect_err("none").status, 400);
        save(&live, &body(&changed, &shown["version"])).expect("saved");
        let back = restore(&live).expect("restored");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), FILE);
        assert!(back["may_restore"] == true && !back.to_string().contains("s3cret"), "{back}");
        restore(&live).expect("and the other way round");
        assert_eq!(live.current().endpoints[0].base_url, "https://b.test");
    }

    #[test]
    fn a_page_pauses_an_endpoint_in_the_file_and_waits_for_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, path) = live(dir.path());
        let pause = || edit(&live, |text| crate::config::edit::pause(text, "a", true));
        let held = lock(&path).expect("free");
        assert_eq!(pause().expect_err("somebody edits").status, 409);
        drop(held);
        pause().expect("paused");
        assert!(live.current().endpoints.is_empty() && live.current().disabled.len() == 1);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), format!("{FILE}enabled = false\n"));
        let missing = edit(&live, |text| crate::config::edit::pause(text, "x", true));
        assert_eq!(missing.expect_err("no such endpoint").status, 404);
    }

    #[test]
    fn what_is_no_configuration_is_refused_by_its_line_and_writes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, path) = live(dir.path());
        let shown = show(&live).expect("shown");
        let text = shown["text"].as_str().expect("text");
        let refused = |text: &str, version: &Value| save(&live, &body(text, version)).expect_err("refused");
        let wrong = refused(&text.replace("base_url", "base_ulr"), &shown["version"]);
        assert!(wrong.status == 400 && wrong.message.contains("line 4: "), "{}", wrong.message);
        assert!(refused("api_key = \"(kept 7)\"", &shown["version"]).message.contains("line 1"));
        assert_eq!(refused(text, &json!("0")).status, 409);
        std::fs::write(&path, "# changed\n").expect("written");
        assert_eq!(refused(text, &shown["version"]).status, 409);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "# changed\n");
    }
}
