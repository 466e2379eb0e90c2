//! The programs of a release.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{cargo, root, say, sh};

/// Static musl where Rust has the target and a C compiler for it is there (ring and SQLite are C), else this machine's own. Programs that
/// are there already are this machine's.
pub(super) fn usual_target(is_built: bool) -> anyhow::Result<String> {
    let host = host()?;
    let musl = host.replace("-gnu", "-musl");
    if !is_built && musl != host && has_target(&musl) && has_musl_compiler() {
        return Ok(musl);
    }
    if !is_built && musl != host {
        say(&format!(
            "no static programs: `rustup target add {musl}` and musl-gcc (package musl-tools) make them; building for {host}"
        ));
    }
    Ok(host)
}

fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("running `rustc -vV`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

fn has_target(target: &str) -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    })
}

fn has_musl_compiler() -> bool {
    Command::new("musl-gcc").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Builds both programs and says where they are.
pub(super) fn build(target: &str, profile: &str) -> anyhow::Result<PathBuf> {
    let mut command =
        cargo(&["build", "--locked", "--package", "latimer", "--target", target, "--profile", profile]);
    if let Ok(output) = Command::new("git").current_dir(root()).args(["rev-parse", "HEAD"]).output()
        && output.status.success()
    {
        command.env("LATIMER_COMMIT", String::from_utf8_lossy(&output.stdout).trim());
    }
    sh(&mut command)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let built = root().join("target").join(target).join(folder);
    if !built.join("latimer").is_file() {
        bail!("cargo built no {}", built.join("latimer").display());
    }
    Ok(built)
}
