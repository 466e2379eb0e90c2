//! `latimer launch`: a real client on the configured provider, with no file of the person's touched.
//!
//! Everything a client must know travels on its command line, in its environment, or in a file of latimer's own; the token only ever
//! in its environment. So there is nothing to put back, whatever dies. One file below for each client.

mod claude;
mod codex;
mod entered;
mod gemini;
mod opencode;

pub(crate) use self::codex::{CATALOG, write_catalog};

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use latimer_protocol::secret::Secret;
use latimer_proxy::config::{Auth, Config, state};

use self::entered::Entered;
use super::background;
use crate::setup::{self, Configuration, Places};
use crate::{running, watchdog};

/// The variable in which clients that take a key by a name of ours find the token: never an argument, which every user of the
/// machine could read.
const TOKEN_VARIABLE: &str = "LATIMER_TOKEN";
/// What stands for a key where the proxy wants none: clients insist on one.
const NO_TOKEN: &str = "no-token-needed";
/// A proxy that was started by a launch ends after this many seconds without a turn.
const IDLE_EXIT: &str = "3600";
/// Addresses that no client may send through a proxy of the network.
const LOOPBACK: &str = "127.0.0.1,localhost,::1";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer launch codex\n  latimer launch claude --model glm-5\n  latimer launch codex --model deepseek-chat -- exec \"explain this repository\"\n  latimer launch opencode --endpoint openrouter --model z-ai/glm-5\n\nWhat stands behind `--` goes to the client unchanged."
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
    /// The model for titles and other small questions [default: the same]
    #[arg(long, value_name = "MODEL")]
    small_model: Option<String>,
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
    /// Claude Code
    Claude,
    /// opencode
    Opencode,
    /// Google's Gemini CLI
    Gemini,
}

impl Client {
    /// The program, and how it is installed.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Codex => ("codex", "npm install -g @openai/codex"),
            Self::Claude => ("claude", "npm install -g @anthropic-ai/claude-code"),
            Self::Opencode => ("opencode", "npm install -g opencode-ai"),
            Self::Gemini => ("gemini", "npm install -g @google/gemini-cli"),
        }
    }

    /// What stands behind `--` to go on with the last conversation.
    fn resume(self) -> &'static str {
        match self {
            Self::Codex => "resume --last",
            Self::Claude | Self::Opencode => "--continue",
            Self::Gemini => "--resume",
        }
    }
}

/// What a client is told.
struct Told<'t> {
    /// The proxy, without `/v1`.
    url: &'t str,
    /// The model to ask for.
    model: &'t str,
    /// The model for small questions.
    small_model: &'t str,
    /// The token, where the proxy wants one.
    token: Option<&'t Secret>,
    config: &'t Config,
    /// Where latimer's own files live.
    state_dir: &'t Path,
}

impl Told<'_> {
    /// What a client sends as its key.
    fn key(&self) -> &str {
        self.token.map_or(NO_TOKEN, Secret::expose)
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    let configuration = args.places.configuration()?;
    for warning in &configuration.loaded.warnings {
        setup::complain(&format!("latimer: warning: {warning}"));
    }
    let config = &configuration.loaded.config;
    let model = choose_model(config, args.endpoint.as_deref(), args.model.as_deref())?;
    let small_model = match &args.small_model {
        Some(small) => choose_model(config, None, Some(small))?,
        None => model.clone(),
    };
    let token = match config.server.auth {
        Auth::Token => Some(state::token(&state_dir).context("the access token")?),
        Auth::None => None,
    };
    let url = find_or_start(&state_dir, &configuration, token.as_ref())?;
    let told = Told {
        url: &url,
        model: &model,
        small_model: &small_model,
        token: token.as_ref(),
        config,
        state_dir: &state_dir,
    };
    let (usual, install) = args.client.program();
    let program = args.program.unwrap_or_else(|| PathBuf::from(usual));
    let mut client = Command::new(&program);
    match args.client {
        Client::Codex => codex::tell(&mut client, &told)?,
        Client::Claude => claude::tell(&mut client, &told),
        Client::Opencode => opencode::tell(&mut client, &told),
        Client::Gemini => gemini::tell(&mut client, &told)?,
    }
    never_through_a_proxy(&mut client);
    client.args(&args.args);
    let mut child = client.spawn().with_context(|| {
        format!(
            "running `{}`: is it installed? `{install}` installs it, --program names it",
            program.display()
        )
    })?;
    let entered = Entered::new(&state_dir, child.id(), args.client);
    let status = child.wait().context("waiting for the client")?;
    entered.leave(status);
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// A company's proxy could not reach this machine.
fn never_through_a_proxy(client: &mut Command) {
    for name in ["NO_PROXY", "no_proxy"] {
        let known = std::env::var(name).unwrap_or_default();
        let joined = if known.is_empty() { LOOPBACK.to_owned() } else { format!("{known},{LOOPBACK}") };
        client.env(name, joined);
    }
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

/// The URL of a proxy that answers for this state directory, started if there is none.
fn find_or_start(
    state_dir: &Path,
    configuration: &Configuration,
    token: Option<&Secret>,
) -> anyhow::Result<String> {
    for url in running::urls(state_dir, &configuration.loaded.config) {
        if let Some(health) = running::health(&url, token) {
            // A background process is given whole paths; a person writes what is short.
            let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let ours = configuration.path.as_deref().map(whole);
            if health.config.path.as_deref().map(|path| whole(Path::new(path))) != ours {
                let theirs = health.config.path.as_deref().unwrap_or("no configuration file").to_owned();
                bail!(
                    "a proxy (process {}) already runs at {url} with {theirs}; stop it, or give this one a --state-dir and a listen address of its own",
                    health.pid
                );
            }
            return Ok(url);
        }
    }
    let wanted = watchdog::settings::of(configuration).is_ok_and(|settings| settings.enabled);
    if wanted && watchdog::run::partner("latimer-watchdog").is_ok() {
        let status = background::start(state_dir, configuration, Some(IDLE_EXIT))?;
        let url = format!("http://{}", status.address);
        setup::complain(&format!(
            "latimer: started the proxy at {url} (kept alive by process {}, log {})",
            status.pid,
            state_dir.join("proxy.log").display()
        ));
        return Ok(url);
    }
    start(state_dir, configuration)
}

/// Starts a proxy without a watchdog of our own that outlives this launch, so that several launches can share it; it ends by itself after an
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
