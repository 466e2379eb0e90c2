//! The tree that all packages are made of, laid out as below `/usr`.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{Release, bom, copy, write};
use crate::{root, sh};

/// What `cargo build` makes that is installed; each finds the other beside itself.
pub(super) const PROGRAMS: [&str; 2] = ["latimer", "latimer-watchdog"];
/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/latimer"),
    ("zsh", "share/zsh/site-functions/_latimer"),
    ("fish", "share/fish/vendor_completions.d/latimer.fish"),
];
/// What is handed on with the programs.
pub(super) const DOCUMENTS: [&str; 4] = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"];
/// The licences of what is built in.
pub(super) const THIRD_PARTY: &str = "THIRD-PARTY-LICENSES.txt";

pub(super) fn stage(release: &Release, binaries: &Path, metadata: &Value) -> anyhow::Result<()> {
    let stage = release.stage();
    for program in PROGRAMS {
        let to = stage.join("bin").join(program);
        copy(&binaries.join(program), &to)?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("making {} a program", to.display()))?;
    }
    let latimer = stage.join("bin/latimer");
    for (shell, path) in COMPLETIONS {
        let script =
            Command::new(&latimer).args(["completions", shell]).output().context("running latimer")?;
        if !script.status.success() {
            bail!("latimer completions {shell}: {}", String::from_utf8_lossy(&script.stderr));
        }
        write(&stage.join(path), script.stdout)?;
    }
    sh(Command::new(&latimer)
        .arg("man")
        .arg(stage.join("share/man/man1"))
        .stdout(std::process::Stdio::null()))?;
    write(&stage.join("lib/systemd/user/latimer.service"), release.template("latimer.service", &[])?)?;
    let documents = stage.join("share/doc/latimer");
    for name in DOCUMENTS {
        copy(&root().join(name), &documents.join(name))?;
    }
    write(&documents.join(THIRD_PARTY), third_party(metadata)?)
}

/// The texts of the licences of every crate that is built in, each text once below the crates that have it.
fn third_party(metadata: &Value) -> anyhow::Result<String> {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for package in bom::built_in(metadata)? {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let name = format!("{} {} ({})", text("name"), text("version"), text("license"));
        let folder = Path::new(text("manifest_path")).parent().context("a package without a folder")?;
        let found = licence_texts(folder);
        // A crate that brings no text along is named with its licence.
        let found = if found.is_empty() { vec![String::new()] } else { found };
        for text in found {
            match texts.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) if !names.contains(&name) => names.push(name.clone()),
                Some(_) => {}
                None => texts.push((text, vec![name.clone()])),
            }
        }
    }
    let mut all = "Licences of the libraries that are built into latimer.\n".to_owned();
    for (text, names) in texts {
        let _ = write!(all, "\n{}\n{}\n\n{}\n", "=".repeat(78), names.join("\n"), text.trim_end());
    }
    Ok(all)
}

fn licence_texts(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_licence = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file()
            && ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"]
                .iter()
                .any(|begin| name.starts_with(begin))
    };
    let mut paths: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_licence(path)).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}
