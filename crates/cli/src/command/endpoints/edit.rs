//! Endpoints in the configuration file: added, removed, switched on and off.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use latimer_adapters::model_list::ProviderModel;
use latimer_protocol::secret::Secret;
use latimer_proxy::config::{Login, Protocol, base_url, presets};
use toml_edit::{Array, Item, Table, value};

use super::provider_models;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::dialogue;
use crate::endpoint_trial::{Asker, failure_words, remedy};
use crate::exit::{Exit, ExitsWith as _};
use crate::key_file::KeyFile;
use crate::terminal::{LinesError, eprint_line, note_line, print_line};

/// The most of a key that is read from stdin, in bytes.
const MAX_KEY_BYTES: u64 = 1 << 16;
/// What is written where the protocol is to be found by asking.
pub(super) const AUTO: &str = "auto";
/// How long each answer may take while a protocol is looked for.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// The most models that a new endpoint begins with.
const MAX_FIRST_MODELS: usize = 40;

/// A new endpoint. A key is never an argument: every user of the machine could read it.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Its name in the configuration [default: that of the preset]
    name: Option<String>,
    /// A provider known by name; `latimer presets` lists them
    #[arg(long, value_name = "PRESET", required_unless_present = "base_url")]
    preset: Option<String>,
    /// Where the provider is, without `/chat/completions`
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// What it speaks: chat, anthropic, responses, gemini; auto finds out by asking [default: that of the preset, else chat]
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// The variable that holds the key
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["key_stdin", "login"])]
    key_env: Option<String>,
    /// Read the key from stdin, and keep it in a file that only you can read
    #[arg(long, conflicts_with = "login")]
    key_stdin: bool,
    /// Use the accounts of this login
    #[arg(long, value_name = "LOGIN")]
    login: Option<String>,
    /// A model it offers; as often as there are models
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
}

/// Adds an endpoint behind those that are there.
///
/// # Errors
/// The name is taken, or what comes out would be no valid configuration.
pub(super) fn add(paths: &PathArgs, args: &AddArgs) -> anyhow::Result<()> {
    let path = paths.config_target()?;
    let name = args.name.clone().or_else(|| args.preset.clone()).context("give the endpoint a name")?;
    let mut file = ConfigFile::open(&path)?;
    ensure!(
        file.place(&name).is_err(),
        "there is an endpoint `{name}` already; give this one another name, or `latimer endpoints remove {name}` first"
    );
    let is_first = file.document.is_empty();
    file.endpoints()?.push(table(args, &name, is_first));
    let key_file = if args.key_stdin {
        let place = KeyFile::of(&path, &name)?;
        let place = place.path();
        ensure!(!place.exists(), "`{}` is there already; remove it first", place.display());
        Some(keep_key(&path, &name)?)
    } else {
        None
    };
    if let Some(key_file) = &key_file {
        file.endpoint(&name)?.insert("api_key_file", key_file.item());
    }
    let is_auto = args.protocol.as_deref() == Some(AUTO);
    let found = if is_auto { fill_in(&mut file, paths, args, &name) } else { Ok(()) };
    let written = found.and_then(|()| file.write());
    // A key without its endpoint is nobody's.
    if let Some(key_file) = key_file {
        key_file.settle(written.is_ok());
    }
    written?;
    remind_of_key(args);
    print_line(&format!("added {name}; `latimer launch codex --endpoint {name}` uses it"))
}

fn table(args: &AddArgs, name: &str, is_first: bool) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix(if is_first { "" } else { "\n" });
    table.insert("name", value(name));
    let pasted = args.base_url.as_deref().map(base_url::mended);
    let base_url = pasted.as_ref().map(|pasted| pasted.url.to_owned());
    // An address that names a wire says what is spoken there, unless somebody said it.
    let of_address = pasted.and_then(|pasted| pasted.protocol).filter(|_| args.preset.is_none());
    let protocol = args.protocol.clone().or(of_address.map(|protocol| protocol.name().to_owned()));
    let protocol = protocol.filter(|protocol| protocol != AUTO);
    for (key, given) in [
        ("preset", &args.preset),
        ("protocol", &protocol),
        ("base_url", &base_url),
        ("api_key_env", &args.key_env),
        ("login", &args.login),
    ] {
        if let Some(given) = given {
            table.insert(key, value(given));
        }
    }
    if !args.models.is_empty() {
        table.insert("models", value(args.models.iter().collect::<Array>()));
    }
    table
}

/// Reads a key from a person or from stdin, and keeps it in a file of its own.
///
/// # Errors
/// Nothing that could be a key comes, or the file cannot be written.
pub(in crate::command) fn keep_key(config: &Path, name: &str) -> anyhow::Result<KeyFile> {
    KeyFile::of(config, name)?.store(read_key()?.expose())
}

