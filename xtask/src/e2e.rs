//! `cargo xtask e2e`: the real clients, at pinned versions, installed below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{cargo, root, say, sh};

/// The Codex the specification was measured with.
const CODEX: &str = "@openai/codex@0.169.0";
/// The SDK whose types every event must fit.
const OPENAI: &str = "openai==2.54.0";

pub(crate) fn run() -> anyhow::Result<()> {
    let dir = root().join("target/e2e");
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let codex = codex(&dir)?;
    let python = python(&dir)?;
    let mut tests = cargo(&[
        "test",
        "--package",
        "latimer",
        "--test",
        "codex",
        "--test",
        "upstreams",
        "--test",
        "account_providers",
        "--test",
        "repair",
        "--test",
        "sdk",
        "--",
        "--test-threads",
        "2",
    ]);
    tests.env("LATIMER_CODEX", codex).env("LATIMER_PYTHON", python);
    // With the clients there, a test that skips is a test that failed.
    tests.env("LATIMER_REQUIRE_E2E", "1");
    sh(&mut tests)
}

fn codex(dir: &Path) -> anyhow::Result<PathBuf> {
    let program = dir.join("node_modules/.bin/codex");
    let marker = dir.join(".codex-version");
    if std::fs::read_to_string(&marker).is_ok_and(|version| version == CODEX) && program.exists() {
        return Ok(program);
    }
    say(&format!("installing {CODEX} from npm"));
    sh(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(dir)
        .arg(CODEX))?;
    std::fs::write(marker, CODEX)?;
    Ok(program)
}

fn python(dir: &Path) -> anyhow::Result<PathBuf> {
    let program = dir.join("venv/bin/python");
    let marker = dir.join(".openai-version");
    if std::fs::read_to_string(&marker).is_ok_and(|version| version == OPENAI) && program.exists() {
        return Ok(program);
    }
    say(&format!("installing {OPENAI} from PyPI"));
    sh(Command::new("python3").args(["-m", "venv"]).arg(dir.join("venv")))?;
    sh(Command::new(&program).args(["-m", "pip", "install", "--quiet", OPENAI]))?;
    std::fs::write(marker, OPENAI)?;
    Ok(program)
}
