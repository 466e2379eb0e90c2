//! `cargo xtask e2e`: the real clients and a real browser on the page, at pinned versions, installed below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{cargo, root, say, sh};

/// The clients from npm: at the versions that the specification was measured with, their programs, and the variables through
/// which the tests find them.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("@openai/codex@0.169.0", "codex", "LATIMER_CODEX"),
    ("@anthropic-ai/claude-code@2.1.197", "claude", "LATIMER_CLAUDE"),
    ("opencode-ai@1.18.33", "opencode", "LATIMER_OPENCODE"),
    ("@google/gemini-cli@0.61.0", "gemini", "LATIMER_GEMINI"),
];
/// What drives the page in a browser, and what looks for barriers on it.
const BROWSER_MODULES: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];
/// The programs that the page is tested in, the first one found; a variable names another one.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// The variable through which the tests find the browser, and through which a person names one.
const BROWSER_VARIABLE: &str = "LATIMER_CHROMIUM";
/// The SDKs whose types every event must fit.
const SDKS: [&str; 2] = ["openai==2.54.0", "anthropic==2.11.0"];
/// The tests that run a client.
const TESTS: [&str; 11] = [
    "agents",
    "codex",
    "codex_watched",
    "upstreams",
    "account_providers",
    "repair",
    "claude",
    "opencode",
    "gemini_cli",
    "sdk",
    "worst_turns",
];

pub(crate) fn run() -> anyhow::Result<()> {
    let dir = root().join("target/e2e");
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    clients(&dir)?;
    let python = python(&dir)?;
    let browser = browser();
    let mut args = vec!["test", "--package", "latimer", "--no-fail-fast"];
    args.extend(TESTS.iter().flat_map(|test| ["--test", test]));
    if browser.is_some() {
        args.extend(["--test", "browser"]);
    }
    args.extend(["--", "--test-threads", "2"]);
    let mut tests = cargo(&args);
    for (_, program, variable) in CLIENTS {
        tests.env(variable, dir.join("node_modules/.bin").join(program));
    }
    tests.env("LATIMER_PYTHON", python);
    // With the clients there, a test that skips is a test that failed.
    tests.env("LATIMER_REQUIRE_E2E", "1");
    if let Some(browser) = &browser {
        tests.env(BROWSER_VARIABLE, browser).env("LATIMER_BROWSER_MODULES", &dir);
    }
    sh(&mut tests)?;
    match browser {
        Some(_) => say(&format!("pictures of the page's screens are in {}", dir.join("screens").display())),
        None => say(NO_BROWSER),
    }
    Ok(())
}

/// What is said where the page cannot be tested.
const NO_BROWSER: &str = "skipped: the page in a real browser, because no Chromium is on the PATH; `apt-get install chromium` brings one, LATIMER_CHROMIUM names another";

/// The browser of this machine; says so where there is none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(BROWSER_VARIABLE) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = BROWSERS.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        say(NO_BROWSER);
    }
    found
}

fn clients(dir: &Path) -> anyhow::Result<()> {
    let packages: Vec<&str> = CLIENTS.iter().map(|(package, _, _)| *package).chain(BROWSER_MODULES).collect();
    let marker = dir.join(".clients");
    let wanted = packages.join("\n");
    let there = CLIENTS.iter().all(|(_, program, _)| dir.join("node_modules/.bin").join(program).exists());
    if there && std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say(&format!("installing {} from npm", packages.join(", ")));
    sh(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(dir)
        .args(&packages))?;
    std::fs::write(marker, wanted)?;
    Ok(())
}

fn python(dir: &Path) -> anyhow::Result<PathBuf> {
    let program = dir.join("venv/bin/python");
    let marker = dir.join(".sdks");
    let wanted = SDKS.join("\n");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) && program.exists() {
        return Ok(program);
    }
    say(&format!("installing {} from PyPI", SDKS.join(", ")));
    sh(Command::new("python3").args(["-m", "venv"]).arg(dir.join("venv")))?;
    sh(Command::new(&program).args(["-m", "pip", "install", "--quiet"]).args(SDKS))?;
    std::fs::write(marker, wanted)?;
    Ok(program)
}
