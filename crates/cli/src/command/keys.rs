//! `latimer keys`: keys for people, with models, limits and a budget.

mod report;

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use latimer_proxy::keys::limits::{Limits, Rate};
use latimer_proxy::keys::scope::ModelScope;
use latimer_proxy::keys::secret::NewSecret;
use latimer_proxy::keys::{KeyRecord, KeyStore, is_name};
use latimer_proxy::store::FILE;
use latimer_proxy::store::client_keys::FileKeys;
use serde_json::json;

use self::report::{lines, list_lines, value};
use crate::clock::unix_seconds;
use crate::configuration::PathArgs;
use crate::shared_store::shared_view;
use crate::terminal::{eprint_line, print_json, print_line, print_rows};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer keys create --name anna --models glm-5,deepseek-chat --requests 60/min --budget 5.00/day\n  latimer keys list\n  latimer keys revoke anna\n\nA client sends its key as it would send the token: `Authorization: Bearer …` or `x-api-key`. A running proxy takes changes up within a second; streams that run go on. The keys are in the file latimer.db of the state directory, or in the database of `[store]`, as salted hashes."
)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print it: this is the only time that it is shown
    Create(CreateArgs),
    /// List all keys, what they may use and what they used today
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything that is known of a key, and never the key
    Show(NamedArgs),
    /// End a key for good; streams that run go on
    Revoke(NamedArgs),
    /// Give a key another secret and print it; the old one opens nothing any more
    Rotate(NamedArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Whose it is: letters, digits, `-`, `_`, `.`, `@`, `+`
    #[arg(long)]
    name: String,
    /// The models it may ask for: names of models and routes, `endpoint/model`, patterns that end in `*`; all without this
    #[arg(long, value_delimiter = ',', value_name = "MODEL")]
    models: Vec<String>,
    /// Turns in a time, such as `60/min`, `1000/day`
    #[arg(long, value_parser = Rate::of_count, value_name = "N/TIME")]
    requests: Option<Rate>,
    /// Tokens in a time, input and output together, such as `1M/day`
    #[arg(long, value_parser = Rate::of_count, value_name = "N/TIME")]
    tokens: Option<Rate>,
    /// US dollars in a time, such as `5.00/day`; counts models whose `price` is known
    #[arg(long, value_parser = Rate::of_money, value_name = "USD/TIME")]
    budget: Option<Rate>,
    /// Turns at once
    #[arg(long, value_name = "N")]
    parallel: Option<NonZeroU32>,
    /// After so long it opens nothing any more, such as `30d`, `12h`
    #[arg(long, value_parser = life, value_name = "TIME")]
    expires: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct NamedArgs {
    /// The key's name
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    let mut keys = open(&args.paths)?;
    let now = unix_seconds();
    match &args.command {
        KeysCommand::Create(wanted) => create(&mut *keys, wanted, now)?,
        KeysCommand::List { json } => list(&mut *keys, *json, now)?,
        KeysCommand::Show(NamedArgs { name, json }) => show(&mut *keys, name, *json, now)?,
        KeysCommand::Revoke(NamedArgs { name, json }) => {
            let record = keys.revoke(name, now)?;
            if *json {
                print_json(&value(&record, &[], now))?;
            } else {
                print_line(&format!("the key `{name}` is revoked"))?;
            }
        }
        KeysCommand::Rotate(NamedArgs { name, json }) => {
            let id = named(&mut *keys, name)?.id;
            let made = NewSecret::draw_for(id).context("randomness of the system")?;
            let record = keys.rotate(name, &made.proof, now)?;
            print_secret(&record, &made, *json, now)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the keys are: in the database that nodes share, else in the file of the state directory.
fn open(paths: &PathArgs) -> anyhow::Result<Box<dyn KeyStore>> {
    let state_dir = paths.state_dir()?;
    if let Some(nodes) = shared_view(&paths.configuration_or_default()?, &state_dir)? {
        return Ok(Box::new(nodes.keys_for_command()?));
    }
    let path = state_dir.join(FILE);
    let keys = FileKeys::make(&path).with_context(|| format!("opening `{}`", path.display()))?;
    Ok(Box::new(keys))
}

fn create(keys: &mut dyn KeyStore, wanted: &CreateArgs, now: u64) -> anyhow::Result<()> {
    if !is_name(&wanted.name) {
        bail!(
            "`{}` cannot be the name of a key; write at most 64 letters, digits, `-`, `_`, `.`, `@` or `+`, a letter or a digit first",
            wanted.name
        );
    }
    let models: Vec<String> =
        wanted.models.iter().map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()).collect();
    let made = NewSecret::draw().context("randomness of the system")?;
    let record = KeyRecord {
        id: made.id.clone(),
        name: wanted.name.clone(),
        proof: made.proof.clone(),
        models: ModelScope::new(models),
        limits: Limits {
            requests: wanted.requests,
            tokens: wanted.tokens,
            budget: wanted.budget,
            parallel: wanted.parallel,
        },
        created_at: now,
        expires_at: wanted.expires.map(|life| now.saturating_add(life)),
        rotated_at: None,
        revoked_at: None,
    };
    keys.add(&record)?;
    print_secret(&record, &made, wanted.json, now)
}

/// The one time that a key is shown.
fn print_secret(record: &KeyRecord, made: &NewSecret, as_json: bool, now: u64) -> anyhow::Result<()> {
    let key = made.key.expose();
    if as_json {
        let mut document = value(record, &[], now);
        document["key"] = json!(key);
        return print_key(&serde_json::to_string_pretty(&document)?);
    }
    eprint_line(&format!("the key of `{}` ({}); it is not shown again:", record.name, record.limits));
    print_key(key)
}

/// Past the door that takes keys out of whatever is printed.
fn print_key(text: &str) -> anyhow::Result<()> {
    crate::terminal::print_secret_line(text)
}

fn list(keys: &mut dyn KeyStore, as_json: bool, now: u64) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for record in keys.all()? {
        let used = keys.used(&record.id)?;
        all.push((record, used));
    }
    if as_json {
        let data: Vec<_> = all.iter().map(|(record, used)| value(record, used, now)).collect();
        return print_json(
            &json!({ "schema_version": latimer_protocol::status::SCHEMA_VERSION, "data": data }),
        );
    }
    if all.is_empty() {
        return print_line("no key yet; `latimer keys create --name …` makes one");
    }
    print_rows(list_lines(&all, now))
}

fn show(keys: &mut dyn KeyStore, name: &str, as_json: bool, now: u64) -> anyhow::Result<()> {
    let record = named(keys, name)?;
    let used = keys.used(&record.id)?;
    if as_json {
        return print_json(&value(&record, &used, now));
    }
    print_rows(lines(&record, &used, now))
}

/// The key of this name that is not revoked, else the newest one that is.
fn named(keys: &mut dyn KeyStore, name: &str) -> anyhow::Result<KeyRecord> {
    let mut all = keys.all()?;
    all.retain(|record| record.name == name);
    let place = all.iter().position(|record| record.revoked_at.is_none());
    let found = place.map(|place| all.swap_remove(place)).or_else(|| all.pop());
    found.with_context(|| format!("there is no key named `{name}`; `latimer keys list` shows all"))
}

/// A time to live in seconds: `30d`, `12h`, `90min`.
fn life(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write `30d`, `12h` or `90min`");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|life| *life > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live() {
        assert_eq!((life("30d"), life("90min"), life("1w")), (Ok(2_592_000), Ok(5400), Ok(604_800)));
        for text in ["", "30", "d", "0d", "30 days", "-1d", "99999999999999999999d"] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
