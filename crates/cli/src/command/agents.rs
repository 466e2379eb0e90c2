//! `latimer agents`: agents as providers, profiles, runs and messages of a running proxy.

mod ask;
mod check;
mod cron;
mod messages;
mod overview;
mod profiles;
mod runs;

use std::process::ExitCode;

use self::ask::Agents;
use crate::configuration::PathArgs;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer agents                              endpoints, their processes, and what waits\n  latimer agents profiles add reviewer.toml   who works, on which model, with which instructions\n  latimer agents run reviewer --wait \"Look at the last change\"\n  latimer agents run reviewer - < question.txt\n  latimer agents runs --status running\n  latimer agents push run_5f2c90d1a7b3e846 \"Only the tests\"\n  latimer agents send reviewer \"The build is red\"\n  latimer agents inbox reviewer --take\n  latimer agents check                        is every agent found, of a known version, logged in\n\nAll but `check` ask a running proxy. A profile can also be asked for as a model, `agent:ID`, by every client."
)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    action: Option<AgentsAction>,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, clap::Subcommand)]
enum AgentsAction {
    /// Look whether every agent of the configuration is found, of a known version and logged in
    Check,
    /// List profiles, add, show and remove them
    Profiles(profiles::ProfilesArgs),
    /// Begin a run of a profile
    Run(runs::StartRunArgs),
    /// List runs, the newest first
    Runs(runs::RunsArgs),
    /// Show a run: what was asked, what was answered, what it used
    Show {
        /// Its name, such as `run_5f2c90d1a7b3e846`
        run: String,
    },
    /// End a run: the agent that works on it is interrupted
    Cancel {
        /// Its name
        run: String,
    },
    /// Say more to a run that is not over
    Push {
        /// Its name
        run: String,
        /// The words; `-` reads them from stdin
        text: String,
    },
    /// Send a message to a profile, a name or a run
    Send(messages::SendArgs),
    /// Show the messages of a recipient, or take the unread ones
    Inbox(messages::InboxArgs),
    /// Give profiles their work by the clock; see what the proxy does by itself
    Cron(cron::CronArgs),
    /// End the processes of an agent; the next turn starts new ones
    Restart {
        /// The endpoint's name in the configuration
        #[arg(add = crate::complete::endpoints())]
        endpoint: String,
    },
}

pub(crate) fn run(args: &AgentsArgs) -> anyhow::Result<ExitCode> {
    if matches!(args.action, Some(AgentsAction::Check)) {
        return check::run(&args.paths, args.json);
    }
    let agents = Agents::find(&args.paths, args.json)?;
    match &args.action {
        None | Some(AgentsAction::Check) => overview::run(&agents)?,
        Some(AgentsAction::Profiles(wanted)) => profiles::run(&agents, wanted)?,
        Some(AgentsAction::Run(wanted)) => return runs::start(&agents, wanted),
        Some(AgentsAction::Runs(wanted)) => runs::list(&agents, wanted)?,
        Some(AgentsAction::Show { run }) => runs::show(&agents, run)?,
        Some(AgentsAction::Cancel { run }) => runs::cancel(&agents, run)?,
        Some(AgentsAction::Push { run, text }) => runs::push(&agents, run, text)?,
        Some(AgentsAction::Send(wanted)) => messages::send(&agents, wanted)?,
        Some(AgentsAction::Inbox(wanted)) => messages::inbox(&agents, wanted)?,
        Some(AgentsAction::Cron(wanted)) => cron::run(&agents, wanted)?,
        Some(AgentsAction::Restart { endpoint }) => overview::restart(&agents, endpoint)?,
    }
    Ok(ExitCode::SUCCESS)
}
