//! The image: built where Docker answers, else only read for what is known to be wrong.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use super::{Release, write};
use crate::{say, sh};

/// Instructions that may stand in a Dockerfile.
const INSTRUCTIONS: [&str; 13] = [
    "FROM",
    "RUN",
    "COPY",
    "USER",
    "EXPOSE",
    "ENTRYPOINT",
    "CMD",
    "ENV",
    "ARG",
    "LABEL",
    "WORKDIR",
    "VOLUME",
    "HEALTHCHECK",
];

pub(super) fn image(release: &Release) -> anyhow::Result<()> {
    let text = release.template("Dockerfile", &[])?;
    let faults = faults(&text, &release.stage());
    if !faults.is_empty() {
        bail!("packaging/Dockerfile: {}", faults.join("; "));
    }
    let path = release.out.join("Dockerfile");
    write(&path, text)?;
    let answers = Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]).output();
    if !answers.is_ok_and(|output| output.status.success()) {
        say("no image: no Docker answers; the Dockerfile was only checked");
        return Ok(());
    }
    let name = format!("latimer:{}", release.version);
    sh(Command::new("docker").args(["build", "--tag", &name, "--file"]).arg(path).arg(release.stage()))
}

/// What is wrong with a Dockerfile whose context is this folder.
pub(super) fn faults(text: &str, context: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<(&str, &str)> = lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    if lines.first().is_none_or(|(instruction, _)| !matches!(*instruction, "FROM" | "ARG")) {
        faults.push("should begin with FROM".to_owned());
    }
    for (instruction, rest) in &lines {
        match *instruction {
            unknown if !INSTRUCTIONS.contains(&unknown) => {
                faults.push(format!("there is no instruction {unknown}"));
            }
            "FROM" if !rest.contains(':') || rest.ends_with(":latest") => {
                faults.push(format!("FROM {rest} should name a version"));
            }
            "COPY" => {
                let words: Vec<&str> =
                    rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
                let sources = words.split_last().map_or(&[][..], |(_, sources)| sources);
                let missing = sources.iter().filter(|source| !context.join(source).exists());
                faults.extend(missing.map(|source| format!("COPY {source}: there is no such file")));
            }
            "RUN"
                if rest.contains("apt-get install")
                    && !(rest.contains("--no-install-recommends")
                        && rest.contains("rm -rf /var/lib/apt/lists")) =>
            {
                faults.push("apt-get install should take no recommendations and leave no lists".to_owned());
            }
            "ENTRYPOINT" | "CMD" if serde_json::from_str::<Vec<String>>(rest).is_err() => {
                faults.push(format!(
                    "{instruction} should be a JSON list: a shell in between takes the signals"
                ));
            }
            _ => {}
        }
    }
    let user =
        lines.iter().rev().find(|(instruction, _)| *instruction == "USER").map(|(_, user)| user.trim());
    if user.is_none_or(|user| matches!(user, "root" | "0")) {
        faults.push("should end as a USER that is not root".to_owned());
    }
    faults
}
