//! `latimer config export`: a file for others, or for another machine. It names where keys come from, and holds none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use latimer_protocol::secret::names_a_credential;
use latimer_proxy::config::presets;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::config_value::names_in;
use crate::configuration::{PathArgs, read_text};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::{eprint_line, print_lines};

/// The parts of a configuration that mean the same elsewhere.
pub(super) const SHARED: [&str; 5] = ["default_endpoint", "launch", "endpoint", "route", "profile"];
/// What an exported file begins with.
const BEGINNING: &str = "# Exported by latimer. It holds no key: set the variables it names, then\n#   latimer config import FILE\n";

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Where to; `-` or nothing prints it
    #[arg(value_name = "FILE")]
    to: Option<PathBuf>,
    /// Only this profile and its endpoint; as often as there are profiles
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<String>,
}

/// Writes the parts that others can use.
///
/// # Errors
/// There is no configuration, no such profile, or the file is there already.
pub(super) fn export(paths: &PathArgs, args: &ExportArgs) -> anyhow::Result<()> {
    // One that cannot be used would be of no use elsewhere either.
    paths.configuration()?;
    let text = read_text(&paths.config_target()?).exits(Exit::Configuration)?;
    let document: DocumentMut = text.parse().context("reading the configuration")?;
    let (shared, remarks) = shared(&document, &args.profiles)?;
    let text = format!("{BEGINNING}{shared}");
    for remark in remarks {
        eprint_line(&remark);
    }
    match args.to.as_deref().filter(|to| *to != Path::new("-")) {
        None => print_lines(text.lines()),
        Some(to) => {
            let written = latimer_files::create_new(to, text.as_bytes());
            written.with_context(|| format!("writing `{}`; is it there already?", to.display()))?;
            eprint_line(&format!("wrote `{}`; it holds no key", to.display()));
            Ok(())
        }
    }
}

/// The document for others, and what was left out of it or changed.
fn shared(document: &DocumentMut, profiles: &[String]) -> anyhow::Result<(DocumentMut, Vec<String>)> {
    let mut shared = DocumentMut::new();
    let mut remarks = Vec::new();
    let wanted = if profiles.is_empty() { None } else { Some(wanted_entries(document, profiles)?) };
    for part in SHARED {
        let Some(item) = document.get(part) else { continue };
        match (item, &wanted) {
            (Item::ArrayOfTables(tables), wanted) => {
                let mut kept = toml_edit::ArrayOfTables::new();
                for table in tables {
                    let name = table.get("name").and_then(Item::as_str).unwrap_or_default();
                    if wanted.as_ref().is_none_or(|wanted| wanted.contains(&(part, name.to_owned()))) {
                        kept.push(fresh_table(table, part, &mut remarks));
                    }
                }
                if !kept.is_empty() {
                    shared.insert(part, Item::ArrayOfTables(kept));
                }
            }
            (Item::Table(table), None) => {
                shared.insert(part, Item::Table(fresh_table(table, part, &mut remarks)));
            }
            (Item::Value(value), None) => {
                shared.insert(part, Item::Value(fresh(value)));
            }
            _ => {}
        }
    }
    Ok((shared, remarks))
}

/// The profiles that are asked for, and their endpoints.
fn wanted_entries(
    document: &DocumentMut,
    profiles: &[String],
) -> anyhow::Result<BTreeSet<(&'static str, String)>> {
    let known = document.get("profile").map(|item| names_in(item, "profile")).unwrap_or_default();
    let mut wanted = BTreeSet::new();
    for profile in profiles {
        let Some(place) = known.iter().position(|name| name == profile) else {
            bail!("there is no profile `{profile}`; there are: {}", known.join(", "));
        };
        let tables = document.get("profile").and_then(Item::as_array_of_tables);
        let endpoint = tables.and_then(|tables| tables.get(place)?.get("endpoint")?.as_str());
        wanted.insert(("profile", profile.clone()));
        wanted.insert(("endpoint", endpoint.unwrap_or_default().to_owned()));
    }
    Ok(wanted)
}

/// A table without its comments, which may hold anything, and without its secrets.
fn fresh_table(table: &dyn TableLike, part: &str, remarks: &mut Vec<String>) -> Table {
    let mut out = Table::new();
    if part == "endpoint" {
        endpoint_keys(table, &mut out, remarks);
    }
    for (key, item) in table.iter() {
        if part == "endpoint"
            && matches!(key, "api_key" | "api_key_env" | "api_key_file" | "headers" | "proxy")
        {
            continue;
        }
        match item {
            Item::Value(value) => {
                out.insert(key, Item::Value(fresh(value)));
            }
            Item::Table(table) => {
                out.insert(key, Item::Table(fresh_table(table, key, remarks)));
            }
            Item::ArrayOfTables(tables) => {
                let values = tables.iter().map(|table| Value::InlineTable(inline(table)));
                out.insert(key, Item::Value(Value::Array(values.collect())));
            }
            Item::None => {}
        }
    }
    out
}

