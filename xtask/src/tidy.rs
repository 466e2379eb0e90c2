//! `cargo xtask tidy`: what the compiler does not check.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{root, say};

/// What each crate may import, ours and others'. A new arrow and a new dependency are decisions, made here.
const ARROWS: [(&str, &[&str]); 7] = [
    ("crates/toolcall-parser", &["memchr", "nom"]),
    ("crates/protocol", &["base64", "hmac", "itoa", "memchr", "serde", "serde_json", "sha2", "thiserror"]),
    (
        "crates/adapters",
        &[
            "latimer-protocol",
            "toolcall-parser",
            "base64",
            "bytes",
            "flate2",
            "futures-util",
            "getrandom",
            "http-body-util",
            "httpdate",
            "hyper",
            "hyper-rustls",
            "hyper-util",
            "memchr",
            "rustls",
            "rustls-native-certs",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
        ],
    ),
    (
        "crates/proxy",
        &[
            "latimer-adapters",
            "latimer-protocol",
            "bytes",
            "flate2",
            "futures-util",
            "getrandom",
            "http-body-util",
            "httpdate",
            "hyper",
            "hyper-util",
            "itoa",
            "memchr",
            "rusqlite",
            "ruzstd",
            "serde",
            "serde_json",
            "sha2",
            "strsim",
            "subtle",
            "thiserror",
            "tokio",
            "tokio-tungstenite",
            "toml",
            "tracing",
        ],
    ),
    (
        "crates/watchdog",
        &[
            "latimer-adapters",
            "latimer-protocol",
            "bytes",
            "hyper",
            "memchr",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "toml",
            "tracing",
        ],
    ),
    (
        "crates/cli",
        &[
            "latimer-adapters",
            "latimer-protocol",
            "latimer-proxy",
            "latimer-watchdog",
            "anyhow",
            "bytes",
            "clap",
            "clap_complete",
            "http-body-util",
            "hyper",
            "hyper-util",
            "listenfd",
            "rlimit",
            "serde",
            "serde_json",
            "tokio",
            "toml",
            "tracing",
            "tracing-subscriber",
        ],
    ),
    ("xtask", &["anyhow", "clap", "rlimit", "serde_json", "toml"]),
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
        say("The ten longest files:");
        for (lines, path) in longest(&files).into_iter().take(10) {
            say(&format!("{lines:6} {}", path.display()));
        }
        say(&format!("tidy: {} files are fine", files.len()));
        return Ok(());
    }
    faults.sort();
    bail!("{} places are not tidy\n{}", faults.len(), faults.join("\n"))
}

fn arrows(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for (folder, allowed) in ARROWS {
        let path = root().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("reading {}", path.display()))?;
        faults.extend(
            foreign(&manifest, allowed)
                .map(|name| format!("{folder}: imports {name}, and has no arrow to it (xtask/src/tidy.rs)")),
        );
    }
    for entry in std::fs::read_dir(root().join("crates"))? {
        let folder = format!("crates/{}", entry?.file_name().to_string_lossy());
        if !ARROWS.iter().any(|(known, _)| *known == folder) {
            faults.push(format!("{folder}: has no row in the table of arrows (xtask/src/tidy.rs)"));
        }
    }
    Ok(())
}

/// What a manifest imports and may not. Tests may import any tool, and of our crates what the crate itself may.
fn foreign<'m>(manifest: &'m toml::Table, allowed: &[&str]) -> impl Iterator<Item = &'m str> {
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let kinds = [("dependencies", true), ("build-dependencies", true), ("dev-dependencies", false)];
    let imports = tables.flat_map(move |table| {
        kinds.into_iter().filter_map(move |(kind, all)| Some((table.get(kind)?.as_table()?, all)))
    });
    imports
        .flat_map(|(imports, all)| imports.keys().map(move |name| (name.as_str(), all)))
        .filter(|(name, all)| (*all || name.starts_with("latimer")) && !allowed.contains(name))
        .map(|(name, _)| name)
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

/// Rust files with their lines, the longest first.
fn longest(files: &[PathBuf]) -> Vec<(usize, &Path)> {
    let rust = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let lines =
        |path: &Path| std::fs::read_to_string(root().join(path)).map_or(0, |text| text.lines().count());
    let mut longest: Vec<_> = rust.map(|path| (lines(path), path.as_path())).collect();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    longest
}

/// Every folder of fixtures says where they come from.
fn fixtures(files: &[PathBuf], faults: &mut Vec<String>) {
    let folders: std::collections::BTreeSet<&Path> =
        files.iter().filter(|path| path.starts_with("fixtures")).filter_map(|path| path.parent()).collect();
    for folder in folders {
        // One for a folder of folders is enough.
        let says = |folder: &Path| files.iter().any(|path| *path == folder.join("README.md"));
        if !folder.ancestors().take_while(|folder| *folder != Path::new("fixtures")).any(says) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_import_is_an_arrow() {
        let manifest: toml::Table = "[dependencies]\nserde.workspace = true\ntokio = \"1\"\n[build-dependencies]\ncc = \"1\"\n\
            [dev-dependencies]\ninsta = \"1\"\nlatimer-proxy.workspace = true\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n"
            .parse()
            .expect("TOML");
        let mut names: Vec<&str> = foreign(&manifest, &["serde"]).collect();
        names.sort_unstable();
        assert_eq!(names, ["cc", "latimer-proxy", "libc", "tokio"]);
    }

    #[test]
    fn the_workspace_keeps_its_arrows() {
        let mut faults = Vec::new();
        arrows(&mut faults).expect("the manifests are readable");
        assert_eq!(faults, Vec::<String>::new());
    }
}
