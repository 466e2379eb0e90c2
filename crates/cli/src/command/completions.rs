//! `latimer completions`: scripts for shells.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::complete::VARIABLE;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer completions bash > ~/.local/share/bash-completion/completions/latimer\n  latimer completions zsh > ~/.zfunc/_latimer\n  latimer completions fish > ~/.config/fish/completions/latimer.fish\n\nThe script asks latimer while you type, so the names of endpoints, models and presets complete too."
)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    write(args.shell, &mut script)?;
    match std::io::stdout().write_all(&script) {
        // Who reads it has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("writing the script")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(shell: Shell, out: &mut dyn Write) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer = shells.completer(&name).with_context(|| format!("there is no script for {name}"))?;
    completer.write_registration(VARIABLE, "latimer", "latimer", "latimer", out).context("writing the script")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_asks_latimer() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            write(shell, &mut script).expect("a script");
            let script = String::from_utf8_lossy(&script);
            assert!(script.contains("latimer") && script.contains(VARIABLE), "{shell}: {script}");
        }
    }
}