/// Where the key of an endpoint comes from, and its headers that are no secrets.
fn endpoint_keys(table: &dyn TableLike, out: &mut Table, remarks: &mut Vec<String>) {
    let name = table.get("name").and_then(Item::as_str).unwrap_or_default();
    let preset = table.get("preset").and_then(Item::as_str).and_then(presets::find);
    if let Some(Item::Value(variable)) = table.get("api_key_env") {
        out.insert("api_key_env", Item::Value(fresh(variable)));
    } else if table.contains_key("api_key") || table.contains_key("api_key_file") {
        let variable = match preset.and_then(|preset| preset.key_env) {
            Some(variable) => variable.to_owned(),
            None => variable_for(name),
        };
        remarks.push(format!("{name}: its key stays here; the file names the variable {variable} instead"));
        out.insert("api_key_env", Item::Value(variable.into()));
    }
    if let Some(headers) = table.get("headers").and_then(Item::as_table_like) {
        let mut kept = InlineTable::new();
        for (header, value) in headers.iter() {
            match value.as_str().filter(|_| !names_a_credential(header)) {
                Some(text) => {
                    kept.insert(header, text.into());
                }
                None => {
                    remarks.push(format!("{name}: the header {header} stays here, for it may be a secret"));
                }
            }
        }
        if !kept.is_empty() {
            out.insert("headers", Item::Value(Value::InlineTable(kept)));
        }
    }
    if table.contains_key("proxy") {
        remarks.push(format!("{name}: its proxy stays here, for it belongs to this network"));
    }
}

/// A variable for the key of an endpoint that has no usual one.
fn variable_for(name: &str) -> String {
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    let upper: String = upper.collect();
    let begins_well = upper.starts_with(|c: char| c.is_ascii_alphabetic());
    format!("{}{upper}_API_KEY", if begins_well { "" } else { "LATIMER_" })
}

fn inline(table: &dyn TableLike) -> InlineTable {
    let mut out = InlineTable::new();
    for (key, item) in table.iter() {
        let value = item.clone().into_value().ok();
        if let Some(value) = value {
            out.insert(key, fresh(&value));
        }
    }
    out
}

/// A value without what was written around it.
fn fresh(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.value().clone()),
        Value::Array(items) => Value::Array(items.iter().map(fresh).collect::<Array>()),
        Value::InlineTable(table) => Value::InlineTable(inline(table)),
        other => {
            let mut other = other.clone();
            *other.decor_mut() = toml_edit::Decor::default();
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "proxy = \"http://me:numbat-1@p:1\"\nlaunch_env = [\"X\"]\n[server]\nlisten = \"127.0.0.1:1\"\n[launch]\nmodel = \"one\"\n\n# the key is numbat-2\n[[endpoint]]\nname = \"d\" # numbat-3\npreset = \"deepseek\"\napi_key = \"numbat-4\"\n[endpoint.headers]\nx-api-key = \"numbat-5\"\nx-team = \"t\"\n[[endpoint]]\nname = \"my.lab\"\nbase_url = \"https://lab.test\"\napi_key_file = \"/home/numbat-6/key\"\nmodels = [\n \"one\", # numbat-7\n]\n[[profile]]\nname = \"cheap\"\nendpoint = \"my.lab\"\n";

    #[test]
    fn what_is_shared_holds_no_secret_and_can_be_used() {
        let (document, remarks) = shared(&FILE.parse().expect("TOML"), &[]).expect("shared");
        let text = document.to_string();
        assert!(!text.contains("numbat") && !remarks.join("\n").contains("numbat"), "{text}{remarks:?}");
        assert!(crate::configuration::load_text(&text).is_ok(), "{text}");
        for words in [
            "api_key_env = \"DEEPSEEK_API_KEY\"",
            "api_key_env = \"MY_LAB_API_KEY\"",
            "x-team",
            "[\"one\"]",
            "model = \"one\"",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
        for words in ["proxy", "launch_env", "listen"] {
            assert!(!text.contains(words), "{words} in {text}");
        }
    }

    #[test]
    fn a_profile_takes_its_endpoint_along_and_nothing_else() {
        let document = FILE.parse().expect("TOML");
        let (one, _) = shared(&document, &["cheap".to_owned()]).expect("shared");
        let text = one.to_string();
        assert!(
            text.contains("my.lab")
                && text.contains("cheap")
                && !text.contains("deepseek")
                && !text.contains("launch"),
            "{text}"
        );
        let error = shared(&document, &["x".to_owned()]).expect_err("none").to_string();
        assert_eq!(error, "there is no profile `x`; there are: cheap");
    }
}
