//! Chores of the workspace: `cargo xtask <command>`. One file per command; nothing depends on this crate.

mod audit;
mod bench;
mod ci;
mod dist;
mod e2e;
mod fuzz;
mod load;
mod models;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the latimer workspace")]
struct Cli {
    #[command(subcommand)]
    command: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything a change must pass: fmt, clippy, tests, docs, tidy, end to end
    Ci,
    /// Check arrows between crates, file sizes, fixtures, links and secrets
    Tidy,
    /// Make the tarball, the packages, the formula, checksums and bill of materials of a release
    Dist(dist::DistArgs),
    /// Check where the dependencies come from, and what is known against them
    Audit,
    /// Install the real clients from npm and `PyPI` and run the end-to-end tests with them
    E2e,
    /// Run the release binary over loopback beside nginx and print what it costs
    Bench(bench::BenchArgs),
    /// Write the table of the presets' models again, from catalogues on npm and `PyPI`
    Models(models::ModelsArgs),
    /// Run every fuzz target for a while
    Fuzz(fuzz::FuzzArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Chore::Ci => ci::run(),
        Chore::Tidy => tidy::run(),
        Chore::Dist(args) => dist::run(&args),
        Chore::Audit => audit::run(),
        Chore::E2e => e2e::run(),
        Chore::Bench(args) => bench::run(&args),
        Chore::Models(args) => models::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Runs a command to its end; an error names it.
fn sh(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("running {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// `cargo` with these arguments, in the workspace.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// A line for the person who runs the chore.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Fails with the command that helps where this tool of cargo's is missing.
fn require(tool: &str) -> anyhow::Result<()> {
    if cargo(&[tool, "--version"]).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!("cargo-{tool} is not installed; `cargo install --locked cargo-{tool}` installs it")
}