/// Asks a new endpoint for what it speaks, and for its models where none is named.
fn fill_in(file: &mut ConfigFile, paths: &PathArgs, args: &AddArgs, name: &str) -> anyhow::Result<()> {
    let wire = ask_for_wire(file, paths, name, args.models.first())?;
    let (protocol, models) = wire;
    let table = file.endpoint(name)?;
    table.insert("protocol", value(protocol.name()));
    if args.models.is_empty() && args.preset.is_none() && !models.is_empty() {
        if models.len() > MAX_FIRST_MODELS {
            note_line(&format!(
                "it lists {} models, and {MAX_FIRST_MODELS} are taken; `latimer endpoints models {name} --filter TEXT --write` takes others",
                models.len()
            ));
        }
        let first = models.get(..MAX_FIRST_MODELS).unwrap_or(&models);
        table.insert("models", value(provider_models::entries(None, first)));
    }
    Ok(())
}

/// What an endpoint that is being edited speaks.
///
/// # Errors
/// It cannot be asked, or answers in no protocol.
pub(super) fn find_protocol(
    file: &mut ConfigFile,
    paths: &PathArgs,
    name: &str,
    model: Option<&String>,
) -> anyhow::Result<Protocol> {
    ask_for_wire(file, paths, name, model).map(|(protocol, _)| protocol)
}

fn ask_for_wire(
    file: &ConfigFile,
    paths: &PathArgs,
    name: &str,
    model: Option<&String>,
) -> anyhow::Result<(Protocol, Vec<ProviderModel>)> {
    let config = file.parsed()?;
    let endpoint = super::find_endpoint(&config, name)?;
    note_line(&format!("asking {} what it speaks", endpoint.base_url));
    let model = model.cloned().or_else(|| endpoint.models.first().map(|model| model.id.clone()));
    let state_dir = paths.state_dir()?;
    let found = Asker::new(&config, endpoint, &state_dir, SEARCH_TIMEOUT).wire(model.as_deref())?;
    if let Some(protocol) = found.protocol {
        note_line(&format!("it speaks {}", protocol.name()));
        return Ok((protocol, found.models));
    }
    let mut lines: Vec<String> = found
        .refusals
        .iter()
        .map(|(protocol, failure)| format!("  {}: {}", protocol.name(), failure_words(failure)))
        .collect();
    match found.refusals.first() {
        Some((_, failure)) => lines.push(format!("→ {}", remedy(failure, endpoint))),
        None => lines.push("→ it lists no model: name one with --model".to_owned()),
    }
    let headline = format!("{} answers in no protocol; nothing was written", endpoint.base_url);
    Err(LinesError::new(&headline, lines)).exits(Exit::Refused)
}

/// Says at once what is still missing for the first answer.
fn remind_of_key(args: &AddArgs) {
    let preset = args.preset.as_deref().and_then(presets::find);
    let login = args.login.as_deref().or(preset.and_then(|preset| preset.login).map(Login::name));
    let usual = preset.and_then(|preset| preset.key_env).filter(|_| !args.key_stdin && args.login.is_none());
    let variable = args.key_env.as_deref().or(usual);
    let is_set = |name: &str| crate::environment::env(name).is_some_and(|key| !key.is_empty());
    match (variable, login) {
        (Some(name), _) if is_set(name) => {}
        (_, Some(login)) => eprint_line(&format!("log in before its first turn: latimer login {login}")),
        (Some(name), None) => {
            eprint_line(&format!("`{name}` is not set; set it before latimer starts: export {name}=…"));
        }
        (None, None) => {}
    }
}

/// Removes an endpoint; its comments go with it.
///
/// # Errors
/// There is none of this name, or something else of the file needs it.
pub(super) fn remove(path: &Path, name: &str) -> anyhow::Result<()> {
    let mut file = ConfigFile::open(path)?;
    let place = file.place(name)?;
    file.endpoints()?.remove(place);
    if file.document.get("default_endpoint").and_then(Item::as_str) == Some(name) {
        file.document.remove("default_endpoint");
    }
    file.write()?;
    print_line(&format!("removed {name}"))
}

/// Switches an endpoint on or off.
///
/// # Errors
/// There is none of this name.
pub(super) fn switch(path: &Path, name: &str, is_on: bool) -> anyhow::Result<()> {
    let mut file = ConfigFile::open(path)?;
    let table = file.endpoint(name)?;
    if is_on {
        table.remove("enabled");
    } else {
        table.insert("enabled", value(false));
    }
    file.write()?;
    print_line(&format!("{name} is {}", if is_on { "enabled" } else { "disabled; nothing leads to it" }))
}

fn read_key() -> anyhow::Result<Secret> {
    if dialogue::can_ask() {
        return dialogue::secret("the key (it is not shown): ");
    }
    let mut text = String::new();
    std::io::stdin().take(MAX_KEY_BYTES).read_to_string(&mut text).context("reading the key from stdin")?;
    Ok(Secret::new(text))
}
