//! The clients: whether they are installed, which version, and what their own files say that stands against a launch.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Examined;
use super::finding::{Finding, Group};
use crate::codex_catalog;
use crate::command::launch;
use crate::discovery::{self, FoundClient};
use crate::environment::{env, home};

const GROUP: Group = Group::Clients;
/// How long Codex may take to read a catalog.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(3);
/// The most of a client's own file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What in Claude Code's own settings goes before the environment that a launch gives it.
const CLAUDE_OVERRIDES: [&str; 5] = [
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
];

/// All of them, or the one that was named.
pub(super) fn examine(examined: &Examined<'_>) -> Vec<Finding> {
    let mut known = launch::known_clients();
    known.retain(|(name, _)| examined.client.is_none_or(|wanted| wanted == *name));
    let found = discovery::clients(&known);
    let mut findings = Vec::new();
    if found.iter().all(|client| client.program.is_none()) {
        let install = found.first().map_or("", |client| client.install);
        findings.push(Finding::problem(GROUP, "no_client", "no client is installed", install));
        return findings;
    }
    for client in &found {
        let FoundClient { name, program, version, install } = client;
        let Some(program) = program else {
            if examined.client.is_some() {
                findings.push(Finding::problem(
                    GROUP,
                    "no_client",
                    format!("{name} is not installed"),
                    *install,
                ));
            }
            continue;
        };
        findings.push(match version {
            Some(version) => {
                Finding::fine(GROUP, "client", format!("{name}: {version} (`{}`)", program.display()))
            }
            None => Finding::remark(
                GROUP,
                "client_version",
                format!("{name} does not tell its version (`{}`)", program.display()),
                format!("run `{name} --version`; install it anew: {install}"),
            ),
        });
        match *name {
            "codex" => findings.extend(codex(examined, program)),
            "claude" => findings.extend(claude()),
            "opencode" => findings.extend(opencode()),
            "gemini" => findings.extend(gemini()),
            _ => {}
        }
    }
    findings
}

/// The text of a file of a client, below the home directory.
fn own_file(path: &str) -> Option<(PathBuf, String)> {
    let path = home()?.join(path);
    // Not with the means for our own files, which would change the rights of this one.
    let mut text = String::new();
    std::fs::File::open(&path).ok()?.take(MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    Some((path, text))
}

fn codex(examined: &Examined<'_>, program: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((path, text)) = own_file(".codex/config.toml") {
        match text.parse::<toml::Table>() {
            Err(error) => {
                let what = format!("`{}` is no valid TOML: {}", path.display(), error.message());
                findings.push(Finding::problem(
                    GROUP,
                    "codex_config",
                    what,
                    "mend it: Codex does not start with it",
                ));
            }
            Ok(table) => {
                if let Some(provider) = table.get("model_provider").and_then(toml::Value::as_str) {
                    let what =
                        format!("its own file has model_provider = \"{provider}\"; a launch goes before it");
                    findings.push(Finding::fine(GROUP, "codex_provider", what));
                }
                if let Some(profile) = table.get("profile").and_then(toml::Value::as_str) {
                    let what = format!(
                        "`{}` chooses the profile \"{profile}\", whose settings may go before a launch",
                        path.display()
                    );
                    findings.push(Finding::remark(
                        GROUP,
                        "codex_profile",
                        what,
                        "remove `profile` there, or look at what it sets",
                    ));
                }
            }
        }
    }
    findings.extend(catalog(examined, program));
    findings
}

