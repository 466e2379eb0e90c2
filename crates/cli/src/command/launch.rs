//! `latimer launch codex`: the real client on the configured provider, with no file of the person's touched.
//!
//! Everything Codex must know travels on its command line (`-c`), the token in its environment, and the model catalog in a
//! file of latimer's own. So there is nothing to put back, whatever dies.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use latimer_protocol::secret::Secret;
use latimer_proxy::config::{Auth, Config, state};
use latimer_proxy::inbound::models;

use crate::codex_texts::codex_texts;
use crate::running;
use crate::setup::{self, Configuration, Places};

/// The variable through which Codex receives the token: never an argument, which every user of the machine could read.
const TOKEN_VARIABLE: &str = "LATIMER_TOKEN";
/// A proxy that was started by a launch ends after this many seconds without a turn.
const IDLE_EXIT: &str = "3600";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer launch codex\n  latimer launch codex --model deepseek-chat -- exec \"explain this repository\"\n  latimer launch codex --endpoint openrouter --model z-ai/glm-5\n\nWhat stands behind `--` goes to the client unchanged."
)]
pub(crate) struct Args {
    /// The client to run
    #[arg(value_enum)]
    client: Client,
    /// The endpoint to use [default: the one that lists the model, else `default_endpoint`]
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// The model to ask for [default: the first model of the endpoint]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The client's program, when it is not on PATH
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
    /// Arguments for the client
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// OpenAI Codex
    Codex,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Client::Codex = args.client;
    let state_dir = args.places.state()?;
    let configuration = args.places.configuration()?;
    for warning in &configuration.loaded.warnings {
        setup::complain(&format!("latimer: warning: {warning}"));
    }
    let config = &configuration.loaded.config;
    let model = choose_model(config, args.endpoint.as_deref(), args.model.as_deref())?;
    let token = match config.server.auth {
        Auth::Token => Some(state::token(&state_dir).context("the access token")?),
        Auth::None => None,
    };
    let url = find_or_start(&state_dir, &configuration, token.as_ref())?;
    let catalog = state_dir.join("codex-catalog.json");
    let text = models::codex_catalog(config, &codex_texts(), Some(&model));
    state::write_private(&catalog, text.as_bytes()).context("writing the model catalog")?;
    let program = args.program.unwrap_or_else(|| PathBuf::from("codex"));
    let mut codex = Command::new(&program);
    codex.args(overrides(&url, &model, &catalog, token.is_some(), config.server.websocket));
    codex.args(&args.args);
    if let Some(token) = &token {
        codex.env(TOKEN_VARIABLE, token.expose());
    }
    let status = codex.status().with_context(|| {
        format!("running `{}`: is Codex installed? `npm install -g @openai/codex` installs it, --program names it", program.display())
    })?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The name to ask for, checked against the configuration before anything is started.
fn choose_model(config: &Config, endpoint: Option<&str>, model: Option<&str>) -> anyhow::Result<String> {
    if config.endpoints.is_empty() {
        bail!(
            "no endpoint is configured; docs/configuration.md shows the three lines it takes, and `latimer check` reads the file"
        );
    }
    let named = match endpoint {
        Some(name) => {
            let known = config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name);
            Some(known.with_context(|| {
                let names: Vec<&str> =
                    config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
                format!("there is no endpoint `{name}`; there are: {}", names.join(", "))
            })?)
        }
        None => None,
    };
    let name = match (named, model) {
        (Some(endpoint), Some(model)) => format!("{}/{model}", endpoint.name),
        (None, Some(model)) => model.to_owned(),
        (named, None) => {
            let endpoint = named
                .or_else(|| {
                    config
                        .endpoints
                        .iter()
                        .find(|endpoint| Some(&endpoint.name) == config.default_endpoint.as_ref())
                })
                .or(config.endpoints.first())
                .context("no endpoint is configured")?;
            let first = endpoint.models.first().with_context(|| {
                format!(
                    "endpoint `{}` lists no model; give --model, or add `models = [\"…\"]` to it",
                    endpoint.name
                )
            })?;
            let plain = config.route(&first.id).is_ok_and(|(found, _)| found.name == endpoint.name);
            if plain { first.id.clone() } else { format!("{}/{}", endpoint.name, first.id) }
        }
    };
    config.route(&name).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(name)
}

