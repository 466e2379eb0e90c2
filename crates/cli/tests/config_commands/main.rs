//! The configuration by command, and the clients that a person starts: with an empty home and the real binary.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod assist;
mod clients;
mod edits;
mod profiles;
mod sharing;

use std::path::PathBuf;

use support::folder;
use support::newcomer::{config_path, config_text, newcomer, run, run_with, said, script};

/// Two endpoints, one with a key in the file, with comments that must survive.
const FILE: &str = "# mine\ndefault_endpoint = \"a\" # the first\n\n[server]\ngrace = \"5s\"\n\n[[endpoint]]\nname = \"a\" # here\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-numbat-0123456789\"\nmodels = [\n  \"one\", # small\n]\n\n[[endpoint]]\nname = \"b\"\npreset = \"deepseek\"\n";

/// A home with this configuration.
fn home(name: &str, text: &str) -> PathBuf {
    let home = folder(name).join("home");
    let path = config_path(&home);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
    home
}
