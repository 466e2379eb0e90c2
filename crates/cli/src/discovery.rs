//! What is already on this machine: keys in variables, accounts, local servers, installed clients. Nothing is changed, and nothing leaves the
//! machine but short questions to its own ports.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use latimer_adapters::model_list::ProviderModel;
use latimer_adapters::transport::outbound::Outbound;
use latimer_proxy::accounts;
use latimer_proxy::config::Login;
use latimer_proxy::config::presets::{PRESETS, Preset};
use serde::Serialize;

use crate::clock;
use crate::configuration::{account_places, load_text};
use crate::endpoint_trial::Asker;
use crate::environment::env;

/// How long a server of this machine may take to list its models.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a client that starts is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The most that is read of what a program prints, in bytes.
const MAX_OUTPUT_BYTES: u64 = 8 << 20;
/// The longest version that is shown, in characters.
const MAX_VERSION: usize = 60;

/// A variable that holds a key of a provider latimer knows by name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundKey {
    /// The preset it belongs to.
    pub(crate) preset: &'static str,
    /// Where its key stands.
    pub(crate) variable: &'static str,
}

/// A login with accounts that are there.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundLogin {
    /// As on the command line.
    pub(crate) login: &'static str,
    /// The preset that uses it.
    pub(crate) preset: Option<&'static str>,
    /// What the accounts are called.
    pub(crate) accounts: Vec<String>,
}

/// A server of this machine that lists models.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundServer {
    /// What it is called in a configuration.
    pub(crate) name: &'static str,
    /// The preset of such a server.
    pub(crate) preset: Option<&'static str>,
    /// Where it is.
    pub(crate) base_url: String,
    /// What it lists.
    pub(crate) models: Vec<String>,
}

/// A client, and whether it is installed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundClient {
    /// Its program, which is also the name it is launched by.
    pub(crate) name: &'static str,
    /// Where it is; `None` where it is not on `PATH`.
    pub(crate) program: Option<PathBuf>,
    /// What it says its version is.
    pub(crate) version: Option<String>,
    /// The command that installs it.
    pub(crate) install: &'static str,
}

/// The keys in the environment, in the order of the presets; a variable of several presets belongs to the first.
pub(crate) fn keys() -> Vec<FoundKey> {
    let mut found: Vec<FoundKey> = Vec::new();
    for preset in &PRESETS {
        let Some(variable) = preset.key_env else { continue };
        let is_set = env(variable).is_some_and(|key| !key.trim().is_empty());
        if is_set && !found.iter().any(|known| known.variable == variable) {
            found.push(FoundKey { preset: preset.name, variable });
        }
    }
    found
}

/// The logins that have accounts: latimer's own, and those of other tools.
pub(crate) fn logins(state_dir: &Path) -> Vec<FoundLogin> {
    let places = account_places(state_dir, Outbound::Direct);
    let found = Login::ALL.into_iter().map(|login| FoundLogin {
        login: login.name(),
        preset: preset_of(login).map(|preset| preset.name),
        accounts: accounts::load(login, &places)
            .accounts
            .iter()
            .map(|account| account.id().to_owned())
            .collect(),
    });
    found.filter(|found| !found.accounts.is_empty()).collect()
}

/// The preset that is used with a login, one without keys first.
fn preset_of(login: Login) -> Option<&'static Preset> {
    static TABLE: [Preset; PRESETS.len()] = PRESETS;
    let of = |preset: &&Preset| preset.login == Some(login);
    TABLE.iter().filter(of).find(|preset| preset.key_env.is_none()).or_else(|| TABLE.iter().find(of))
}

/// The servers of this machine that answer, all asked at once.
pub(crate) fn servers(state_dir: &Path) -> Vec<FoundServer> {
    let places = server_places();
    std::thread::scope(|scope| {
        let asked: Vec<_> = places
            .into_iter()
            .map(|(name, preset, base_url)| {
                scope.spawn(move || {
                    let models = list(&base_url, state_dir)?;
                    let models = models.into_iter().map(|model| model.id).collect();
                    Some(FoundServer { name, preset, base_url, models })
                })
            })
            .collect();
        asked.into_iter().filter_map(|asked| asked.join().ok().flatten()).collect()
    })
}

