//! The program, and the file it works with.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Fix, Group};
use crate::configuration::{Configuration, PathArgs, open_to_others, read_text};
use crate::discovery::on_path;
use crate::sibling::sibling_binary;

/// Which program this is, whether its sibling is there, and whether a shell finds it.
pub(super) fn installation() -> Vec<Finding> {
    const GROUP: Group = Group::Installation;
    let version = env!("CARGO_PKG_VERSION");
    let own = std::env::current_exe().ok();
    let place = own.as_deref().map_or_else(String::new, |path| format!(" ({})", path.display()));
    let mut findings = vec![Finding::fine(GROUP, "version", format!("latimer {version}{place}"))];
    findings.push(match sibling_binary("latimer-watchdog") {
        Ok(_) => Finding::fine(GROUP, "watchdog_binary", "latimer-watchdog is beside it"),
        Err(error) => Finding::problem(
            GROUP,
            "watchdog_binary",
            format!("{error:#}"),
            "install both programs: without it nothing restarts a proxy that ends",
        ),
    });
    match (on_path(Path::new("latimer")), own) {
        (None, Some(own)) => findings.push(Finding::remark(
            GROUP,
            "path",
            "a shell does not find `latimer`",
            format!("add `{}` to PATH", own.parent().unwrap_or(&own).display()),
        )),
        (Some(found), Some(own)) if is_another(&found, &own) => findings.push(Finding::remark(
            GROUP,
            "path",
            format!("a shell runs another latimer: `{}`", found.display()),
            "remove the one that you do not want",
        )),
        _ => {}
    }
    findings
}

fn is_another(found: &Path, own: &Path) -> bool {
    match (found.canonicalize(), own.canonicalize()) {
        (Ok(found), Ok(own)) => found != own,
        _ => false,
    }
}

/// Whether the file is there, can be used, and is private.
pub(super) fn configuration(paths: &PathArgs, read: &anyhow::Result<Configuration>) -> Vec<Finding> {
    const GROUP: Group = Group::Configuration;
    let Some(path) = paths.config_path() else {
        let target = paths.config_target().unwrap_or_else(|_| PathBuf::from("config.toml"));
        let what = format!("there is no configuration: `{}` is not there", target.display());
        return vec![Finding::problem(GROUP, "config_absent", what, "latimer init")];
    };
    let mut findings = Vec::new();
    match read {
        Err(error) => {
            // A headline, then a line for each problem.
            let text = crate::terminal::error_text(error);
            findings.extend(text.into_iter().skip(1).map(|line| {
                Finding::problem(
                    GROUP,
                    "config_invalid",
                    line,
                    format!("edit `{}`, then: latimer check", path.display()),
                )
            }));
            if findings.is_empty() {
                findings.push(Finding::problem(
                    GROUP,
                    "config_unreadable",
                    format!("{error:#}"),
                    "latimer check",
                ));
            }
        }
        Ok(configuration) => {
            let config = &configuration.loaded.config;
            let what = format!(
                "`{}`: {} endpoints, {} routes",
                path.display(),
                config.endpoints.len(),
                config.routes.len()
            );
            findings.push(Finding::fine(GROUP, "config", what));
            if config.endpoints.is_empty() {
                findings.push(Finding::problem(GROUP, "no_endpoint", "it has no endpoint", "latimer init"));
            }
            let warnings = configuration.loaded.warnings.iter();
            // Missing keys are told with their endpoints.
            let others =
                warnings.filter(|warning| !warning.to_string().contains("requests will carry no key"));
            findings.extend(others.map(|warning| {
                Finding::remark(GROUP, "config_warning", warning.to_string(), "latimer check")
            }));
        }
    }
    if let Ok(text) = read_text(&path) {
        findings.extend(open_to_others(&path, &text).iter().map(|words| exposed(&path, words)));
    }
    findings
}

/// A file that others can read or change; its own rights can be mended where it is the configuration itself.
fn exposed(path: &Path, words: &str) -> Finding {
    let (what, remedy) = words.split_once("; ").map_or((words, "make it your own"), |parts| parts);
    let finding = Finding::problem(Group::Configuration, "open_to_others", what, remedy);
    let file = remedy.strip_prefix("run `chmod 600 ").and_then(|rest| rest.strip_suffix('`'));
    match file.map(PathBuf::from) {
        Some(file) if file.is_file() => finding.mended_by(Fix::MakePrivate(file)),
        _ if remedy.starts_with("run `chmod") => finding.mended_by(Fix::MakePrivate(path.to_owned())),
        _ => finding,
    }
}
