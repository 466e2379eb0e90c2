//! `latimer completions`: scripts for shells.

use std::process::ExitCode;

use clap_complete::Shell;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer completions bash > ~/.local/share/bash-completion/completions/latimer"
)]
pub(crate) struct Args {
    /// The shell to write for
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
pub(crate) fn run(args: &Args, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, command, "latimer", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
