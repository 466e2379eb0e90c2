//! The `latimer-watchdog` command: it keeps the proxy alive.

pub(crate) mod ask;
pub(crate) mod environment;
pub(crate) mod run;
pub(crate) mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::setup;

/// Keep the latimer proxy alive: own its port, restart it, replace it, repair what can be repaired.
#[derive(Debug, Parser)]
#[command(
    name = "latimer-watchdog",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Example:\n  latimer-watchdog run       keep a proxy alive in the foreground\n  latimer up                 the same in the background"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Own the port and keep a proxy alive behind it, in the foreground
    Run(run::Args),
    /// Show how the watchdog and its proxy are
    Status(ask::StatusArgs),
    /// Start the proxy anew behind the same port, without a failed request
    Upgrade(ask::Args),
    /// End the proxy and the watchdog
    Stop(ask::Args),
}

/// Parses the arguments of `latimer-watchdog`, runs the command, and prints an error with its causes and hints.
pub fn watchdog_main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Status(args) => ask::status(&args),
        Command::Upgrade(args) => ask::upgrade(&args),
        Command::Stop(args) => ask::stop(&args),
    };
    result.unwrap_or_else(|error| {
        setup::complain(&format!("latimer-watchdog: {error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            assert!(
                help.contains("Example"),
                "`latimer-watchdog {} --help` has no example",
                command.get_name()
            );
        }
    }
}
