//! `cargo xtask tidy`: what the compiler does not check.

mod calls;
mod files;
mod items;
mod manifests;
mod modules;
mod siblings;
mod source;
mod test_modules;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{root, say};

pub(crate) fn run() -> anyhow::Result<()> {
    let report = check()?;
    if report.faults.is_empty() {
        for line in report.lines {
            say(&line);
        }
        return Ok(());
    }
    bail!("{} places are not tidy\n{}", report.faults.len(), report.faults.join("\n"))
}

/// The floors of the proxy's modules, from the ground up.
const PROXY_FLOORS: &[&[&str]] = &[
    &["clock", "recent_log", "sync", "text"],
    &["clockwork"],
    &["config"],
    &["accounts", "inbound", "keys"],
    &["metrics", "running", "store"],
    &["route"],
    &["compactor", "http", "lifecycle"],
    &["agents"],
    &["turn"],
    &["probe", "trial"],
    &["server"],
];

/// What was found.
struct Report {
    faults: Vec<String>,
    /// The measures, for people.
    lines: Vec<String>,
}

fn check() -> anyhow::Result<Report> {
    let mut faults = Vec::new();
    manifests::check(&mut faults)?;
    let files = tracked()?;
    files::words(&files, &mut faults);
    files::fixtures(&files, &mut faults);
    files::links(&files, &mut faults);
    let sources = source::parse(&files)?;
    calls::check(&sources, &mut faults);
    modules::loops(&sources, &mut faults);
    modules::floors(&sources, "crates/proxy/src", PROXY_FLOORS, &mut faults);
    let functions = items::check(&sources, &mut faults);
    let shared = siblings::check(&sources, &mut faults);
    test_modules::check(&sources, &mut faults);
    faults.sort();
    let mut lines = vec!["The ten longest files:".to_owned()];
    lines.extend(
        files::longest(&files)
            .into_iter()
            .take(10)
            .map(|(lines, path)| format!("{lines:6} {}", path.display())),
    );
    lines.push(format!("The ten longest of {} functions:", functions.len()));
    lines.extend(functions.iter().take(10).map(|(lines, place)| format!("{lines:6} {place}")));
    let p99 = functions.get(functions.len() / 100).map_or(0, |(lines, _)| *lines);
    lines.push(format!("99 of 100 functions have at most {p99} lines"));
    lines.extend(
        shared.map(|(percent, pair)| format!("The most alike of two protocols: {pair}, {percent} %")),
    );
    lines.push(format!("tidy: {} files are fine", files.len()));
    Ok(Report { faults, lines })
}

/// Files git knows, relative to the root.
fn tracked() -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("running git")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let report = super::check().expect("the files are readable");
        assert_eq!(report.faults, Vec::<String>::new());
    }
}
