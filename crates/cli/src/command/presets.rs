//! `latimer presets`: the providers latimer knows by name.

use std::process::ExitCode;

use latimer_proxy::config::presets::{PRESETS, Preset};
use serde_json::json;

use crate::setup;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer presets\n  latimer presets deepseek      one of them, with its models\n  latimer presets --json\n\nA preset fills an [[endpoint]] of the configuration: `preset = \"deepseek\"`."
)]
pub(crate) struct Args {
    /// Only this one, with its models
    name: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen: Vec<&Preset> =
        PRESETS.iter().filter(|preset| args.name.as_deref().is_none_or(|name| preset.name == name)).collect();
    if let (Some(name), true) = (&args.name, chosen.is_empty()) {
        anyhow::bail!("there is no preset `{name}`; `latimer presets` lists them");
    }
    if args.json {
        let list: Vec<_> = chosen.iter().map(|preset| document(preset)).collect();
        setup::say(&serde_json::to_string_pretty(&list)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |column: fn(&Preset) -> String| {
        chosen.iter().map(|preset| column(preset).chars().count()).max().unwrap_or(0)
    };
    let (names, protocols, ways_in) = (
        width(|preset| preset.name.to_owned()),
        width(|preset| preset.protocol.name().to_owned()),
        width(way_in),
    );
    for preset in &chosen {
        let (name, protocol, entry) = (preset.name, preset.protocol.name(), way_in(preset));
        setup::say(&format!("{name:names$}  {protocol:protocols$}  {entry:ways_in$}  {}", preset.base_url))?;
        if args.name.is_some() {
            for model in preset.models {
                setup::say(&format!("  {model}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How one gets in.
fn way_in(preset: &Preset) -> String {
    let login = preset.login.map(|login| format!("login {}", login.name()));
    let ways: Vec<String> = preset.key_env.map(str::to_owned).into_iter().chain(login).collect();
    if ways.is_empty() { "no key".to_owned() } else { ways.join(" or ") }
}

fn document(preset: &Preset) -> serde_json::Value {
    json!({
        "name": preset.name,
        "protocol": preset.protocol.name(),
        "base_url": preset.base_url,
        "key_env": preset.key_env,
        "login": preset.login.map(latimer_proxy::config::Login::name),
        "models": preset.models,
    })
}
