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
#[path = "set_up/screen.rs"]
mod screen;

use support::folder;
use support::newcomer::{config_text, newcomer, run, said, script, serving};

fn home(name: &str) -> std::path::PathBuf {
    folder(name).join("home")
}