/// What Codex is told on its command line. Values are TOML.
fn overrides(url: &str, model: &str, catalog: &Path, with_token: bool, websocket: bool) -> Vec<OsString> {
    let mut pairs = vec![
        ("model", quote(model)),
        ("model_provider", quote("latimer")),
        ("model_catalog_json", quote(&catalog.to_string_lossy())),
        // Not "OpenAI" or "Azure": those names switch on compaction by the provider.
        ("model_providers.latimer.name", quote("latimer")),
        ("model_providers.latimer.base_url", quote(&format!("{url}/v1"))),
        ("model_providers.latimer.wire_api", quote("responses")),
        // Hosted search cannot run on a foreign provider; offering it would only be refused.
        ("web_search", quote("disabled")),
    ];
    if websocket {
        pairs.push(("model_providers.latimer.supports_websockets", "true".to_owned()));
    }
    if with_token {
        pairs.push(("model_providers.latimer.env_key", quote(TOKEN_VARIABLE)));
    }
    pairs.into_iter().flat_map(|(key, value)| ["-c".into(), format!("{key}={value}").into()]).collect()
}

/// A TOML basic string. JSON's escapes are a subset of TOML's.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The URL of a proxy that answers for this state directory, started if there is none.
fn find_or_start(
    state_dir: &Path,
    configuration: &Configuration,
    token: Option<&Secret>,
) -> anyhow::Result<String> {
    for url in running::urls(state_dir, &configuration.loaded.config) {
        if let Some(health) = running::health(&url, token) {
            let ours = configuration.path.as_deref().map(|path| path.to_string_lossy().into_owned());
            if health.config.path != ours {
                let theirs = health.config.path.as_deref().unwrap_or("no configuration file").to_owned();
                bail!(
                    "a proxy (process {}) already runs at {url} with {theirs}; stop it, or give this one a --state-dir and a listen address of its own",
                    health.pid
                );
            }
            return Ok(url);
        }
    }
    start(state_dir, configuration)
}

/// Starts a proxy of our own that outlives this launch, so that several launches can share it; it ends by itself after an
/// hour without a turn.
fn start(state_dir: &Path, configuration: &Configuration) -> anyhow::Result<String> {
    let log_path = state_dir.join("proxy.log");
    let log = state::open_private_log(&log_path)
        .with_context(|| format!("opening the log `{}`", log_path.display()))?;
    let mut serve = Command::new(std::env::current_exe().context("the path of latimer")?);
    serve.arg("serve").arg("--state-dir").arg(state_dir).args(["--idle-exit", IDLE_EXIT, "--log", "json"]);
    if let Some(path) = &configuration.path {
        serve.arg("--config").arg(path);
    }
    // A group of its own: Ctrl-C in the client's terminal is meant for the client.
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = serve.spawn().context("starting the proxy")?;
    let url = first_line(&mut child)
        .with_context(|| format!("the proxy did not start; its log is `{}`", log_path.display()))?;
    setup::complain(&format!(
        "latimer: started the proxy at {url} (process {}, log {})",
        child.id(),
        log_path.display()
    ));
    Ok(url)
}

fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("reading its first line")?;
    let url =
        line.trim().strip_prefix("latimer listening on ").context("it ended before it was listening")?;
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(with_token: bool, websocket: bool) -> Vec<String> {
        let catalog = Path::new("/state/codex-catalog.json");
        let args = overrides("http://127.0.0.1:4180", "a/\"b\"", catalog, with_token, websocket);
        args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_client_hears_of_the_websocket_where_there_is_one() {
        let speaks =
            |text: Vec<String>| text.contains(&"model_providers.latimer.supports_websockets=true".to_owned());
        assert!(speaks(told(true, true)) && !speaks(told(true, false)));
    }

    #[test]
    fn the_token_is_not_on_the_command_line() {
        let text = told(true, false);
        assert!(text.contains(&"model=\"a/\\\"b\\\"\"".to_owned()), "{text:?}");
        assert!(text.contains(&"model_providers.latimer.env_key=\"LATIMER_TOKEN\"".to_owned()), "{text:?}");
        assert!(!text.iter().any(|arg| arg.contains("bearer")), "{text:?}");
    }
}
