//! `cargo xtask ci`: the gates, in the order in which they fail fastest. `.ci/run` installs what they need and lists none itself.

use crate::fuzz::FuzzArgs;
use crate::{audit, cargo, e2e, fuzz, require, say, sh, tidy};

/// How long the parser of what models write is fuzzed, in seconds.
const FUZZ_SECONDS: u32 = 60;

pub(crate) fn run() -> anyhow::Result<()> {
    step("cargo fmt --check");
    sh(&mut cargo(&["fmt", "--all", "--check"]))?;
    step("cargo xtask tidy");
    tidy::run()?;
    step("cargo clippy");
    sh(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("cargo check of the fuzz targets");
    sh(&mut cargo(&["check", "--quiet", "--locked", "--manifest-path", "fuzz/Cargo.toml"]))?;
    step("cargo doc");
    sh(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    step("cargo deny check");
    require("deny")?;
    sh(&mut cargo(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    step("cargo xtask audit");
    audit::run()?;
    step("cargo run --bin latimer -- demo");
    sh(cargo(&["run", "--quiet", "--bin", "latimer", "--", "demo"]).stdout(std::process::Stdio::null()))?;
    step("cargo xtask e2e");
    e2e::run()?;
    step("cargo test --workspace");
    sh(&mut cargo(&["test", "--workspace"]))?;
    step("cargo xtask fuzz --target toolcalls");
    fuzz::run(&FuzzArgs::only("toolcalls", FUZZ_SECONDS))
}

fn step(title: &str) {
    say(&format!("\n== {title}"));
}
