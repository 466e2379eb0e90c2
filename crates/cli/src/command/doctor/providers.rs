//! Keys, accounts, and whether the providers behind them answer. Only their lists of models are asked for: that costs nothing.

use std::time::Duration;

use latimer_adapters::agents::probe::{Probe, ProbeProblem, ProblemWeight};
use latimer_adapters::transport::outbound::Outbound;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_proxy::accounts;
use latimer_proxy::config::{Config, Endpoint};

use super::Examined;
use super::finding::{Finding, Group};
use crate::clock::unix_seconds;
use crate::command::agent_probe;
use crate::configuration::account_places;
use crate::endpoint_trial::{Asker, failure_words, remedy};

/// How long a provider may take to list its models.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The end of a token is told when it is nearer than this, in seconds.
const MAX_TOLD_SECS: u64 = 24 * 3600;

/// The keys and accounts that the endpoints need.
pub(super) fn accounts(examined: &Examined<'_>) -> Vec<Finding> {
    let (Some(configuration), Some(state_dir)) = (&examined.configuration, &examined.state_dir) else {
        return Vec::new();
    };
    let places = account_places(state_dir, Outbound::Direct);
    let now = unix_seconds();
    let endpoints = &configuration.loaded.config.endpoints;
    let mut findings: Vec<Finding> = endpoints.iter().filter_map(key).collect();
    let mut logins: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.login).collect();
    logins.dedup();
    for login in logins {
        let found = accounts::load(login, &places);
        findings.extend(found.problems.iter().map(|problem| {
            let next = format!("latimer login {}", login.name());
            Finding::problem(Group::Accounts, "account_broken", problem.clone(), next)
        }));
        let needs_one = |endpoint: &Endpoint| endpoint.login == Some(login) && endpoint.keys.is_empty();
        if found.accounts.is_empty() && endpoints.iter().any(needs_one) {
            let what = format!("nobody is logged in at {}", login.name());
            let next = format!("latimer login {}", login.name());
            findings.push(Finding::problem(Group::Accounts, "no_account", what, next));
        }
        for account in &found.accounts {
            let state = account.state(now);
            let next = format!("latimer login {}", login.name());
            findings.push(match (state.state.as_str(), state.expires_at) {
                ("needs_login", _) => {
                    let what = format!("{} at {} has to log in again", state.id, state.login);
                    Finding::problem(Group::Accounts, "needs_login", what, next)
                }
                ("ok", Some(at)) if at.saturating_sub(now) < MAX_TOLD_SECS => Finding::fine(
                    Group::Accounts,
                    "account",
                    format!(
                        "{} at {}, token for {} more minutes",
                        state.id,
                        state.login,
                        at.saturating_sub(now) / 60
                    ),
                ),
                _ => Finding::fine(Group::Accounts, "account", format!("{} at {}", state.id, state.login)),
            });
        }
    }
    findings
}

/// The keys of one endpoint.
fn key(endpoint: &Endpoint) -> Option<Finding> {
    let name = &endpoint.name;
    if let Some(missing) = endpoint.missing_keys.first() {
        let what = format!("{name}: `{missing}` should hold its key, and is not there");
        let is_variable = !missing.contains('/');
        let next = if is_variable {
            format!("export {missing}=…, where latimer is started")
        } else {
            format!("latimer endpoints edit {name} --key-stdin")
        };
        let is_needed = endpoint.keys.is_empty() && endpoint.login.is_none();
        return Some(if is_needed {
            Finding::problem(Group::Accounts, "no_key", what, next)
        } else {
            Finding::remark(Group::Accounts, "key_missing", what, next)
        });
    }
    let count = endpoint.keys.len();
    (count > 0).then(|| {
        Finding::fine(
            Group::Accounts,
            "key",
            format!("{name}: {count} key{}", if count == 1 { "" } else { "s" }),
        )
    })
}

