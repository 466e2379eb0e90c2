//! `cargo xtask tidy`: what the compiler does not check.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{root, say};

/// Which of our crates may import which. A new arrow is a decision, made here.
const ARROWS: [(&str, &[&str]); 5] = [
    ("protocol", &[]),
    ("adapters", &["latimer-protocol"]),
    ("proxy", &["latimer-protocol", "latimer-adapters"]),
    ("cli", &["latimer-protocol", "latimer-adapters", "latimer-proxy"]),
    ("../xtask", &[]),
];
/// What a crate must never know, whatever it imports.
const NEVER: [(&str, &[&str]); 2] = [
    ("protocol", &["tokio", "hyper", "hyper-util", "tracing", "anyhow", "clap"]),
    ("adapters", &["anyhow", "clap", "toml", "tracing-subscriber"]),
];
/// Past this many lines a file holds two ideas.
const LONGEST_FILE: usize = 600;
/// Words that promise instead of deliver, spelt so that this file does not hold them.
const PROMISES: [&str; 5] = [
    concat!("to", "do!("),
    concat!("db", "g!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
];
/// Paths of somebody's machine.
const MACHINES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/runner")];
/// Beginnings of real keys.
const KEYS: [&str; 4] = [
    concat!("sk-", "proj-"),
    concat!("gh", "p_A"),
    concat!("AI", "zaSyD"),
    concat!("-----BEGIN ", "PRIVATE KEY"),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    arrows(&mut faults)?;
    let files = tracked()?;
    sources(&files, &mut faults);
    fixtures(&files, &mut faults);
    links(&files, &mut faults);
    if faults.is_empty() {
        say(&format!("tidy: {} files are fine", files.len()));
        return Ok(());
    }
    faults.sort();
    bail!("{} places are not tidy\n{}", faults.len(), faults.join("\n"))
}

fn arrows(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for (folder, allowed) in ARROWS {
        let path = root().join("crates").join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("reading {}", path.display()))?;
        let never = NEVER.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, never)| never);
        for name in manifest
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|table| table.keys())
        {
            let ours = name.starts_with("latimer") || name == "toolcall-parser";
            if (ours && !allowed.contains(&name.as_str())) || never.contains(&name.as_str()) {
                faults.push(format!("crates/{folder}: must not import {name}"));
            }
        }
    }
    let known: Vec<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !known.contains(&name.as_str()) {
            faults.push(format!("crates/{name}: has no row in the table of arrows (xtask/src/tidy.rs)"));
        }
    }
    Ok(())
}

/// Files git knows, relative to the root.
fn tracked() -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("running git")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}

fn sources(files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        let shown = path.display();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{shown}:{}", number + 1);
            if is_rust && let Some(word) = PROMISES.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{place}: {word}"));
            }
            if let Some(word) = MACHINES.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{place}: a path of a machine ({word})"));
            }
            if KEYS.iter().any(|word| line.contains(word)) {
                faults.push(format!("{place}: looks like a real key"));
            }
        }
        let lines = text.lines().count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        if is_rust && !is_test && lines > LONGEST_FILE {
            faults.push(format!("{shown}: {lines} lines; look for the second idea in it"));
        }
        if path.ends_with("src/lib.rs") && !text.starts_with("//!") {
            faults.push(format!("{shown}: a crate begins with what it knows and what it must never know"));
        }
    }
}

/// Every folder of fixtures says where they come from.
fn fixtures(files: &[PathBuf], faults: &mut Vec<String>) {
    let folders: std::collections::BTreeSet<&Path> =
        files.iter().filter(|path| path.starts_with("fixtures")).filter_map(|path| path.parent()).collect();
    for folder in folders {
        if !files.iter().any(|path| *path == folder.join("README.md")) {
            faults.push(format!(
                "{}: has no README.md that says where the fixtures come from",
                folder.display()
            ));
        }
    }
}

/// Links in Markdown to files of the project lead somewhere.
fn links(files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let folder = path.parent().unwrap_or(Path::new(""));
            if !root().join(folder).join(target).exists() {
                faults.push(format!("{}: the link to {target} leads nowhere", path.display()));
            }
        }
    }
}
