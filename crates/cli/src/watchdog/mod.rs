//! The `latimer-watchdog` command: it keeps the proxy alive.

mod control;
mod inspect;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::terminal::exit_code;

/// Keep the latimer proxy alive: own its port, restart it, replace it, repair what can be repaired.
#[derive(Debug, Parser)]
#[command(
    name = "latimer-watchdog",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Example:\n  latimer-watchdog run       keep a proxy alive in the foreground\n  latimer up                 the same in the background"
)]
struct WatchdogCli {
    #[command(subcommand)]
    command: WatchdogCommand,
}

#[derive(Debug, Subcommand)]
enum WatchdogCommand {
    /// Own the port and keep a proxy alive behind it, in the foreground
    Run(run::RunArgs),
    /// Show how the watchdog and its proxy are
    Status(control::StatusArgs),
    /// Start the proxy anew behind the same port, without a failed request
    Upgrade(control::LifecycleArgs),
    /// Start a proxy that was stopped or given up
    Start(control::LifecycleArgs),
    /// End the proxy and start it again, out of safe mode
    Restart(control::LifecycleArgs),
    /// End the proxy and the watchdog
    Stop(control::LifecycleArgs),
    /// List what was seen and what helped
    Incidents(inspect::InspectArgs),
    /// Show one incident
    Show(inspect::ShowArgs),
    /// List the rules in use
    Rules(inspect::InspectArgs),
    /// Print everything that is known as one JSON document
    Export(inspect::InspectArgs),
    /// Play a recording again: what would be done, when and why
    Simulate(inspect::SimulateArgs),
    /// Prevent what waits to be done
    Cancel(control::CancelArgs),
    /// Carry out what an alert offered
    Accept(control::AcceptArgs),
    /// Only count a fault for a while
    Silence(control::SilenceArgs),
}

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    WatchdogCli::command()
}

/// Parses the arguments of `latimer-watchdog`, runs the command, and prints an error with its causes and hints.
pub fn watchdog_main() -> ExitCode {
    if let Some(said) = crate::version::asked_for(std::env::args_os(), "latimer-watchdog") {
        return exit_code("latimer-watchdog", crate::terminal::print_json(&said).map(|()| ExitCode::SUCCESS));
    }
    let result = match WatchdogCli::parse().command {
        WatchdogCommand::Run(args) => run::run(&args),
        WatchdogCommand::Status(args) => control::status(&args),
        WatchdogCommand::Upgrade(args) => control::upgrade(&args),
        WatchdogCommand::Start(args) => control::start(&args),
        WatchdogCommand::Restart(args) => control::restart(&args),
        WatchdogCommand::Stop(args) => control::stop(&args),
        WatchdogCommand::Incidents(args) => inspect::incidents(&args),
        WatchdogCommand::Show(args) => inspect::show(&args),
        WatchdogCommand::Rules(args) => inspect::rules(&args),
        WatchdogCommand::Export(args) => inspect::export(&args),
        WatchdogCommand::Simulate(args) => inspect::simulate(&args),
        WatchdogCommand::Cancel(args) => control::cancel(&args),
        WatchdogCommand::Accept(args) => control::accept(&args),
        WatchdogCommand::Silence(args) => control::silence(&args),
    };
    exit_code("latimer-watchdog", result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        WatchdogCli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in WatchdogCli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            assert!(
                help.contains("Example"),
                "`latimer-watchdog {} --help` has no example",
                command.get_name()
            );
        }
    }
}