/// The endpoints, all asked at once.
pub(super) fn endpoints(examined: &Examined<'_>) -> Vec<Finding> {
    let (Some(configuration), Some(state_dir)) = (&examined.configuration, &examined.state_dir) else {
        return Vec::new();
    };
    let config = &configuration.loaded.config;
    if examined.is_offline {
        return Vec::new();
    }
    std::thread::scope(|scope| {
        let asked: Vec<_> = config
            .endpoints
            .iter()
            .map(|endpoint| scope.spawn(move || endpoint_finding(config, endpoint, state_dir)))
            .collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).flatten().collect()
    })
}

fn endpoint_finding(config: &Config, endpoint: &Endpoint, state_dir: &std::path::Path) -> Vec<Finding> {
    const GROUP: Group = Group::Endpoints;
    let name = &endpoint.name;
    let mut findings = Vec::new();
    if endpoint.models.is_empty() {
        let next = format!("latimer endpoints models {name} --write");
        findings.push(Finding::remark(GROUP, "no_model", format!("{name} lists no model"), next));
    }
    if let Some(found) = agent_probe::of_endpoint(config, endpoint, state_dir) {
        findings.extend(agent_findings(name.as_str(), found));
        return findings;
    }
    // Without a key the answer is known.
    if endpoint.keys.is_empty() && !endpoint.missing_keys.is_empty() && endpoint.login.is_none() {
        return findings;
    }
    let asker = Asker::new(config, endpoint, state_dir, ANSWER_TIMEOUT);
    findings.push(match asker.models() {
        Err(error) => Finding::problem(GROUP, "endpoint", format!("{name}: {error:#}"), "try again"),
        Ok(Ok(None)) => {
            let next = format!("latimer endpoints test {name} asks a turn");
            Finding::remark(
                GROUP,
                "endpoint_unasked",
                format!("{name}: its protocol has no list to ask for"),
                next,
            )
        }
        Ok(Ok(Some(models))) => {
            let missing =
                endpoint.models.iter().find(|model| !models.iter().any(|listed| listed.id == model.id));
            match missing {
                Some(missing) if !models.is_empty() => {
                    let what = format!("{name} answers, and does not list `{}`", missing.id);
                    let next = format!("latimer endpoints models {name}");
                    Finding::remark(GROUP, "model_unlisted", what, next)
                }
                _ => Finding::fine(GROUP, "endpoint", format!("{name} answers, {} models", models.len())),
            }
        }
        Ok(Err(failure)) if has_no_list(&failure) => {
            let next = format!("latimer endpoints test {name} asks a turn");
            Finding::remark(GROUP, "endpoint_unasked", format!("{name}: it lists no models"), next)
        }
        Ok(Err(failure)) => {
            let what = format!("{name}: {}", failure_words(&failure));
            Finding::problem(GROUP, "endpoint", what, remedy(&failure, endpoint))
        }
    });
    findings
}

/// The program behind an endpoint that is an agent.
fn agent_findings(name: &str, found: anyhow::Result<Probe>) -> Vec<Finding> {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            return vec![Finding::problem(
                Group::Endpoints,
                "agent",
                format!("{name}: {error:#}"),
                "try again",
            )];
        }
    };
    let told = |problem: &ProbeProblem| {
        let (what, next) = (problem.what.clone(), problem.next.clone());
        match problem.weight {
            ProblemWeight::Fatal => Finding::problem(Group::Endpoints, "agent", what, next),
            ProblemWeight::Doubtful => Finding::remark(Group::Endpoints, "agent_version", what, next),
        }
    };
    if found.problems.is_empty() {
        let version = found.version.unwrap_or_default();
        return vec![Finding::fine(
            Group::Endpoints,
            "agent",
            format!("{name}: the agent is version {version}"),
        )];
    }
    found.problems.iter().map(told).collect()
}

/// A gateway may answer turns and have no list.
fn has_no_list(failure: &Failure) -> bool {
    matches!(failure.status, Some(404 | 405)) || failure.kind == FailureKind::ModelNotFound
}
