//! `GET /api/v1/clients`: the coding agents of this machine, which are installed, and what version each says.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use latimer_protocol::status::SCHEMA_VERSION;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::clock;
use crate::sync::lock;
use crate::text;

/// How long a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long what was found is told again: programs start slowly, and are seldom installed.
const FRESH: Duration = Duration::from_secs(60);
/// Variables that a program needs to say its version.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// A coding agent that `latimer launch` knows.
struct KnownClient {
    /// As its vendor calls it, and as usage rows name it.
    name: &'static str,
    /// Its program, which is also the name it is launched by.
    program: &'static str,
    /// The command that installs it.
    install: &'static str,
}

const CLIENTS: [KnownClient; 4] = [
    KnownClient { name: "Codex", program: "codex", install: "npm install -g @openai/codex" },
    KnownClient {
        name: "Claude Code",
        program: "claude",
        install: "npm install -g @anthropic-ai/claude-code",
    },
    KnownClient { name: "opencode", program: "opencode", install: "npm install -g opencode-ai" },
    KnownClient { name: "Gemini CLI", program: "gemini", install: "npm install -g @google/gemini-cli" },
];

/// What was found last, and when.
#[derive(Debug, Default)]
pub(super) struct FoundClients(Mutex<Option<(Instant, Value)>>);

impl FoundClients {
    /// The document; programs are asked for their version at most once a minute.
    pub(super) async fn document(&self) -> Value {
        let now = clock::now();
        let known = lock(&self.0).clone();
        if let Some((_, found)) = known.filter(|(at, _)| now.saturating_duration_since(*at) < FRESH) {
            return found;
        }
        let folders: Vec<PathBuf> =
            std::env::var_os("PATH").map(|path| absolute_folders(&path)).unwrap_or_default();
        let each = CLIENTS.iter().map(|client| look(client, &folders));
        let data = futures_util::future::join_all(each).await;
        let found = json!({ "schema_version": SCHEMA_VERSION, "data": data });
        *lock(&self.0) = Some((now, found.clone()));
        found
    }
}

/// Folders of a search path. One that is relative would be another one from wherever latimer was started.
fn absolute_folders(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()
}

async fn look(client: &KnownClient, folders: &[PathBuf]) -> Value {
    let path = folders.iter().map(|folder| folder.join(client.program)).find(|path| path.is_file());
    let version = match &path {
        Some(path) => version(path).await,
        None => None,
    };
    json!({
        "name": client.name,
        "program": client.program,
        "install": client.install,
        "path": path.map(|path| path.to_string_lossy().into_owned()),
        "version": version,
    })
}

/// The first line that a program prints for `--version`. It gets no key of a provider: it has no need of one.
async fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.env_clear().current_dir("/");
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let output = tokio::time::timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| !line.trim().is_empty()).filter(|_| output.status.success())?;
    Some(text::shown(line.trim(), text::MAX_WORD))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_absolute_folders_are_looked_into() {
        let folders = absolute_folders(OsStr::new(".:/usr/bin::bin:/bin"));
        assert_eq!(folders, [Path::new("/usr/bin"), Path::new("/bin")]);
    }

    #[tokio::test]
    async fn a_client_is_found_with_its_version_and_gets_nothing_of_the_environment() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, script: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        };
        put("codex", "echo; echo \"codex-cli 0.171.0 ${CARGO_MANIFEST_DIR:-clean}\"");
        put("claude", "exit 3");
        let folders = [dir.path().to_owned()];
        let [codex, claude, opencode, _] = CLIENTS.each_ref().map(|client| look(client, &folders));
        let (codex, claude, opencode) = (codex.await, claude.await, opencode.await);
        assert_eq!(codex["version"], "codex-cli 0.171.0 clean");
        assert!(codex["path"].as_str().is_some_and(|path| path.ends_with("/codex")), "{codex}");
        assert_eq!((claude["path"].is_string(), &claude["version"]), (true, &Value::Null));
        assert_eq!((&opencode["path"], &opencode["version"]), (&Value::Null, &Value::Null));
    }
}
