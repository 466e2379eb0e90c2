//! `latimer launch`: a real client on the configured provider, with no file of the person's touched.
//!
//! Everything a client must know travels on its command line, in its environment, or in a file of latimer's own; the token only ever
//! in its environment. So there is nothing to put back, whatever dies. One file below for each client.

pub(super) mod choice;
mod claude;
pub(super) mod client;
mod codex;
mod codex_desktop;
mod direct;
mod environment;
mod gemini;
pub(super) mod model;
mod opencode;
mod registration;
mod supervise;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use latimer_protocol::status::Health;
use latimer_proxy::config::Config;

use self::choice::{Choice, ChoiceArgs, choose};
use self::client::{LaunchContext, LaunchedClient, project};
use self::environment::keep_keys_out;
use crate::configuration::{Configuration, PathArgs, access_token};
use crate::exit::{Exit, ExitsWith as _};
use crate::sibling::sibling_binary;
use crate::terminal::{eprint_line, note_line};
use crate::{discovery, port, proxy_client, proxy_file, spawn, watchdog_settings};

/// A proxy that was started by a launch ends after this long without a turn.
const IDLE_EXIT: Duration = Duration::from_secs(3600);
/// Addresses that no client may send through a proxy of the network.
const LOOPBACK: &str = "127.0.0.1,localhost,::1";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer launch codex\n  latimer launch claude --model glm-5\n  latimer launch codex --model deepseek-v4-flash exec \"explain this repository\"\n  latimer launch opencode --endpoint openrouter --model z-ai/glm-5\n  latimer launch codex --profile cheap       a [[profile]] of the configuration\n  latimer launch codex --direct              as it is, without the proxy\n\nWhat stands behind the client's name and latimer's own options goes to the client unchanged; `--` ends latimer's own."
)]
pub(crate) struct LaunchArgs {
    /// The client to run
    #[arg(value_enum)]
    client: ClientName,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Without the proxy: as it is, or at the named endpoint where that speaks the client's own protocol
    #[arg(long)]
    direct: bool,
    /// The client's program, when it is not on PATH
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    #[command(flatten)]
    paths: PathArgs,
    /// Arguments for the client
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// The clients by the names a person types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ClientName {
    /// OpenAI Codex
    Codex,
    /// The Codex desktop app, with settings of its own
    CodexDesktop,
    /// Claude Code
    Claude,
    /// opencode
    Opencode,
    /// Google's Gemini CLI
    Gemini,
}

impl ClientName {
    /// The one place that a new client is entered in.
    pub(super) fn client(self) -> &'static dyn LaunchedClient {
        match self {
            Self::Codex => &codex::Codex,
            Self::CodexDesktop => &codex_desktop::CodexDesktop,
            Self::Claude => &claude::ClaudeCode,
            Self::Opencode => &opencode::Opencode,
            Self::Gemini => &gemini::GeminiCli,
        }
    }
}

/// The clients of the terminal that can be launched, by program, and the command that installs each. An app is none of them: asked for its
/// version, it would open a window.
pub(super) fn known_clients() -> Vec<(&'static str, &'static str)> {
    let names = ClientName::value_variants().iter().filter(|name| **name != ClientName::CodexDesktop);
    names.map(|name| (name.client().program(), name.client().install_hint())).collect()
}

pub(crate) fn run(args: &LaunchArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let client = args.client.client();
    if args.direct {
        let program = find_program(args.program.as_deref(), client)?;
        let mut command = Command::new(&program);
        command.args(&args.args);
        return direct::run(&args.paths, &args.choice, client, command, &state_dir).map(exit_code);
    }
    let configuration = args.paths.configuration()?;
    for warning in &configuration.loaded.warnings {
        eprint_line(&format!("latimer: warning: {warning}"));
    }
    let config = &configuration.loaded.config;
    let program = find_program(args.program.as_deref(), client)?;
    let Choice { model, small_model, effort, target } = choose(config, &args.choice, client.program())?;
    require_key(config, target.as_deref().unwrap_or(&model))?;
    let token = access_token(&state_dir, &config.server)?;
    let url = find_or_start(&state_dir, &configuration)?;
    let mut command = Command::new(&program);
    let context = LaunchContext {
        url: &url,
        model: &model,
        small_model: &small_model,
        effort,
        token: token.as_ref(),
        config,
        state_dir: &state_dir,
        project: &std::env::current_dir().map_or_else(|_| String::new(), |folder| project(&folder)),
    };
    keep_keys_out(&mut command, &configuration);
    client.configure(&mut command, &context)?;
    bypass_network_proxy(&mut command);
    command.args(&args.args);
    supervise::run(command, &state_dir, client).map(exit_code)
}

/// The client's program: found before anything is started for it.
fn find_program(named: Option<&Path>, client: &dyn LaunchedClient) -> anyhow::Result<PathBuf> {
    let program = named.unwrap_or_else(|| Path::new(client.program()));
    if discovery::on_path(program).is_some() {
        return Ok(program.to_owned());
    }
    let usual = client.usual_places().into_iter().find(|place| named.is_none() && place.is_file());
    usual.with_context(|| match named {
        Some(named) => format!("`{}` is not there; {}", named.display(), client.missing()),
        None => client.missing(),
    })
}

