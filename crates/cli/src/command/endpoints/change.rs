//! `latimer endpoints edit` and `order`: what an endpoint of the configuration file says, and in which order they stand.

use std::path::Path;

use anyhow::{Context as _, ensure};
use latimer_proxy::config::base_url;
use toml_edit::{Array, ArrayOfTables, Item, Table, value};

use super::edit;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::terminal::print_line;

/// What is to be changed; the rest stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    /// Its name in the configuration
    #[arg(add = crate::complete::endpoints())]
    name: String,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Where the provider is
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// What it speaks: chat, anthropic, responses, gemini; auto finds out by asking
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// The variable that holds the key, in the place of the keys there are
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_stdin")]
    key_env: Option<String>,
    /// Read the key from stdin, in the place of the keys there are
    #[arg(long)]
    key_stdin: bool,
    /// Use the accounts of this login; `none` uses none
    #[arg(long, value_name = "LOGIN")]
    login: Option<String>,
    /// A model it offers, in the place of those there are; as often as there are models
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
}

/// Changes an endpoint.
///
/// # Errors
/// There is none of this name, or what comes out would be no valid configuration.
pub(super) fn edit(paths: &PathArgs, args: &EditArgs) -> anyhow::Result<()> {
    let path = paths.config_target()?;
    let EditArgs { name, changes } = args;
    let mut file = ConfigFile::open(&path)?;
    let table = file.endpoint(name)?;
    for (key, given) in [
        ("base_url", &changes.base_url.as_deref().map(|url| base_url::mended(url).url.to_owned())),
        ("protocol", &changes.protocol.clone().filter(|protocol| protocol != edit::AUTO)),
        ("login", &changes.login),
    ] {
        if let Some(given) = given {
            set(table, key, value(given));
        }
    }
    if !changes.models.is_empty() {
        set(table, "models", value(changes.models.iter().collect::<Array>()));
    }
    if changes.key_env.is_some() || changes.key_stdin {
        for key in ["api_key", "api_key_env", "api_key_file"] {
            table.remove(key);
        }
    }
    if let Some(variable) = &changes.key_env {
        table.insert("api_key_env", value(variable));
    }
    let key_file = if changes.key_stdin { Some(edit::keep_key(&path, name)?) } else { None };
    if let Some(key_file) = &key_file {
        file.endpoint(name)?.insert("api_key_file", key_file.item());
    }
    let written = settle_protocol(&mut file, paths, name, changes).and_then(|()| file.write());
    // The key before comes back where the file does not change.
    if let Some(key_file) = key_file {
        key_file.settle(written.is_ok());
    }
    written?;
    print_line(&format!("changed {name}; `latimer endpoints test {name}` asks it"))
}

/// Finds out what the endpoint speaks, where that is asked for.
fn settle_protocol(
    file: &mut ConfigFile,
    paths: &PathArgs,
    name: &str,
    changes: &Changes,
) -> anyhow::Result<()> {
    if changes.protocol.as_deref() == Some(edit::AUTO) {
        let found = edit::find_protocol(file, paths, name, changes.models.first())?;
        set(file.endpoint(name)?, "protocol", value(found.name()));
    }
    Ok(())
}

/// Sets a value; the comment behind the old one stays.
fn set(table: &mut Table, key: &str, new: Item) {
    let decor = table.get(key).and_then(Item::as_value).map(|old| old.decor().clone());
    table.insert(key, new);
    if let (Some(decor), Some(written)) = (decor, table.get_mut(key).and_then(Item::as_value_mut)) {
        *written.decor_mut() = decor;
    }
}

/// Moves endpoints to the front, in this order; the others follow as they stand.
///
/// # Errors
/// There is none of one of the names, or one is named twice.
pub(super) fn order(path: &Path, names: &[String]) -> anyhow::Result<()> {
    let mut file = ConfigFile::open(path)?;
    let mut front = Vec::new();
    for name in names {
        let place = file.place(name)?;
        ensure!(!front.contains(&place), "`{name}` is named twice");
        front.push(place);
    }
    let endpoints = file.endpoints()?;
    let all: Vec<Table> = endpoints.iter().cloned().collect();
    let rest = (0..all.len()).filter(|place| !front.contains(place));
    let order: Vec<usize> = front.iter().copied().chain(rest).collect();
    let first = all.iter().filter_map(Table::position).min();
    let mut ordered = ArrayOfTables::new();
    for (row, place) in order.into_iter().enumerate() {
        let mut table = all.get(place).context("an endpoint is gone")?.clone();
        // They are written where the first one stood, with all that is below each.
        unplace(&mut table);
        if row == 0 {
            table.set_position(first);
        }
        ordered.push(table);
    }
    *endpoints = ordered;
    file.write()?;
    print_line(&format!("{} first", names.join(", ")))
}

/// Forgets where in the file a table and those below it stood: each is written behind the one before.
fn unplace(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(below) => unplace(below),
            Item::ArrayOfTables(below) => below.iter_mut().for_each(unplace),
            Item::None | Item::Value(_) => {}
        }
    }
}
