//! `latimer doctor`: everything that has to be so for a turn to work, looked at in a few seconds and without spending a token.

mod bundle;
mod clients;
mod finding;
mod machine;
mod providers;
mod running;
mod set_up;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use self::finding::{Finding, Group, Mark};
use crate::configuration::{Configuration, PathArgs};
use crate::exit::Exit;
use crate::terminal::{Paint, print_folded, print_json, print_painted};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer doctor                      what is well, what is not, and what to do\n  latimer doctor --fix                mend what is safe to mend\n  latimer doctor --client codex       only what concerns one client\n  latimer doctor --bundle report.json a file for a bug report, without keys\n\nNo token is spent: providers are only asked for their list of models.\nExit code 0: no problem. 7: at least one ✗."
)]
pub(crate) struct DoctorArgs {
    /// Mend what is safe: rights of files that hold keys, files that a proxy left behind
    #[arg(long)]
    fix: bool,
    /// Only this client
    #[arg(long, value_name = "CLIENT", value_parser = ["codex", "claude", "opencode", "gemini"])]
    client: Option<String>,
    /// Write the report, the configuration without its keys and the end of the log into this file
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Ask no provider, and nothing else beyond this machine
    #[arg(long)]
    offline: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

/// What all looks share.
struct Examined<'a> {
    paths: &'a PathArgs,
    /// The state directory, where there is one.
    state_dir: Option<PathBuf>,
    /// The configuration, where it can be used.
    configuration: Option<Configuration>,
    client: Option<&'a str>,
    is_offline: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = examine(args);
    if args.fix {
        let mended = findings.iter().filter(|finding| finding.mend()).count();
        if mended > 0 {
            let before = findings;
            findings = examine(args);
            finding::mark_mended(&mut findings, before);
        }
    }
    if let Some(path) = &args.bundle {
        bundle::write(path, &args.paths, &findings)?;
    }
    let count = |mark| findings.iter().filter(|finding| finding.mark == mark).count();
    let (problems, remarks) = (count(Mark::Problem), count(Mark::Remark));
    if args.json {
        print_json(&json!({
            "schema_version": 1, "ok": problems == 0, "problems": problems, "remarks": remarks, "findings": findings,
        }))?;
    } else {
        print(&findings)?;
        print_folded(&match (problems, remarks) {
            (0, 0) => "all is well".to_owned(),
            (0, remarks) => format!("nothing is wrong; {remarks} to know of"),
            (problems, remarks) => format!("✗ {problems}  ! {remarks}"),
        })?;
    }
    if let Some(path) = &args.bundle
        && !args.json
    {
        print_folded(&format!("wrote `{}`; read it before you send it", path.display()))?;
    }
    Ok(if problems == 0 { ExitCode::SUCCESS } else { Exit::Unwell.into() })
}

/// Looks at everything, at the slow things at once.
fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let configuration = args.paths.configuration();
    let mut findings = set_up::installation();
    findings.extend(set_up::configuration(&args.paths, &configuration));
    let examined = Examined {
        paths: &args.paths,
        state_dir: args.paths.state_dir().ok(),
        configuration: configuration.ok(),
        client: args.client.as_deref(),
        is_offline: args.offline,
    };
    let examined = &examined;
    let groups = std::thread::scope(|scope| {
        let slow = [
            scope.spawn(move || providers::accounts(examined)),
            scope.spawn(move || providers::endpoints(examined)),
            scope.spawn(move || running::examine(examined)),
            scope.spawn(move || clients::examine(examined)),
        ];
        slow.into_iter().flat_map(|look| look.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    findings.extend(groups);
    findings.extend(machine::examine(examined));
    findings
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    for group in Group::ALL {
        let of_group: Vec<&Finding> = findings.iter().filter(|finding| finding.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        print_folded(group.name())?;
        for finding in of_group {
            let paint = match finding.mark {
                Mark::Fine => Paint::Green,
                Mark::Remark => Paint::Plain,
                Mark::Problem => Paint::Red,
            };
            print_painted(paint, &format!("  {} {}", finding.mark.sign(), finding.what))?;
            if let Some(remedy) = &finding.remedy {
                print_folded(&format!("    → {remedy}"))?;
            }
        }
    }
    Ok(())
}
