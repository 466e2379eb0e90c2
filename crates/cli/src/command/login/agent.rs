//! `latimer login codex|claude|opencode --endpoint NAME`: the agent's own login, made in a folder that is thrown away, kept in the
//! endpoint's private home.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use latimer_adapters::agents::login::{self, LoginPlan, LoginWay};
use latimer_adapters::agents::place::AgentPlace;
use latimer_adapters::agents::settings::AgentSettings;
use latimer_proxy::config::Config;
use tokio::process::Command;

use crate::configuration::PathArgs;
use crate::runtime::runtime;
use crate::terminal::print_line;

/// The names of agents that can be logged in.
pub(super) const AGENTS: [&str; 3] = ["codex", "claude", "opencode"];

/// The most of a login's file, in bytes.
const MAX_LOGIN_BYTES: u64 = 1 << 20;

/// A folder that is removed however the login ends.
struct ThrownAway(PathBuf);

impl Drop for ThrownAway {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(
    agent: &str,
    endpoint: Option<&str>,
    way: LoginWay,
    paths: &PathArgs,
) -> anyhow::Result<ExitCode> {
    let config = paths.configuration()?.loaded.config;
    let (name, settings) = endpoint_of(&config, agent, endpoint)?;
    let place = AgentPlace::new(config.agents.folder(&paths.state_dir()?), &name, &settings);
    place.prepare().map_err(|failure| anyhow::anyhow!(failure.message.as_str().to_owned()))?;
    let kept = login::kept_file(settings.program, place.home());
    if kept.exists() {
        let text = format!("{name} is logged in already; remove `{}` to log in anew", kept.display());
        print_line(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = login::plan(settings.program, way)
        .with_context(|| format!("{agent} has no such way to log in; leave --with-api-key out"))?;
    let program = place.program().map_err(|failure| anyhow::anyhow!(failure.message.as_str().to_owned()))?;
    let folder = ThrownAway(place.folder().join(format!("login-{}", std::process::id())));
    latimer_files::prepare(&folder.0).with_context(|| format!("making `{}`", folder.0.display()))?;
    runtime()?.block_on(ask(&program, &plan, &place, &folder.0))?;
    keep(&folder.0.join(plan.made), &kept)?;
    print_line(&format!("logged in; the endpoint {name} uses it from now on"))?;
    Ok(ExitCode::SUCCESS)
}

/// The endpoint that is meant: the one that is named, or the only one of this agent.
fn endpoint_of(config: &Config, agent: &str, named: Option<&str>) -> anyhow::Result<(String, AgentSettings)> {
    let is_of_agent = |settings: &AgentSettings| settings.program.login_name() == agent;
    let all = config.endpoints.iter().filter_map(|endpoint| {
        let settings = endpoint.agent.as_deref().filter(|settings| is_of_agent(settings))?;
        Some((endpoint.name.to_string(), settings.clone()))
    });
    let mut found: Vec<(String, AgentSettings)> =
        all.filter(|(name, _)| named.is_none_or(|named| named == name)).collect();
    match (found.len(), named) {
        (1, _) => Ok(found.remove(0)),
        (0, Some(named)) => bail!("no endpoint of {agent} is called `{named}`; see `latimer endpoints`"),
        (0, None) => {
            let protocol = match agent {
                "claude" => "claude-code",
                "opencode" => "opencode",
                _ => "codex-app-server",
            };
            bail!("no endpoint uses {agent}; add one with protocol = \"{protocol}\" first")
        }
        _ => {
            let choice: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
            bail!("several endpoints use {agent}; choose one with --endpoint: {}", choice.join(", "))
        }
    }
}

/// Lets the program ask the person. Ctrl-C ends it, and the folder goes.
async fn ask(program: &Path, plan: &LoginPlan, place: &AgentPlace, folder: &Path) -> anyhow::Result<()> {
    let home = folder.as_os_str().to_owned();
    let mut command = Command::new(program);
    command
        .args(&plan.args)
        .env_clear()
        .envs(place.environment(&place.mark(), &[(plan.variable, home)]))
        .stdin(Stdio::inherit())
        .kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("running `{}`", program.display()))?;
    let status = tokio::select! {
        status = child.wait() => status.context("waiting for the login")?,
        _ = tokio::signal::ctrl_c() => bail!("the login was broken off; nothing was kept"),
    };
    if !status.success() {
        bail!("the login was not completed ({status}); nothing was kept");
    }
    Ok(())
}

/// Takes the login over, whole and private.
fn keep(made: &Path, kept: &Path) -> anyhow::Result<()> {
    use std::io::Read as _;
    let (file, _) = latimer_files::open_as_it_is(made)
        .with_context(|| format!("the program said that it was done, and wrote no `{}`", made.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_LOGIN_BYTES).read_to_end(&mut bytes)?;
    if let Some(folder) = kept.parent() {
        latimer_files::prepare(folder).with_context(|| format!("making `{}`", folder.display()))?;
    }
    latimer_files::write(kept, &bytes).with_context(|| format!("writing `{}`", kept.display()))
}

/// The agents' programs, for messages.
pub(super) fn is_agent(name: &str) -> bool {
    AGENTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use latimer_adapters::agents::settings::AgentProgram;

    use super::*;
    use crate::configuration::load_text;

    fn config(text: &str) -> Config {
        load_text(text).expect("a configuration").config
    }

    #[test]
    fn the_only_endpoint_of_an_agent_needs_no_name() {
        let one = config("[[endpoint]]\nname = \"a\"\nprotocol = \"codex-exec\"\n");
        assert_eq!(endpoint_of(&one, "codex", None).expect("found").0, "a");
        let error = endpoint_of(&one, "claude", None).expect_err("none").to_string();
        assert!(error.contains("protocol = \"claude-code\""), "{error}");
        let two = config(
            "[[endpoint]]\nname = \"a\"\nprotocol = \"codex-exec\"\n[[endpoint]]\nname = \"b\"\nprotocol = \"codex-app-server\"\n",
        );
        let error = endpoint_of(&two, "codex", None).expect_err("two").to_string();
        assert!(error.contains("a, b"), "{error}");
        let (name, settings) = endpoint_of(&two, "codex", Some("b")).expect("named");
        assert_eq!((name.as_str(), settings.program), ("b", AgentProgram::CodexAppServer));
        assert!(endpoint_of(&two, "codex", Some("c")).is_err());
    }
}