/// Refuses a model whose endpoint has no key, before a client is started that could only fail.
fn require_key(config: &Config, model: &str) -> anyhow::Result<()> {
    if config.named_route(model).is_some() {
        return Ok(());
    }
    let Ok((endpoint, _)) = config.route(model) else { return Ok(()) };
    let [missing, ..] = endpoint.missing_keys.as_slice() else { return Ok(()) };
    if !endpoint.keys.is_empty() || endpoint.login.is_some() {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "the endpoint `{}` has no key: `{missing}` is not there. Set it (export {missing}=…) and launch again",
        endpoint.name
    );
    Err(error).exits(Exit::NoProvider)
}

/// The client's exit code as a shell would give it: 128 and the number for a signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// A company's proxy could not reach this machine.
pub(super) fn bypass_network_proxy(command: &mut Command) {
    for name in ["NO_PROXY", "no_proxy"] {
        let existing = std::env::var(name).unwrap_or_default();
        let joined = if existing.is_empty() { LOOPBACK.to_owned() } else { format!("{existing},{LOOPBACK}") };
        command.env(name, joined);
    }
}

/// The URL of a proxy that answers for this state directory, started if there is none.
fn find_or_start(state_dir: &Path, configuration: &Configuration) -> anyhow::Result<String> {
    let wanted = configuration.loaded.config.server.listen;
    let mut taken = None;
    match proxy_client::find(state_dir, &configuration.loaded.config) {
        Ok(Some(proxy)) => {
            if let Some(health) = proxy.health() {
                require_same_config(&proxy.url, &health, configuration.path.as_deref())?;
                return Ok(proxy.url);
            }
        }
        // A proxy of ours that does not answer is the watchdog's affair.
        Ok(None) if proxy_file::url(state_dir).is_some() => {}
        Ok(None) if port::is_free(wanted) => {}
        Ok(None) => taken = Some(format!("another program holds {wanted}")),
        Err(error) if port::is_free(wanted) => return Err(error),
        Err(error) => taken = Some(format!("{error:#}")),
    }
    let listen = taken.map(|why| port::next_free(wanted).map(|free| (free, why))).transpose()?;
    if let Some((free, why)) = &listen {
        note_line(&format!("latimer: {why}. This launch goes by {free}"));
    }
    let listen = listen.map(|(free, _)| free);
    let is_watched = watchdog_settings::of(configuration).is_ok_and(|settings| settings.enabled);
    if is_watched && sibling_binary("latimer-watchdog").is_ok() {
        let status = spawn::start_watchdog(state_dir, configuration, listen, Some(IDLE_EXIT))?;
        let url = format!("http://{}", status.address);
        let log = state_dir.join("proxy.log");
        note_line(&format!(
            "latimer: started the proxy at {url} (kept alive by process {}, log {})",
            status.pid,
            log.display()
        ));
        return Ok(url);
    }
    let proxy = spawn::start_proxy(state_dir, configuration.path.as_deref(), listen, IDLE_EXIT)?;
    let log = state_dir.join("proxy.log");
    note_line(&format!(
        "latimer: started the proxy at {} (process {}, log {})",
        proxy.url,
        proxy.pid,
        log.display()
    ));
    Ok(proxy.url)
}

/// Refuses a proxy that runs with another configuration file.
fn require_same_config(url: &str, health: &Health, config: Option<&Path>) -> anyhow::Result<()> {
    // A background process is given whole paths; a person writes what is short.
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let theirs = health.config.path.as_deref();
    if theirs.map(|path| absolute(Path::new(path))) != config.map(absolute) {
        bail!(
            "a proxy (process {}) already runs at {url} with {}; stop it, or give this one a --state-dir and a listen address of its own",
            health.pid,
            theirs.unwrap_or("no configuration file")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_says_how_it_is_installed_and_resumed() {
        for name in ClientName::value_variants() {
            let client = name.client();
            let value = name.to_possible_value().expect("a name");
            // The registration tells a person `latimer launch <program>`.
            assert_eq!(client.program(), value.get_name());
            // The desktop app is no package of npm, and goes on by itself.
            let is_app = name == &ClientName::CodexDesktop;
            let way = if is_app { "https://" } else { "npm install -g " };
            assert!(client.install_hint().starts_with(way), "{name:?}");
            assert_eq!(client.resume_hint().is_empty(), is_app, "{name:?}");
        }
    }

    #[test]
    fn a_signal_becomes_the_exit_code_a_shell_gives() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(exit_code(ExitStatus::from_raw(15)), ExitCode::from(143));
    }

    #[test]
    fn a_proxy_with_another_configuration_is_refused() {
        let health: Health = serde_json::from_value(serde_json::json!({
            "status": "ok", "version": "1", "pid": 7, "uptime_s": 1, "memory_bytes": 1,
            "turns_open": 0, "turns_total": 0, "turns_failed": 0, "endpoints": [],
            "config": { "path": "/etc/a.toml", "reloads": 0, "refused": null },
        }))
        .expect("a health document");
        let check = |path: Option<&str>| require_same_config("http://x", &health, path.map(Path::new));
        assert!(check(Some("/etc/a.toml")).is_ok());
        for other in [Some("/etc/b.toml"), None] {
            let error = check(other).expect_err("another one").to_string();
            assert!(error.contains("process 7") && error.contains("/etc/a.toml"), "{error}");
        }
    }
}
