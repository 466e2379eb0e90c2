//! The configuration by command, and the clients that a person starts: with an empty home and the real binary.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod assist;
mod clients;
mod edits;
mod profiles;
mod sharing;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{folder, latimer, output};

/// Two endpoints, one with a key in the file, with comments that must survive.
const FILE: &str = "# mine\ndefault_endpoint = \"a\" # the first\n\n[server]\ngrace = \"5s\"\n\n[[endpoint]]\nname = \"a\" # here\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-numbat-0123456789\"\nmodels = [\n  \"one\", # small\n]\n\n[[endpoint]]\nname = \"b\"\npreset = \"deepseek\"\n";

/// `latimer` with an empty home and no variable of a provider.
fn newcomer(home: &Path, args: &[&str]) -> Command {
    let mut command = latimer();
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
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

/// The same with this on stdin.
fn run_with(home: &Path, args: &[&str], input: &str) -> (i32, String) {
    let mut child = newcomer(home, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    // A command that refuses early reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    said(&child.wait_with_output().expect("ended"))
}

/// A home with this configuration.
fn home(name: &str, text: &str) -> PathBuf {
    let home = folder(name).join("home");
    std::fs::create_dir_all(config_path(&home).parent().expect("a folder")).expect("made");
    std::fs::write(config_path(&home), text).expect("written");
    home
}

fn config_path(home: &Path) -> PathBuf {
    home.join(".config/latimer/config.toml")
}

fn config_text(home: &Path) -> String {
    std::fs::read_to_string(config_path(home)).expect("a configuration")
}

/// A program that is a script.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    path
}
