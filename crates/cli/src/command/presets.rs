//! `latimer presets`: the providers latimer knows by name.

use std::process::ExitCode;

use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::config::Login;
use latimer_proxy::config::presets::{PRESETS, Preset};
use serde_json::json;

use crate::terminal::{print_folded, print_json};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer presets\n  latimer presets deepseek      one of them, with its models\n  latimer presets --json\n\nA preset fills an [[endpoint]] of the configuration: `preset = \"deepseek\"`."
)]
pub(crate) struct PresetsArgs {
    /// Only this one, with its models
    #[arg(add = crate::complete::presets())]
    name: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PresetsArgs) -> anyhow::Result<ExitCode> {
    let chosen: Vec<&Preset> =
        PRESETS.iter().filter(|preset| args.name.as_deref().is_none_or(|name| preset.name == name)).collect();
    if let (Some(name), true) = (&args.name, chosen.is_empty()) {
        anyhow::bail!("there is no preset `{name}`; `latimer presets` lists them");
    }
    if args.json {
        print_json(&chosen.iter().map(|preset| document(preset)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |column: fn(&Preset) -> String| {
        chosen.iter().map(|preset| column(preset).chars().count()).max().unwrap_or(0)
    };
    let (names, protocols, credentials) = (
        width(|preset| preset.name.to_owned()),
        width(|preset| preset.protocol.name().to_owned()),
        width(credential),
    );
    for preset in &chosen {
        let (name, protocol, entry) = (preset.name, preset.protocol.name(), credential(preset));
        print_folded(&format!(
            "{name:names$}  {protocol:protocols$}  {entry:credentials$}  {}",
            preset.base_url
        ))?;
        if args.name.is_some() {
            for model in preset.models {
                print_folded(&format!("  {model}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The variable of the key, the login, or both.
fn credential(preset: &Preset) -> String {
    let login = preset.login.map(|login| format!("login {}", login.name()));
    let credentials: Vec<String> = preset.key_env.map(str::to_owned).into_iter().chain(login).collect();
    if credentials.is_empty() { "no key".to_owned() } else { credentials.join(" or ") }
}

fn document(preset: &Preset) -> serde_json::Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "name": preset.name,
        "protocol": preset.protocol.name(),
        "base_url": preset.base_url,
        "key_env": preset.key_env,
        "login": preset.login.map(Login::name),
        "models": preset.models,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_says_how_one_gets_in() {
        for preset in &PRESETS {
            let credential = credential(preset);
            let login = preset.login.map(|login| format!("login {}", login.name()));
            match (preset.key_env, login) {
                (None, None) => assert_eq!(credential, "no key"),
                (Some(key), None) => assert_eq!(credential, key),
                (None, Some(login)) => assert_eq!(credential, login),
                (Some(key), Some(login)) => assert_eq!(credential, format!("{key} or {login}")),
            }
            assert_eq!(document(preset)["name"], preset.name);
        }
    }
}
