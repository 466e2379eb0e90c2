//! `latimer env`: what a client needs that a person starts without `latimer launch`, as lines for a shell. The token is not among them: the
//! shell asks `latimer token` for it.

mod shell;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use latimer_protocol::printable::is_harmful;
use latimer_proxy::config::Config;
use serde_json::{Map, json};

use self::shell::{Assignment, Shell};
use super::launch::choice::{ChoiceArgs, choose};
use super::launch::client::LaunchContext;
use super::launch::{ClientName, bypass_network_proxy};
use crate::configuration::{Namer, PathArgs, access_token};
use crate::exit::{Exit, ExitsWith as _};
use crate::proxy_client;
use crate::terminal::{eprint_line, print_json, print_lines};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eval \"$(latimer env claude)\"                      bash, zsh\n  latimer env codex --shell fish | source\n  latimer env gemini --shell powershell | Out-String | Invoke-Expression\n  latimer env opencode --profile cheap >> .envrc\n\nThe lines hold no token; they ask `latimer token` for it. A client that takes its settings on the command line becomes a function of the shell. Keys of providers stay in your shell: `latimer launch` keeps them from the client, this cannot."
)]
pub(crate) struct EnvArgs {
    /// The client to be started by hand
    #[arg(value_enum)]
    client: ClientName,
    /// For which shell [default: by SHELL, else bash]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// As JSON, with the token's variables by name
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &EnvArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let configuration = args.paths.configuration()?;
    let config = &configuration.loaded.config;
    let client = args.client.client();
    let chosen = choose(config, &args.choice, client.program())?;
    let token = access_token(&state_dir, &config.server)?;
    let url = url(&state_dir, config)?;
    let mut command = Command::new(client.program());
    let context = LaunchContext {
        url: &url,
        model: &chosen.model,
        small_model: &chosen.small_model,
        effort: chosen.effort,
        token: token.as_ref(),
        config,
        state_dir: &state_dir,
        project: "",
    };
    client.configure(&mut command, &context)?;
    bypass_network_proxy(&mut command);
    let secret = token.as_ref().map(latimer_protocol::secret::Secret::expose);
    let assignments = assignments(&command, secret)?;
    let client_args = command.get_args().map(text).collect::<anyhow::Result<Vec<String>>>()?;
    if args.json {
        let variables: Map<_, _> = assignments.iter().map(Assignment::document).collect();
        print_json(
            &json!({ "schema_version": 1, "program": client.program(), "variables": variables, "args": client_args }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let shell = args.shell.unwrap_or_else(Shell::of_environment);
    let mut lines: Vec<String> = Vec::new();
    let token_command = token_command(&args.paths, &state_dir)?;
    lines.extend(assignments.iter().map(|assignment| shell.assignment(assignment, &token_command)));
    if !client_args.is_empty() {
        lines.push(shell.function(client.program(), &client_args));
    }
    print_lines(lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the proxy answers: the running one, else as configured.
fn url(state_dir: &Path, config: &Config) -> anyhow::Result<String> {
    if let Some(proxy) = proxy_client::find(state_dir, config)? {
        return Ok(proxy.url);
    }
    let port = config.server.listen.port();
    if port == 0 {
        let error = anyhow::anyhow!(
            "nothing runs, and `server.listen` leaves the port open, so there is no address yet; `latimer up` starts it"
        );
        return Err(error).exits(Exit::NotRunning);
    }
    eprint_line("nothing runs yet; start it before the client: latimer up");
    Ok(format!("http://{}", config.server.listen))
}

/// The variables that a client is told, in the order of their names.
fn assignments(command: &Command, token: Option<&str>) -> anyhow::Result<Vec<Assignment>> {
    let one = |(name, value): (&OsStr, Option<&OsStr>)| {
        let name = text(name)?;
        let Some(value) = value else { return Ok(Assignment::Remove(name)) };
        let value = text(value)?;
        match token {
            Some(token) if value == token => Ok(Assignment::Token(name)),
            Some(token) => {
                ensure!(!value.contains(token), "`{name}` would hold the token; use `latimer launch`");
                Ok(Assignment::Text(name, value))
            }
            None => Ok(Assignment::Text(name, value)),
        }
    };
    command.get_envs().map(one).collect()
}

/// What a shell may be given: a text whose characters can all be seen.
fn text(value: &OsStr) -> anyhow::Result<String> {
    let text = value
        .to_str()
        .context("a value that is no text cannot be written for a shell; use `latimer launch`")?;
    ensure!(
        !text.chars().any(is_harmful),
        "a value holds characters that cannot be seen; look at the configuration with `latimer config show`"
    );
    Ok(text.to_owned())
}

/// The command that prints the token: of this very program, and of this state directory.
fn token_command(paths: &PathArgs, state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let own = std::env::current_exe().context("the path of latimer")?;
    let mut words = vec![if is_found_first(&own) { OsString::from("latimer") } else { own.into_os_string() }];
    words.push("token".into());
    if paths.state_dir_namer() != Namer::Nobody {
        words.extend(["--state-dir".into(), std::path::absolute(state_dir)?.into_os_string()]);
    }
    words.iter().map(|word| text(word)).collect()
}

/// Whether `latimer` on PATH is this program.
fn is_found_first(own: &Path) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let first: Option<PathBuf> =
        std::env::split_paths(&folders).map(|folder| folder.join("latimer")).find(|path| path.is_file());
    let same =
        |path: PathBuf| path.canonicalize().is_ok_and(|path| own.canonicalize().is_ok_and(|own| own == path));
    first.is_some_and(same)
}
