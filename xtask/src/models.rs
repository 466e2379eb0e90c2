//! `cargo xtask models`: writes the table of what is known of the presets' models, from two public catalogues.
//!
//! The facts come from the npm package [`CATALOG`], which has a list for each provider, and from the `PyPI` package [`LITELLM`], which fills what
//! the first leaves open. Both are data under the MIT licence; nothing but facts is taken: numbers, names of levels, yes or no.

mod merge;
mod providers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use self::merge::rows;
use self::providers::{PROVIDERS, SAME};
use crate::{root, say, sh};

/// The npm package whose `src/models.json` is read.
const CATALOG: &str = "@oh-my-pi/pi-catalog";
/// The `PyPI` package whose price list is read.
const LITELLM: &str = "litellm";
/// The table, below the workspace.
const TABLE: &str = "crates/proxy/src/config/presets/models.json";

#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    /// A folder that holds both packages unpacked already; without it they are fetched with npm and pip
    #[arg(long, value_name = "DIR")]
    packages: Option<PathBuf>,
    /// Where the table goes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    let packages = match &args.packages {
        Some(folder) => folder.clone(),
        None => fetch()?,
    };
    let catalog = read(&packages.join("package/src/models.json"))?;
    let catalog_version = read(&packages.join("package/package.json"))?;
    let prices = read(&packages.join("litellm/model_prices_and_context_window_backup.json"))?;
    let sources = json!({
        "pi-catalog": format!("npm {CATALOG} {}", catalog_version["version"].as_str().unwrap_or("?")),
        "litellm": format!("PyPI {LITELLM} {}", litellm_version(&packages)?),
    });
    let table = table(&today()?, &sources, &catalog, &prices)?;
    let out = args.out.clone().unwrap_or_else(|| root().join(TABLE));
    std::fs::write(&out, table).with_context(|| format!("writing {}", out.display()))?;
    say(&format!("wrote {}", out.display()));
    Ok(())
}

/// Fetches both packages into a folder below `target`.
fn fetch() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/models");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("removing the packages of last time")?;
    }
    std::fs::create_dir_all(&folder).context("making the folder of the packages")?;
    let within = |program: &str, args: &[&str]| sh(Command::new(program).current_dir(&folder).args(args));
    within("npm", &["pack", "--silent", CATALOG])?;
    within("pip", &["download", "--quiet", "--no-deps", "--only-binary", ":all:", LITELLM])?;
    for entry in std::fs::read_dir(&folder).context("reading the folder of the packages")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        if extension == Some("tgz") {
            within("tar", &["-xzf", &name])?;
        } else if extension == Some("whl") {
            within("python3", &["-m", "zipfile", "-e", &name, "."])?;
        }
    }
    Ok(folder)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
}

/// The version in the name of the wheel's folder of metadata.
fn litellm_version(packages: &Path) -> anyhow::Result<String> {
    for entry in std::fs::read_dir(packages).context("reading the folder of the packages")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix("litellm-").and_then(|rest| rest.strip_suffix(".dist-info"));
        if let Some(version) = version {
            return Ok(version.to_owned());
        }
    }
    bail!("{} holds no litellm-….dist-info", packages.display())
}

fn today() -> anyhow::Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().context("running `date`")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The file: a head, then a line for each model, so that a change is a line in a diff.
fn table(seen: &str, sources: &Value, catalog: &Value, prices: &Value) -> anyhow::Result<String> {
    let mut text = format!(
        "{{\n\"about\": \"Facts of the presets' models, written by `cargo xtask models`. Tokens; US dollars for a million tokens: input, cached input, output.\",\n\"seen\": \"{seen}\",\n\"sources\": {sources},\n\"same\": {},\n\"presets\": {{",
        SAME.iter().map(|(preset, of)| (*preset, *of)).collect::<Value>()
    );
    for (place, provider) in PROVIDERS.iter().enumerate() {
        let rows: Map<String, Value> = rows(provider, catalog, prices);
        if rows.is_empty() {
            bail!(
                "no catalogue has a model of `{}`: its row in providers.rs is out of date",
                provider.preset
            );
        }
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        let _ = writeln!(text, "{}: {{", json!(provider.preset));
        let lines: Vec<String> = rows.iter().map(|(id, row)| format!("{}: {row}", json!(id))).collect();
        text.push_str(&lines.join(",\n"));
        text.push_str("\n}");
    }
    text.push_str("\n}\n}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_json_with_a_line_for_each_model() {
        let model = json!({ "contextWindow": 1000, "maxTokens": 100, "input": ["text"], "reasoning": false,
            "cost": { "input": 1, "output": 2, "cacheRead": 0 } });
        let catalog: Map<String, Value> = PROVIDERS
            .iter()
            .flat_map(|provider| [provider.catalog, provider.litellm])
            .map(|name| {
                let ids =
                    PROVIDERS.iter().flat_map(|provider| provider.only.iter().copied()).chain(["m:free"]);
                (name.to_owned(), ids.map(|id| (id.to_owned(), model.clone())).collect())
            })
            .collect();
        let prices = json!({
            "perplexity/sonar": { "litellm_provider": "perplexity", "mode": "chat", "max_input_tokens": 9 },
            "c": { "litellm_provider": "cohere_chat", "mode": "chat" },
        });
        let text = table("2026-01-02", &json!({}), &Value::Object(catalog), &prices).expect("a table");
        let parsed: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(parsed["seen"], "2026-01-02");
        assert_eq!(parsed["presets"]["openai"]["m:free"]["window"], 1000);
        assert_eq!(parsed["presets"]["perplexity"]["sonar"]["window"], 9);
        let lines = text.lines().filter(|line| line.starts_with("\"m:free\"")).count();
        assert!(lines > 5, "{lines}");
        assert!(
            table("", &json!({}), &json!({}), &json!({})).is_err(),
            "a catalogue without a provider is said"
        );
    }
}
