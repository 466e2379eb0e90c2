//! The `latimer` and `latimer-watchdog` commands: arguments in, a library called, an exit code out.
//!
//! This crate must know nothing of turns or protocols: a command that needs an `if` about them belongs in a library. It is
//! the one place that prints for people, reads the environment, and installs signal handlers.
//!
//! Two floors: the commands of `latimer` (`command`) and of `latimer-watchdog` (`watchdog`), which do not know each other; below them
//! the modules both stand on.

mod command;
mod watchdog;

mod arguments;
mod browser;
mod clock;
mod codex_catalog;
mod complete;
mod config_file;
mod config_key;
mod config_value;
mod configuration;
mod control_client;
mod dialogue;
mod discovery;
mod endpoint_trial;
mod environment;
mod exit;
mod fold;
mod key_file;
mod logging;
mod money;
mod panic_log;
mod port;
mod proxy_client;
mod proxy_file;
mod runtime;
mod shared_store;
mod sibling;
mod spawn;
mod terminal;
mod turn_source;
mod turn_text;
mod version;
mod watchdog_settings;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use watchdog::watchdog_main;

/// Run OpenAI Codex on any model: a translation proxy for coding agents.
#[derive(Debug, Parser)]
#[command(
    name = "latimer",
    version,
    about,
    after_help = "Examples:\n  latimer init                 set up a provider: look, try, write the file\n  latimer demo                 see a whole turn, no key and no network needed\n  latimer launch codex         run Codex on the configured provider"
)]
struct Cli {
    /// These stand before the command as well as behind it.
    #[command(flatten)]
    paths: configuration::PathArgs,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    color: terminal::ColorChoice,
    /// Leave out remarks that are no errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more in the log: `-v` is `LATIMER_LOG=debug`, `-vv` is `LATIMER_LOG=trace`
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a provider: look for keys, accounts and servers, try one, write the file
    Init(command::init::InitArgs),
    /// Look at everything that a turn needs, and say what to do where something is wrong
    Doctor(command::doctor::DoctorArgs),
    /// Run the proxy until it is told to stop
    Serve(command::serve::ServeArgs),
    /// Start the watchdog and its proxy in the background
    Up(command::background::BackgroundArgs),
    /// End the watchdog and its proxy
    Down(command::background::BackgroundArgs),
    /// Show what runs, what waits, and what is not well
    Status(command::status::OverviewArgs),
    /// Install or remove latimer as a service of your session
    Service(command::service::ServiceArgs),
    /// Report every problem of the configuration file at once
    Check(command::check::CheckArgs),
    /// Look at the configuration file, and change it
    Config(command::config::ConfigArgs),
    /// Run a client on the proxy, which is started if none runs
    Launch(command::launch::LaunchArgs),
    /// Ask a configured model what is wrong, and do what it proposes after a yes
    Assist(command::assist::AssistArgs),
    /// Print what a client that you start yourself needs, for your shell
    Env(command::env::EnvArgs),
    /// Print the token that clients must send, or exchange it
    Token(command::token::TokenArgs),
    /// Say which model clients are launched with from now on
    Use(command::use_model::UseArgs),
    /// Show a whole turn between a Codex-shaped client and a scripted provider
    Demo(command::demo::DemoArgs),
    /// List the configured models and the names to ask for them
    Models(command::models::ModelsArgs),
    /// Log into an account that an endpoint can use
    Login(command::login::LoginArgs),
    /// Forget an account
    Logout(command::accounts::LogoutArgs),
    /// Show who is logged in
    Accounts(command::accounts::AccountsArgs),
    /// List the providers latimer knows by name
    Presets(command::presets::PresetsArgs),
    /// Show the configured endpoints, how they are doing, and what they taught
    Endpoints(command::endpoints::EndpointsArgs),
    /// Profiles, runs and messages of agents, and the processes behind them
    Agents(command::agents::AgentsArgs),
    /// Make, list and revoke keys for people, with models, limits and a budget
    Keys(command::keys::KeysArgs),
    /// Open the page: what runs, what waits, what it costs
    Dashboard(command::dashboard::DashboardArgs),
    /// List turns as they happen: what was asked, who answered, how it ended
    Logs(command::logs::LogsArgs),
    /// Show what happened in a turn, and why
    Explain(command::explain::ExplainArgs),
    /// Show how many tokens and how much money were used
    Usage(command::usage::UsageArgs),
    /// Show how much of every allowance is left, and until when
    Quota(command::quota::QuotaArgs),
    /// Print one line for clients that show one: who answers, what is waited for, what is left
    Statusline(command::statusline::StatuslineArgs),
    /// Make, fill and look after the database that several nodes share
    Store(command::store::StoreArgs),
    /// Print a completion script for a shell
    Completions(command::completions::CompletionsArgs),
    /// Write manual pages into a folder
    Man(command::man::ManArgs),
    /// Run the scripted provider alone, for tests and benches
    #[command(hide = true)]
    Scripted(command::scripted::ScriptedArgs),
}

/// Parses the arguments, runs the command, and prints an error with its causes and hints.
pub fn latimer_main() -> ExitCode {
    complete::answer(Cli::command);
    if let Some(said) = version::asked_for(std::env::args_os(), "latimer") {
        return terminal::exit_code("latimer", terminal::print_json(&said).map(|()| ExitCode::SUCCESS));
    }
    let Cli { color, quiet, verbose, command, paths } =
        Cli::parse_from(arguments::in_order(std::env::args_os()));
    terminal::set_manners(color, quiet);
    logging::set_verbosity(verbose);
    let Some(command) = command else {
        return terminal::exit_code("latimer", command::summary::run(&paths));
    };
    let result = match command {
        Command::Init(args) => command::init::run(&args),
        Command::Doctor(args) => command::doctor::run(&args),
        Command::Serve(args) => command::serve::run(&args),
        Command::Up(args) => command::background::up(&args),
        Command::Down(args) => command::background::down(&args),
        Command::Status(args) => command::status::run(&args),
        Command::Service(args) => command::service::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Config(args) => command::config::run(&args),
        Command::Launch(args) => command::launch::run(&args),
        Command::Assist(args) => command::assist::run(&args),
        Command::Env(args) => command::env::run(&args),
        Command::Token(args) => command::token::run(&args),
        Command::Use(args) => command::use_model::run(&args),
        Command::Demo(args) => command::demo::run(&args),
        Command::Models(args) => command::models::run(&args),
        Command::Login(args) => command::login::run(&args),
        Command::Logout(args) => command::accounts::logout(&args),
        Command::Accounts(args) => command::accounts::run(&args),
        Command::Presets(args) => command::presets::run(&args),
        Command::Endpoints(args) => command::endpoints::run(&args),
        Command::Agents(args) => command::agents::run(&args),
        Command::Keys(args) => command::keys::run(&args),
        Command::Dashboard(args) => command::dashboard::run(&args),
        Command::Logs(args) => command::logs::run(&args),
        Command::Explain(args) => command::explain::run(&args),
        Command::Usage(args) => command::usage::run(&args),
        Command::Quota(args) => command::quota::run(&args),
        Command::Statusline(args) => command::statusline::run(&args),
        Command::Store(args) => command::store::run(&args),
        Command::Completions(args) => command::completions::run(&args),
        Command::Man(args) => command::man::run(&args, [Cli::command(), watchdog::command()]),
        Command::Scripted(args) => command::scripted::run(&args),
    };
    terminal::exit_code("latimer", result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "`latimer {} --help` has no example", command.get_name());
        }
    }
}
