//! `cargo xtask audit`: where the dependencies come from, and what is known against them.
//!
//! The rules on the lock files need no network: every package comes from the registry, under a checksum, and no version of it was
//! yanked as far as cargo's own copy of the index knows. The advisory database is a repository of its own: a copy of it is checked
//! with cargo-audit where `LATIMER_ADVISORY_DB` names one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{cargo, require, root, say, sh};

/// Every lock file there is.
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];
/// The one source that packages may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The variable with the path of a copy of the advisory database, or `fetch`.
const DATABASE: &str = "LATIMER_ADVISORY_DB";

pub(crate) fn run() -> anyhow::Result<()> {
    let index = index_folders();
    for name in LOCK_FILES {
        let text = std::fs::read_to_string(root().join(name)).with_context(|| format!("reading {name}"))?;
        let audit = audit(&text, |package| index.iter().find_map(|folder| is_yanked(folder, package)))?;
        if !audit.problems.is_empty() {
            bail!("{name}:\n  {}", audit.problems.join("\n  "));
        }
        say(&format!(
            "{name}: {} packages of the registry, {} looked up in its index",
            audit.packages, audit.known
        ));
    }
    for name in LOCK_FILES {
        let Some(mut command) = advisories(name) else {
            say(&format!(
                "advisories not checked: {DATABASE} names no copy of the database (`fetch` fetches one)"
            ));
            return Ok(());
        };
        require("audit")?;
        sh(&mut command)?;
    }
    Ok(())
}

/// `cargo audit` on a lock file, with the database that the environment names.
fn advisories(lock_file: &str) -> Option<Command> {
    let database = std::env::var_os(DATABASE).filter(|database| !database.is_empty())?;
    let mut command = cargo(&["audit", "--deny", "warnings", "--file", lock_file]);
    if database != "fetch" {
        command.args(["--no-fetch", "--stale", "--db"]).arg(database);
    }
    Some(command)
}

/// A package of a lock file.
struct Package<'l> {
    name: &'l str,
    version: &'l str,
}

/// What came of a lock file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Audit {
    problems: Vec<String>,
    /// Packages that are not our own.
    packages: usize,
    /// Those that the index told something about.
    known: usize,
}

/// Reads a lock file; `is_yanked` answers where it knows.
fn audit(lock_file: &str, is_yanked: impl Fn(&Package<'_>) -> Option<bool>) -> anyhow::Result<Audit> {
    let table: toml::Table = lock_file.parse().context("a lock file is TOML")?;
    let packages =
        table.get("package").and_then(toml::Value::as_array).context("a lock file has packages")?;
    let mut audit = Audit::default();
    for package in packages {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str);
        let named = Package {
            name: field("name").context("a package has a name")?,
            version: field("version").context("a package has a version")?,
        };
        // Without a source it is a folder of the workspace.
        let Some(source) = field("source") else { continue };
        audit.packages += 1;
        let Package { name, version } = named;
        if source != REGISTRY {
            audit.problems.push(format!("{name} {version} comes from {source}, not from the registry"));
        }
        if !field("checksum")
            .is_some_and(|sum| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            audit.problems.push(format!("{name} {version} has no checksum"));
        }
        let yanked = is_yanked(&named);
        audit.known += usize::from(yanked.is_some());
        if yanked == Some(true) {
            audit
                .problems
                .push(format!("{name} {version} was yanked: `cargo update -p {name}` takes another version"));
        }
    }
    Ok(audit)
}

/// The folders in which cargo keeps what it read of registries' indexes.
fn index_folders() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/index")).ok());
    registries.into_iter().flatten().flatten().map(|entry| entry.path().join(".cache")).collect()
}

/// Whether a version was yanked, by the copy of the index in this folder.
fn is_yanked(index: &Path, package: &Package<'_>) -> Option<bool> {
    let file = std::fs::read(index.join(place_in_index(package.name)?)).ok()?;
    yanked_in(&file, package.version)
}

/// Where an index has a package. Source: The Cargo Book, "Registry Index", "Index files".
fn place_in_index(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    Some(match name.len() {
        0 => return None,
        1 | 2 => format!("{}/{name}", name.len()),
        3 => format!("3/{}/{name}", name.get(..1)?),
        _ => format!("{}/{}/{name}", name.get(..2)?, name.get(2..4)?),
    })
}

/// What the entries of a package say of a version. Cargo writes zero bytes between them.
fn yanked_in(entries: &[u8], version: &str) -> Option<bool> {
    let lines = entries.split(|byte| matches!(byte, 0 | b'\n')).filter(|line| line.starts_with(b"{"));
    let mut versions = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    versions.find(|entry| entry["vers"] == version)?["yanked"].as_bool()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(source: &str, checksum: &str) -> String {
        format!(
            "version = 4\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n[[package]]\nname = \"theirs\"\nversion = \"1.2.3\"\n{source}\n{checksum}\n"
        )
    }

    #[test]
    fn only_the_registry_is_a_source_and_a_checksum_stands_by() {
        let registry = format!("source = \"{REGISTRY}\"");
        let checksum = format!("checksum = \"{}\"", "0a".repeat(32));
        let read = |source: &str, checksum: &str, yanked| {
            audit(&lock(source, checksum), |_| yanked).expect("a lock file").problems
        };
        assert_eq!(read(&registry, &checksum, None), [] as [&str; 0]);
        assert_eq!(read(&registry, &checksum, Some(false)), [] as [&str; 0]);
        for (problems, words) in [
            (read("source = \"git+https://example.test/x#1\"", &checksum, None), "not from the registry"),
            (
                read("source = \"registry+https://example.test/index\"", &checksum, None),
                "not from the registry",
            ),
            (read(&registry, "", None), "has no checksum"),
            (read(&registry, "checksum = \"00\"", None), "has no checksum"),
            (read(&registry, &checksum, Some(true)), "was yanked"),
        ] {
            assert!(
                matches!(&problems[..], [one] if one.starts_with("theirs 1.2.3") && one.contains(words)),
                "{problems:?}"
            );
        }
        assert!(audit("package = 1", |_| None).is_err());
    }

    #[test]
    fn the_index_says_which_versions_were_yanked() {
        let entries = b"\x03\x02\0\0\0etag\x001.0.0\0{\"vers\":\"1.0.0\",\"yanked\":true}\x001.1.0\0{\"vers\":\"1.1.0\",\"yanked\":false}\0";
        assert_eq!(
            ["1.0.0", "1.1.0", "1.2.0"].map(|version| yanked_in(entries, version)),
            [Some(true), Some(false), None]
        );
        assert_eq!(
            ["a", "ab", "Abc", "serde"].map(place_in_index),
            [Some("1/a"), Some("2/ab"), Some("3/a/abc"), Some("se/rd/serde")]
                .map(|place| place.map(str::to_owned))
        );
    }
}
