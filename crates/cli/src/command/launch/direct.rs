//! `latimer launch CLIENT --direct`: without the proxy. As it is, where no endpoint is named; else at a provider that speaks the client's own
//! protocol.

use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, bail};
use latimer_proxy::config::{Endpoint, Protocol};

use super::choice::{ChoiceArgs, choose};
use super::client::{DirectTarget, LaunchedClient};
use super::environment::keep_keys_out;
use super::supervise;
use crate::configuration::PathArgs;
use crate::exit::{Exit, ExitsWith as _};

/// Runs the client to its end.
///
/// # Errors
/// The endpoint does not speak the client's protocol, or has no key to hand over.
pub(super) fn run(
    paths: &PathArgs,
    choice: &ChoiceArgs,
    client: &dyn LaunchedClient,
    mut command: Command,
    state_dir: &Path,
) -> anyhow::Result<ExitStatus> {
    if choice.is_empty() {
        return supervise::run(command, state_dir, client);
    }
    let configuration = paths.configuration()?;
    let config = &configuration.loaded.config;
    let chosen = choose(config, choice, client.program())?;
    let name = chosen.target.as_deref().unwrap_or(&chosen.model);
    if chosen.target.is_none() && config.named_route(name).is_some() {
        bail!(
            "`{name}` is a route, and only the proxy knows routes; launch without --direct, or name an endpoint"
        );
    }
    let (endpoint, model) = config.route(name).map_err(|error| anyhow::anyhow!("{error}"))?;
    require_own_protocol(endpoint, client)?;
    let key = endpoint.keys.first().with_context(|| match (&endpoint.login, endpoint.missing_keys.first()) {
        (Some(login), _) => format!(
            "the endpoint `{}` uses accounts of `latimer login {}`, which only the proxy can; launch without --direct",
            endpoint.name,
            login.name()
        ),
        (None, Some(missing)) => format!("the endpoint `{}` has no key: `{missing}` is not there. Set it, and launch again", endpoint.name),
        (None, None) => format!("the endpoint `{}` has no key to hand over; launch without --direct", endpoint.name),
    });
    let key = key.exits(Exit::NoProvider)?;
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new(command.get_program());
    keep_keys_out(&mut command, &configuration);
    client.configure_direct(&mut command, &DirectTarget { endpoint, model: &model, key });
    command.args(args);
    supervise::run(command, state_dir, client)
}

fn require_own_protocol(endpoint: &Endpoint, client: &dyn LaunchedClient) -> anyhow::Result<()> {
    let name = client.program();
    match client.own_protocol() {
        None => bail!(
            "{name} cannot be told a provider; `latimer launch {name} --direct` alone runs it as it is, and without --direct it asks latimer"
        ),
        Some(own) if own != endpoint.protocol => bail!(
            "the endpoint `{}` speaks {}, and {name} speaks {} only; launch without --direct, and latimer translates",
            endpoint.name,
            endpoint.protocol.name(),
            own.name()
        ),
        Some(Protocol::Responses | Protocol::Messages) => Ok(()),
        Some(other) => bail!("{} is no protocol of a client", other.name()),
    }
}