/// Where servers of this kind usually listen.
fn server_places() -> Vec<(&'static str, Option<&'static str>, String)> {
    let ollama = env("OLLAMA_HOST").and_then(|host| ollama_url(&host));
    vec![
        ("ollama", Some("ollama"), ollama.unwrap_or_else(|| "http://127.0.0.1:11434/v1".to_owned())),
        ("lmstudio", Some("lmstudio"), "http://127.0.0.1:1234/v1".to_owned()),
        ("vllm", Some("vllm"), "http://127.0.0.1:8000/v1".to_owned()),
        ("llamacpp", None, "http://127.0.0.1:8080/v1".to_owned()),
    ]
}

/// What Ollama's variable means: a host, a port, or both, with or without a scheme. `None` for another machine: that is no local server.
fn ollama_url(host: &str) -> Option<String> {
    let host = host.trim().trim_start_matches("http://").trim_end_matches('/');
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "11434"));
    let port: u16 = port.parse().ok()?;
    matches!(name, "" | "localhost" | "127.0.0.1" | "0.0.0.0").then(|| format!("http://127.0.0.1:{port}/v1"))
}

fn list(base_url: &str, state_dir: &Path) -> Option<Vec<ProviderModel>> {
    let text = format!("[[endpoint]]\nname = \"local\"\nbase_url = \"{base_url}\"\nproxy = \"none\"\n");
    let config = load_text(&text).ok()?.config;
    let asker = Asker::new(&config, config.endpoints.first()?, state_dir, SERVER_TIMEOUT);
    asker.models().ok()?.ok()?
}

/// The clients, installed or not, all asked for their version at once.
pub(crate) fn clients(known: &[(&'static str, &'static str)]) -> Vec<FoundClient> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = known
            .iter()
            .map(|(name, install)| {
                scope.spawn(move || {
                    let program = on_path(Path::new(name));
                    let version = program.as_deref().and_then(version);
                    FoundClient { name, program, version, install }
                })
            })
            .collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

/// Where a program is found: at its path, else on `PATH`.
pub(crate) fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The first line that a program prints for `--version`; `None` where it takes too long or fails.
fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    let (is_ok, text) = output_within(command.arg("--version").stdin(Stdio::null()), VERSION_TIMEOUT)?;
    let line = text.lines().find(|line| !line.trim().is_empty()).filter(|_| is_ok)?;
    Some(line.trim().chars().take(MAX_VERSION).collect())
}

/// Whether a program succeeded, and what it printed: on stdout, else on stderr. `None` where it cannot be run or takes longer than this; it
/// is ended then.
pub(crate) fn output_within(command: &mut Command, timeout: Duration) -> Option<(bool, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let (sender, texts) = mpsc::channel();
    read_aside(child.stdout.take()?, 0, &sender);
    read_aside(child.stderr.take()?, 1, &sender);
    let begun = clock::now();
    let status = loop {
        if let Some(status) = child.try_wait().ok()? {
            break status;
        }
        if begun.elapsed() > timeout {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    // What it left running may keep a pipe open.
    let mut said = [String::new(), String::new()];
    for _ in 0..2 {
        if let Ok((place, text)) = texts.recv_timeout(timeout)
            && let Some(known) = said.get_mut(usize::from(place == 1))
        {
            *known = text;
        }
    }
    let [out, err] = said;
    Some((status.success(), if out.trim().is_empty() { err } else { out }))
}

/// Reads to the end on a thread of its own.
fn read_aside(pipe: impl Read + Send + 'static, place: u8, sender: &mpsc::Sender<(u8, String)>) {
    let sender = sender.clone();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        let _ = sender.send((place, String::from_utf8_lossy(&bytes).into_owned()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollamas_variable_is_read_as_ollama_reads_it() {
        let cases = [
            ("127.0.0.1:7", Some("http://127.0.0.1:7/v1")),
            ("http://localhost:7/", Some("http://127.0.0.1:7/v1")),
            ("0.0.0.0", Some("http://127.0.0.1:11434/v1")),
            (":8", Some("http://127.0.0.1:8/v1")),
            ("gpu.example:7", None),
            ("127.0.0.1:port", None),
        ];
        for (host, want) in cases {
            assert_eq!(ollama_url(host).as_deref(), want, "{host}");
        }
    }

    #[test]
    fn every_login_has_a_preset() {
        for login in Login::ALL {
            assert!(preset_of(login).is_some(), "{}", login.name());
        }
    }

    #[test]
    fn a_program_says_its_version_or_nothing() {
        assert!(version(Path::new("/bin/false")).is_none());
        assert!(on_path(Path::new("sh")).is_some() && on_path(Path::new("no-such-program")).is_none());
    }
}
