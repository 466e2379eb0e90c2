//! Rules about whole files: what may not stand in one, how long it may be, where links and fixtures lead.

use std::path::{Path, PathBuf};

use crate::root;

/// Past this many lines a file holds two ideas.
const MAX_FILE: usize = 450;
/// Longer files, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Words that promise instead of deliver, spelt so that this file does not hold them.
const PROMISES: [&str; 5] = [
    concat!("to", "do!("),
    concat!("db", "g!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
];
/// Paths of somebody's machine.
const MACHINES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/runner")];
/// Beginnings of real keys.
const KEYS: [&str; 4] = [
    concat!("sk-", "proj-"),
    concat!("gh", "p_A"),
    concat!("AI", "zaSyD"),
    concat!("-----BEGIN ", "PRIVATE KEY"),
];

/// Checks the words and the length of every file.
pub(super) fn words(files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        let shown = path.display();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{shown}:{}", number + 1);
            if is_rust && let Some(word) = PROMISES.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{place}: {word}"));
            }
            if let Some(word) = MACHINES.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{place}: a path of a machine ({word})"));
            }
            if KEYS.iter().any(|word| line.contains(word)) {
                faults.push(format!("{place}: looks like a real key"));
            }
        }
        let lines = text.lines().count();
        let is_excused = LONG_FILES.iter().any(|(long, _)| path.ends_with(long));
        if is_rust && lines > MAX_FILE && !is_excused {
            faults
                .push(format!("{shown}: {lines} lines, at most {MAX_FILE}; look for the second idea in it"));
        }
        if path.ends_with("src/lib.rs") && !text.starts_with("//!") {
            faults.push(format!("{shown}: a crate begins with what it knows and what it must never know"));
        }
    }
}

/// Rust files with their lines, the longest first.
pub(super) fn longest(files: &[PathBuf]) -> Vec<(usize, &Path)> {
    let rust = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let lines =
        |path: &Path| std::fs::read_to_string(root().join(path)).map_or(0, |text| text.lines().count());
    let mut longest: Vec<_> = rust.map(|path| (lines(path), path.as_path())).collect();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    longest
}

/// Every folder of fixtures says where they come from.
pub(super) fn fixtures(files: &[PathBuf], faults: &mut Vec<String>) {
    let folders: std::collections::BTreeSet<&Path> =
        files.iter().filter(|path| path.starts_with("fixtures")).filter_map(|path| path.parent()).collect();
    for folder in folders {
        // One for a folder of folders is enough.
        let says = |folder: &Path| files.iter().any(|path| *path == folder.join("README.md"));
        if !folder.ancestors().take_while(|folder| *folder != Path::new("fixtures")).any(says) {
            faults.push(format!(
                "{}: has no README.md that says where the fixtures come from",
                folder.display()
            ));
        }
    }
}

/// Links in Markdown to files of the project lead somewhere.
pub(super) fn links(files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let folder = path.parent().unwrap_or(Path::new(""));
            if !root().join(folder).join(target).exists() {
                faults.push(format!("{}: the link to {target} leads nowhere", path.display()));
            }
        }
    }
}
