//! One file for a bug report: the findings, the configuration without what could be a key, and the end of the log. Everything passes the same
//! filter as what is printed.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::Context as _;
use latimer_protocol::secret::redact_known;
use latimer_proxy::config::mask::Masked;
use serde_json::{Value, json};

use super::finding::Finding;
use crate::configuration::{PathArgs, read_text};
use crate::environment::home;

/// How much of the end of the log is taken, in bytes.
const MAX_LOG_BYTES: u64 = 256 << 10;

/// Writes it, private.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, paths: &PathArgs, findings: &[Finding]) -> anyhow::Result<()> {
    let config = paths.config_path().and_then(|path| read_text(&path).ok());
    let log = paths.state_dir().ok().and_then(|dir| tail(&dir.join("proxy.log")));
    let document = json!({
        "schema_version": 1,
        "latimer": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "findings": findings,
        "configuration": config.map(|text| Masked::new(&text).text),
        "log": log.map(|text| text.lines().map(Value::from).collect::<Vec<_>>()),
    });
    let text = serde_json::to_string_pretty(&document).context("writing the report")?;
    let text = without_home(&redact_known(&text));
    latimer_files::write(path, text.as_bytes()).with_context(|| format!("writing `{}`", path.display()))
}

/// The person's name stands in the path of their home.
fn without_home(text: &str) -> String {
    let home = home().map(|home| home.to_string_lossy().into_owned());
    match home.filter(|home| home.len() > 1) {
        Some(home) => text.replace(&home, "~"),
        None => text.to_owned(),
    }
}

fn tail(path: &Path) -> Option<String> {
    let mut file = latimer_files::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_LOG_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line may be cut.
    Some(if length > MAX_LOG_BYTES { text.split_once('\n')?.1.to_owned() } else { text })
}
