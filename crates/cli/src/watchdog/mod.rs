//! The `latimer-watchdog` command: it keeps the proxy alive.

pub(crate) mod ask;
pub(crate) mod environment;
pub(crate) mod people;
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
    WatchdogStatus(ask::StatusArgs),
    /// Start the proxy anew behind the same port, without a failed request
    Upgrade(ask::Args),
    /// Start a proxy that was stopped or given up
    Start(ask::Args),
    /// End the proxy and start it again, out of safe mode
    Restart(ask::Args),
    /// End the proxy and the watchdog
    Stop(ask::Args),
    /// List what was seen and what helped
    Incidents(people::LookArgs),
    /// Show one incident
    Show(people::ShowArgs),
    /// List the rules in use
    Rules(people::LookArgs),
    /// Print everything that is known as one JSON document
    Export(people::LookArgs),
    /// Play a recording again: what would be done, when and why
    Simulate(people::SimulateArgs),
    /// Prevent what waits to be done
    Cancel(people::CancelArgs),
    /// Carry out what an alert offered
    Accept(people::AcceptArgs),
    /// Only count a fault for a while
    Silence(people::SilenceArgs),
}

/// Parses the arguments of `latimer-watchdog`, runs the command, and prints an error with its causes and hints.
pub fn watchdog_main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::WatchdogStatus(args) => ask::status(&args),
        Command::Upgrade(args) => ask::upgrade(&args),
        Command::Start(args) => ask::start(&args),
        Command::Restart(args) => ask::restart(&args),
        Command::Stop(args) => ask::stop(&args),
        Command::Incidents(args) => people::incidents(&args),
        Command::Show(args) => people::show(&args),
        Command::Rules(args) => people::rules(&args),
        Command::Export(args) => people::export(&args),
        Command::Simulate(args) => people::simulate(&args),
        Command::Cancel(args) => people::cancel(&args),
        Command::Accept(args) => people::accept(&args),
        Command::Silence(args) => people::silence(&args),
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
