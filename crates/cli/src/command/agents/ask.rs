//! Asks the running proxy about its agents.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::configuration::PathArgs;
use crate::proxy_client::{self, ProvenProxy};
use crate::terminal::print_json;

/// The most that is read of stdin, in bytes.
const MAX_INPUT: u64 = 4 << 20;

/// The running proxy, and how its answers are shown.
pub(super) struct Agents {
    proxy: ProvenProxy,
    /// Whether answers are shown as they are.
    pub(super) as_json: bool,
}

impl Agents {
    /// # Errors
    /// No proxy of this state directory answers.
    pub(super) fn find(paths: &PathArgs, as_json: bool) -> anyhow::Result<Self> {
        let config = paths.configuration_or_default()?;
        let proxy = proxy_client::find(&paths.state_dir()?, &config)?;
        Ok(Self { proxy: proxy.ok_or_else(|| proxy_client::nobody(&config))?, as_json })
    }

    /// # Errors
    /// The proxy refuses, in its own words, or has gone.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.proxy.get(&format!("/v1/agents/{path}")))
    }

    /// # Errors
    /// The same.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.proxy.post(&format!("/v1/agents/{path}"), body))
    }

    /// The same for what takes longer.
    ///
    /// # Errors
    /// The same.
    pub(super) fn get_within(&self, path: &str, limit: Duration) -> anyhow::Result<Value> {
        answer(self.proxy.get_within(&format!("/v1/agents/{path}"), limit))
    }

    /// # Errors
    /// The same.
    pub(super) fn post_within(&self, path: &str, body: &Value, limit: Duration) -> anyhow::Result<Value> {
        answer(self.proxy.post_within(&format!("/v1/agents/{path}"), body, limit))
    }

    /// # Errors
    /// The same.
    pub(super) fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.proxy.patch(&format!("/v1/agents/{path}"), body))
    }

    /// # Errors
    /// The same.
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.proxy.delete(&format!("/v1/agents/{path}")))
    }

    /// Shows an answer as it is, where that is wanted; whether it was.
    ///
    /// # Errors
    /// Nothing can be written.
    pub(super) fn shows_json(&self, document: &Value) -> anyhow::Result<bool> {
        if self.as_json {
            print_json(document)?;
        }
        Ok(self.as_json)
    }
}

fn answer(answer: Option<(u16, Vec<u8>)>) -> anyhow::Result<Value> {
    let (status, body) =
        answer.ok_or_else(|| anyhow!("the proxy does not answer any more; `latimer status` looks for it"))?;
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(document);
    }
    match document["error"]["message"].as_str() {
        Some(message) => bail!("{message}"),
        None => bail!(
            "the proxy answered with status {status}; it may be older than this command (`latimer status` tells its version)"
        ),
    }
}

/// A part of a path, so that it stays one.
pub(super) fn escaped(part: &str) -> String {
    let mut escaped = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The words of an argument; `-`, or none at all, is all of stdin.
///
/// # Errors
/// It cannot be read, or is too long.
pub(super) fn words(text: Option<&str>) -> anyhow::Result<String> {
    if let Some(text) = text.filter(|text| *text != "-") {
        return Ok(text.to_owned());
    }
    let mut words = String::new();
    let read = std::io::stdin().take(MAX_INPUT + 1).read_to_string(&mut words).context("stdin")?;
    if read as u64 > MAX_INPUT {
        bail!("stdin holds more than {MAX_INPUT} bytes, and no run takes more");
    }
    Ok(words)
}

/// A field as text.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one_part() {
        assert_eq!(escaped("night.watch-2"), "night.watch-2");
        assert_eq!(escaped("../x y?ä"), "..%2Fx%20y%3F%C3%A4");
    }

    #[test]
    fn a_refusal_is_told_in_the_proxys_words() {
        let refused = answer(Some((404, br#"{"error":{"message":"there is no profile"}}"#.to_vec())));
        assert_eq!(refused.expect_err("refused").to_string(), "there is no profile");
        assert!(answer(Some((502, b"<html>".to_vec()))).expect_err("refused").to_string().contains("502"));
        assert!(answer(None).is_err() && answer(Some((201, b"{}".to_vec()))).is_ok());
    }
}