/// Whether the installed Codex reads the catalog that a launch gives it.
fn catalog(examined: &Examined<'_>, program: &Path) -> Option<Finding> {
    let (configuration, state_dir) = (examined.configuration.as_ref()?, examined.state_dir.as_ref()?);
    let config = &configuration.loaded.config;
    if config.endpoints.iter().all(|endpoint| endpoint.models.is_empty()) {
        return None;
    }
    let path = codex_catalog::write(state_dir, config, None).ok()?;
    let quoted = Value::from(path.to_string_lossy().into_owned()).to_string();
    let mut command = Command::new(program);
    command.args(["debug", "models", "-c", &format!("model_catalog_json={quoted}")]);
    let (is_ok, text) = discovery::output_within(command.stdin(Stdio::null()), CATALOG_TIMEOUT)?;
    let names = serde_json::from_str::<Value>(&text).ok().and_then(|catalog| {
        let models = catalog.get("models")?.as_array()?.clone();
        Some(
            models
                .iter()
                .filter_map(|model| model.get("slug")?.as_str().map(str::to_owned))
                .collect::<Vec<_>>(),
        )
    });
    let first = config.endpoints.iter().find_map(|endpoint| endpoint.models.first())?;
    match names {
        Some(names) if names.contains(&first.id) => Some(Finding::fine(
            GROUP,
            "codex_catalog",
            format!("Codex reads latimer's catalog, {} models", names.len()),
        )),
        Some(_) => Some(Finding::remark(
            GROUP,
            "codex_catalog",
            format!("Codex does not list `{}` of latimer's catalog", first.id),
            "update Codex: npm install -g @openai/codex",
        )),
        // A version without this command, or one that refuses the file: only the second says why.
        None if !is_ok && text.contains("model_catalog") => Some(Finding::problem(
            GROUP,
            "codex_catalog",
            format!("Codex does not read latimer's catalog: {}", text.lines().next().unwrap_or_default()),
            "update Codex: npm install -g @openai/codex",
        )),
        None => None,
    }
}

fn claude() -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((path, text)) = own_file(".claude/settings.json") {
        match serde_json::from_str::<Value>(&text) {
            Err(error) => {
                let what = format!("`{}` is no valid JSON: {error}", path.display());
                findings.push(Finding::problem(
                    GROUP,
                    "claude_settings",
                    what,
                    "mend it: Claude Code passes over it",
                ));
            }
            Ok(settings) => {
                let set: Vec<&str> =
                    CLAUDE_OVERRIDES.into_iter().filter(|name| !settings["env"][*name].is_null()).collect();
                if !set.is_empty() {
                    let what =
                        format!("`{}` sets {}, which goes before a launch", path.display(), set.join(", "));
                    findings.push(Finding::problem(GROUP, "claude_env", what, "remove it from `env` there"));
                }
                if !settings["apiKeyHelper"].is_null() {
                    let what = format!(
                        "`{}` has an apiKeyHelper, whose key may go before a launch's",
                        path.display()
                    );
                    findings.push(Finding::remark(
                        GROUP,
                        "claude_key_helper",
                        what,
                        "remove it if requests are refused with 401",
                    ));
                }
            }
        }
    }
    if env("ANTHROPIC_API_KEY").is_some() && env("ANTHROPIC_AUTH_TOKEN").is_some() {
        let what = "ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN are both set: a Claude Code that is started by hand sends the key to whoever ANTHROPIC_BASE_URL names";
        findings.push(Finding::remark(
            GROUP,
            "anthropic_key",
            what,
            "unset ANTHROPIC_API_KEY; a launch does so by itself",
        ));
    }
    findings
}

fn opencode() -> Vec<Finding> {
    let Some((path, text)) = own_file(".config/opencode/opencode.json") else { return Vec::new() };
    let Ok(settings) = serde_json::from_str::<Value>(&text) else { return Vec::new() };
    if settings["provider"]["latimer"].is_null() {
        return Vec::new();
    }
    let what = format!(
        "`{}` has a provider called latimer of its own, which is joined with a launch's",
        path.display()
    );
    vec![Finding::remark(GROUP, "opencode_provider", what, "give it another name there")]
}

fn gemini() -> Vec<Finding> {
    let Some((path, text)) = own_file(".gemini/settings.json") else { return Vec::new() };
    let Ok(settings) = serde_json::from_str::<Value>(&text) else {
        let what = format!("`{}` is no valid JSON", path.display());
        return vec![Finding::problem(
            GROUP,
            "gemini_settings",
            what,
            "mend it: the Gemini CLI does not start with it",
        )];
    };
    match settings["security"]["auth"]["enforcedType"].as_str() {
        Some(kind) if kind != "gemini-api-key" => {
            let what = format!("`{}` allows only the login {kind}: a launch uses a key", path.display());
            vec![Finding::problem(GROUP, "gemini_login", what, "remove security.auth.enforcedType there")]
        }
        _ => Vec::new(),
    }
}
