//! `latimer agents`: the endpoints that are agents, their processes, and what waits.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Agents, escaped, text};
use crate::terminal::{print_line, print_lines};

/// How long the processes of an agent may take to end.
const RESTART_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run(agents: &Agents) -> anyhow::Result<()> {
    let document = agents.get("pools")?;
    if agents.shows_json(&document)? {
        return Ok(());
    }
    print_lines(lines(&document))
}

pub(super) fn restart(agents: &Agents, endpoint: &str) -> anyhow::Result<()> {
    let path = format!("pools/{}/restart", escaped(endpoint));
    let answer = agents.post_within(&path, &json!({}), RESTART_TIMEOUT)?;
    if !agents.shows_json(&answer)? {
        print_line(&format!("the processes of `{endpoint}` are ended; the next turn starts new ones"))?;
    }
    Ok(())
}

fn lines(document: &Value) -> Vec<String> {
    let none = Vec::new();
    let pools = document["data"].as_array().unwrap_or(&none);
    let mut lines = Vec::new();
    for pool in pools {
        let threads = match pool["threads"].as_u64() {
            Some(threads) => format!(", {threads} conversation(s) kept"),
            None => String::new(),
        };
        lines.push(format!(
            "{}  {}: {} of {} turn(s) run, {} wait{threads}",
            text(pool, "endpoint"),
            text(pool, "protocol"),
            pool["running"],
            pool["max_turns"],
            pool["waiting"],
        ));
        for process in pool["processes"].as_array().unwrap_or(&none) {
            lines.push(process_line(process));
        }
    }
    if pools.is_empty() {
        lines.push("no endpoint of the configuration is an agent; profiles may name any model".to_owned());
    }
    let runs = &document["runs"];
    lines.push(format!(
        "{} profile(s), {} run(s) at work, {} queued",
        document["profiles"], runs["running"], runs["queued"]
    ));
    for inbox in document["inboxes"].as_array().unwrap_or(&none) {
        lines.push(format!("  {} unread message(s) for {}", inbox["unread"], text(inbox, "to")));
    }
    lines
}

fn process_line(process: &Value) -> String {
    let mut line = match process["pid"].as_u64() {
        Some(pid) => format!("  process {pid}"),
        None => "  no process".to_owned(),
    };
    if let Some(running) = process["running"].as_u64() {
        let _ = write!(line, ", {running} turn(s)");
    }
    if let Some(starts) = process["starts"].as_u64() {
        let _ = write!(line, ", started {starts} time(s)");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_a_line_and_every_process_one() {
        let document = json!({
            "data": [{ "endpoint": "codex", "protocol": "codex-app-server", "running": 1, "max_turns": 12, "waiting": 0, "threads": 3,
                "processes": [{ "pid": 71, "starts": 2, "running": 1 }, { "pid": null, "starts": 0, "running": 0 }] }],
            "runs": { "queued": 2, "running": 1 }, "profiles": 4, "inboxes": [{ "to": "lab", "unread": 7 }],
        });
        assert_eq!(
            lines(&document),
            [
                "codex  codex-app-server: 1 of 12 turn(s) run, 0 wait, 3 conversation(s) kept",
                "  process 71, 1 turn(s), started 2 time(s)",
                "  no process, 0 turn(s), started 0 time(s)",
                "4 profile(s), 1 run(s) at work, 2 queued",
                "  7 unread message(s) for lab",
            ]
        );
    }
}
