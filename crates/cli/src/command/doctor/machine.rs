//! The surroundings: proxies of the network, the clock, the disk, the state directory, the service.

use std::path::Path;

use latimer_proxy::config::presets::KnownModels;

use super::Examined;
use super::finding::{Finding, Group};
use crate::clock::unix_seconds;
use crate::command::service;
use crate::environment::env;

const GROUP: Group = Group::Machine;
/// With less than this, writing soon fails, in bytes.
const LITTLE_SPACE: u64 = 64 << 20;
/// The start of 2026: a clock that stands before it is wrong.
const EARLIEST: u64 = 1_767_225_600;

/// Looks at each of them.
pub(super) fn examine(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(network_proxy(&|name| env(name)));
    findings.push(clock(unix_seconds()));
    match &examined.state_dir {
        Some(dir) => findings.extend(disk(dir)),
        None => {
            if let Err(error) = examined.paths.state_dir() {
                findings.push(Finding::problem(
                    GROUP,
                    "state_dir",
                    format!("{error:#}"),
                    "give --state-dir another place",
                ));
            }
        }
    }
    findings.extend(service());
    findings
}

/// A proxy of the network that would be asked for this machine, too: clients that are started by hand never reach latimer then.
fn network_proxy(env: &dyn Fn(&str) -> Option<String>) -> Option<Finding> {
    let value = |name: &str| env(name).filter(|value| !value.is_empty());
    let set = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"]
        .into_iter()
        .find(|name| value(name).is_some())?;
    let exceptions = value("NO_PROXY").or_else(|| value("no_proxy")).unwrap_or_default();
    let is_loopback = |entry: &str| matches!(entry.trim(), "*" | "127.0.0.1" | "localhost" | "127.0.0.0/8");
    if exceptions.split(',').any(is_loopback) {
        return Some(Finding::fine(
            GROUP,
            "network_proxy",
            format!("{set} is set, and NO_PROXY leaves this machine out"),
        ));
    }
    let what = format!(
        "{set} is set, and NO_PROXY does not leave this machine out: a client that you start by hand does not reach latimer"
    );
    Some(Finding::remark(
        GROUP,
        "network_proxy",
        what,
        "export NO_PROXY=127.0.0.1,localhost (a launch does so by itself)",
    ))
}

fn clock(now: u64) -> Finding {
    if now < EARLIEST {
        let what = "the clock is wrong: certificates and logins will be refused";
        return Finding::problem(GROUP, "clock", what, "set it: timedatectl set-ntp true");
    }
    Finding::fine(
        GROUP,
        "clock",
        format!("the clock is plausible; prices and windows are of {}", KnownModels::get().seen),
    )
}

fn disk(dir: &Path) -> Option<Finding> {
    let stats = rustix::fs::statvfs(dir).ok()?;
    let free = stats.f_bavail.saturating_mul(stats.f_frsize);
    let shown = format!("{} MB are free for `{}`", free >> 20, dir.display());
    Some(if free < LITTLE_SPACE {
        Finding::problem(GROUP, "disk", shown, "make room: usage, logs and learned things are kept there")
    } else {
        Finding::fine(GROUP, "disk", shown)
    })
}

fn service() -> Option<Finding> {
    let service::Installed { path, is_enduring } = service::installed()?;
    let what = format!("a service is installed: `{}`", path.display());
    Some(if is_enduring {
        Finding::fine(GROUP, "service", what)
    } else {
        let user = env("USER").unwrap_or_default();
        Finding::remark(
            GROUP,
            "service_lingering",
            format!("{what}; it ends when you log out"),
            format!("loginctl enable-linger {user}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn a_proxy_of_the_network_must_leave_this_machine_out() {
        let mark = |set: &[(&str, &str)]| {
            let env = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            network_proxy(&env).map(|finding| finding.mark)
        };
        assert_eq!(mark(&[]), None);
        assert_eq!(mark(&[("HTTPS_PROXY", "http://p:1")]), Some(Mark::Remark));
        assert_eq!(
            mark(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "a.test, localhost")]),
            Some(Mark::Fine)
        );
        assert_eq!(mark(&[("http_proxy", "http://p:1"), ("no_proxy", "a.test")]), Some(Mark::Remark));
    }

    #[test]
    fn a_clock_of_another_year_is_told() {
        assert_eq!(clock(86_400).mark, Mark::Problem);
        assert_eq!(clock(EARLIEST + 1).mark, Mark::Fine);
    }
}
