//! `latimer completions`: scripts for shells.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer completions bash > ~/.local/share/bash-completion/completions/latimer"
)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    shell: Shell,
}

/// `command` is the whole command line that is completed.
#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
pub(crate) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    write(args.shell, command, &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}

fn write(shell: Shell, command: &mut clap::Command, out: &mut impl Write) {
    clap_complete::generate(shell, command, "latimer", out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_knows_the_commands() {
        let mut command = clap::Command::new("latimer").subcommand(clap::Command::new("launch"));
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            write(shell, &mut command, &mut script);
            assert!(String::from_utf8_lossy(&script).contains("launch"), "{shell}");
        }
    }
}
