//! `latimer check`: every problem of the configuration at once.

use std::path::Path;
use std::process::ExitCode;

use latimer_adapters::agents::probe::ProbeProblem;
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::config::Config;
use latimer_proxy::config::check::{ConfigProblem, report};
use serde_json::{Value, json};

use super::agent_probe;
use crate::configuration::{PathArgs, load_text, open_to_others, read_text};
use crate::exit::Exit;
use crate::terminal::{eprint_line, print_json, print_lines};
use crate::watchdog_settings;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer check --config ./latimer.toml\n  latimer check --json\n\nExit code 0: the file can be used. 4: it cannot, or there is none; every problem is listed with its line, key and remedy."
)]
pub(crate) struct CheckArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

/// What there is to say of a configuration file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It can be used; warnings go to stderr first.
    Usable { warnings: Option<String>, summary: String },
    /// It cannot.
    Unusable { problems: Vec<String> },
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let Some(path) = args.paths.config_path() else {
        let path = args.paths.config_target()?;
        if args.json {
            let missing = json!({ "schema_version": SCHEMA_VERSION, "ok": false, "path": path, "exists": false, "problems": [], "warnings": [] });
            print_json(&missing)?;
            return Ok(Exit::Configuration.into());
        }
        eprint_line(&format!(
            "there is no configuration: `{}` is not there. `latimer endpoints add --preset deepseek` writes it (`latimer presets` lists the names), `latimer demo` works without one",
            path.display()
        ));
        return Ok(Exit::Configuration.into());
    };
    let text = read_text(&path)?;
    if args.json {
        return as_json(&path, &text, args);
    }
    for open in open_to_others(&path, &text) {
        eprint_line(&format!("warning: {open}"));
    }
    match verdict(&text, &path) {
        Verdict::Usable { warnings, summary } => {
            warnings.iter().flat_map(|warnings| warnings.lines()).for_each(eprint_line);
            print_lines(summary.lines())?;
            for problem in agent_problems(&text, args)? {
                eprint_line(&format!("warning: {problem}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Unusable { problems } => {
            problems.iter().flat_map(|problem| problem.lines()).for_each(eprint_line);
            Ok(Exit::Configuration.into())
        }
    }
}

/// The same as a document: problems and warnings with their place.
fn as_json(path: &Path, text: &str, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let placed = |problem: &ConfigProblem| json!({ "line": problem.line, "column": problem.column, "key": problem.key, "message": problem.message });
    let unplaced = |message: String| json!({ "line": 0, "column": 0, "key": "", "message": message });
    let watchdog = watchdog_settings::read(text).err().unwrap_or_default();
    let (mut problems, mut warnings): (Vec<Value>, Vec<Value>) = match load_text(text) {
        Ok(loaded) => (Vec::new(), loaded.warnings.iter().map(placed).collect()),
        Err(found) => (found.iter().map(placed).collect(), Vec::new()),
    };
    problems.extend(watchdog.into_iter().map(unplaced));
    warnings.extend(open_to_others(path, text).into_iter().map(unplaced));
    warnings.extend(agent_problems(text, args)?.into_iter().map(unplaced));
    let is_ok = problems.is_empty();
    print_json(&json!({
        "schema_version": SCHEMA_VERSION, "ok": is_ok, "path": path, "exists": true,
        "problems": problems, "warnings": warnings,
    }))?;
    Ok(if is_ok { ExitCode::SUCCESS } else { Exit::Configuration.into() })
}

/// What keeps an agent from answering, or may: a program that is missing, another version, no login. Never a reason to refuse the file.
fn agent_problems(text: &str, args: &CheckArgs) -> anyhow::Result<Vec<String>> {
    let Ok(loaded) = load_text(text) else { return Ok(Vec::new()) };
    let endpoints = &loaded.config.endpoints;
    if endpoints.iter().all(|endpoint| endpoint.agent.is_none()) {
        return Ok(Vec::new());
    }
    let state_dir = args.paths.state_dir()?;
    let mut problems = Vec::new();
    let probe = |endpoint| agent_probe::of_endpoint(&loaded.config, endpoint, &state_dir);
    for found in endpoints.iter().filter_map(probe) {
        problems.extend(found?.problems.iter().map(ProbeProblem::words));
    }
    Ok(problems)
}

/// Both parts are read, so that every problem is told at once.
fn verdict(text: &str, path: &Path) -> Verdict {
    let watchdog = watchdog_settings::read(text).err().unwrap_or_default();
    let watchdog = watchdog.iter().map(|problem| format!("{}: {problem}", path.display()));
    match load_text(text) {
        Ok(loaded) if watchdog.len() == 0 => Verdict::Usable {
            warnings: (!loaded.warnings.is_empty()).then(|| report(&loaded.warnings, path)),
            summary: format!("{}: {}", path.display(), summary(&loaded.config)),
        },
        Ok(_) => Verdict::Unusable { problems: watchdog.collect() },
        Err(found) => {
            let mut problems = vec![report(&found, path)];
            // Both would say so of a file that is no TOML.
            let is_toml = !found.iter().any(|problem| problem.to_string().contains("not valid TOML"));
            problems.extend(watchdog.filter(|_| is_toml));
            let count = found.len() + problems.len() - 1;
            problems.push(format!("{count} problem{}", if count == 1 { "" } else { "s" }));
            Verdict::Unusable { problems }
        }
    }
}

fn summary(config: &Config) -> String {
    let models: usize = config.endpoints.iter().map(|endpoint| endpoint.models.len()).sum();
    let proxies = config.proxies().into_iter();
    let proxies =
        proxies.map(|(endpoint, proxy)| format!("\n{}: goes out through the proxy {proxy}", endpoint.name));
    let unusable = config
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.keys.is_empty() && !endpoint.missing_keys.is_empty());
    let word = if unusable.count() == 0 { "fine" } else { "valid, but a key is missing" };
    format!(
        "{word}, {} endpoint(s), {models} model(s){}",
        config.endpoints.len(),
        proxies.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Verdict {
        verdict(text, Path::new("l.toml"))
    }

    fn problems(text: &str) -> Vec<String> {
        match check(text) {
            Verdict::Unusable { problems } => problems,
            Verdict::Usable { summary, .. } => panic!("{summary}"),
        }
    }

    #[test]
    fn a_file_that_can_be_used_is_summed_up() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\", \"n\"]\n";
        let Verdict::Usable { summary, .. } = check(text) else { panic!("{:?}", check(text)) };
        assert_eq!(summary, "l.toml: fine, 1 endpoint(s), 2 model(s)");
    }

    #[test]
    fn outbound_proxies_are_said_without_their_passwords() {
        let text = "proxy = \"http://user:hunter2@proxy.example:3128\"\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nproxy = \"none\"\n[[endpoint]]\nname = \"c\"\nbase_url = \"http://127.0.0.1:8000\"\n";
        let Verdict::Usable { summary, .. } = check(text) else { panic!("{:?}", check(text)) };
        let want = "l.toml: fine, 3 endpoint(s), 0 model(s)\na: goes out through the proxy http://proxy.example:3128";
        assert_eq!(summary, want);
    }

    #[test]
    fn problems_of_both_parts_are_counted_together() {
        let problems = problems("[server]\nlisten = \"nowhere\"\n[watchdog]\nnotify = \"loud\"\n");
        assert_eq!(problems.last().map(String::as_str), Some("2 problems"), "{problems:?}");
    }

    #[test]
    fn a_watchdog_part_alone_can_make_a_file_unusable() {
        let problems = problems("[watchdog]\ntier4 = false\n");
        assert!(problems.len() == 1 && problems[0].starts_with("l.toml: line 2: watchdog"), "{problems:?}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_problem() {
        let problems = problems("[server\n");
        assert_eq!(problems.last().map(String::as_str), Some("1 problem"), "{problems:?}");
    }
}
