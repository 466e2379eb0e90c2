//! The first hour: set up, switch and launch by command, with an empty home.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

#[path = "set_up/asking.rs"]
mod asking;
#[path = "set_up/edits.rs"]
mod edits;
#[path = "set_up/first_run.rs"]
mod first_run;
#[path = "set_up/health.rs"]
mod health;
#[path = "set_up/launches.rs"]
mod launches;
#[path = "set_up/running.rs"]
mod running;

use std::path::Path;
use std::process::{Command, Output};

use support::{folder, latimer, output};

/// `latimer` with an empty home and no variable of a provider.
fn newcomer(home: &Path, args: &[&str]) -> Command {
    let mut command = latimer();
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// What a command printed, both streams, and its exit code.
fn said(output: &Output) -> (i32, String) {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

/// Runs a command of a newcomer to its end.
fn run(home: &Path, args: &[&str]) -> (i32, String) {
    said(&output(&mut newcomer(home, args)))
}

/// The configuration file of a newcomer.
fn config_text(home: &Path) -> String {
    std::fs::read_to_string(home.join(".config/latimer/config.toml")).expect("a configuration")
}

fn home(name: &str) -> std::path::PathBuf {
    folder(name).join("home")
}
