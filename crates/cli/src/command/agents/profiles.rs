//! `latimer agents profiles`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::ask::{Agents, escaped, text};
use crate::configuration::read_text;
use crate::terminal::{print_json, print_line, print_lines};

#[derive(Debug, clap::Args)]
pub(super) struct ProfilesArgs {
    #[command(subcommand)]
    action: Option<ProfilesAction>,
}

#[derive(Debug, clap::Subcommand)]
enum ProfilesAction {
    /// Keep the profile of a file, TOML or JSON, in the place of an older one of its id
    Add {
        /// The file
        file: PathBuf,
    },
    /// Show a profile
    Show {
        /// Its id
        id: String,
    },
    /// Remove a profile; its runs that work go on
    Rm {
        /// Its id
        id: String,
    },
}

pub(super) fn run(agents: &Agents, args: &ProfilesArgs) -> anyhow::Result<()> {
    match &args.action {
        None => {
            let document = agents.get("profiles")?;
            if agents.shows_json(&document)? {
                return Ok(());
            }
            print_lines(lines(&document))
        }
        Some(ProfilesAction::Add { file }) => {
            let profile = agents.post("profiles", &read(file)?)?;
            if agents.shows_json(&profile)? {
                return Ok(());
            }
            let id = text(&profile, "id");
            print_line(&format!(
                "the profile `{id}` is kept; `latimer agents run {id} …` begins a run, and clients may ask for the model `agent:{id}`"
            ))
        }
        Some(ProfilesAction::Show { id }) => print_json(&agents.get(&format!("profiles/{}", escaped(id)))?),
        Some(ProfilesAction::Rm { id }) => {
            let answer = agents.delete(&format!("profiles/{}", escaped(id)))?;
            if agents.shows_json(&answer)? {
                return Ok(());
            }
            print_line(&format!("the profile `{id}` is removed"))
        }
    }
}

/// A profile as the file says it.
fn read(file: &Path) -> anyhow::Result<Value> {
    let written = read_text(file)?;
    let is_json = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    if is_json {
        return serde_json::from_str(&written)
            .with_context(|| format!("`{}` is not valid JSON", file.display()));
    }
    toml::from_str(&written).with_context(|| format!("`{}` is not valid TOML", file.display()))
}

fn lines(document: &Value) -> Vec<String> {
    let none = Vec::new();
    let profiles = document["data"].as_array().unwrap_or(&none);
    if profiles.is_empty() {
        return vec!["no profile yet; `latimer agents profiles add FILE` keeps one".to_owned()];
    }
    let mut lines = Vec::new();
    for profile in profiles {
        let mut line = format!("{}  {}", text(profile, "id"), text(profile, "model"));
        if let Some(effort) = profile["effort"].as_str() {
            let _ = write!(line, ", effort {effort}");
        }
        if profile["inbox"] == true {
            line.push_str(", reads its messages");
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_toml_and_from_json() {
        let dir = tempfile::tempdir().expect("a directory");
        let (toml, json) = (dir.path().join("a.toml"), dir.path().join("a.json"));
        std::fs::write(
            &toml,
            "id = \"lab\"\nmodel = \"m\"\ntimeout = \"10m\"\n[[sections]]\nname = \"A\"\ntext = \"x\"\n",
        )
        .expect("written");
        std::fs::write(&json, "{\"id\":\"lab\",\"model\":\"m\"}").expect("written");
        assert_eq!(read(&toml).expect("read")["sections"][0]["name"], "A");
        assert_eq!(read(&json).expect("read")["id"], "lab");
        std::fs::write(&json, "{").expect("written");
        assert!(read(&json).expect_err("broken").to_string().contains("not valid JSON"));
        let listed = lines(
            &serde_json::json!({ "data": [{ "id": "lab", "model": "m", "inbox": true, "effort": "low" }] }),
        );
        assert_eq!(listed, ["lab  m, effort low, reads its messages"]);
    }
}
