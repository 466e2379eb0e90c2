//! What runs: the watchdog, the proxy, and who holds its port.

use std::net::TcpListener;

use latimer_protocol::status::{Health, store_problem};

use super::Examined;
use super::finding::{Finding, Fix, Group};
use crate::control_client::status_if_running;
use crate::{proxy_client, proxy_file};

const GROUP: Group = Group::Running;

/// The database that the nodes share, as the proxy sees it.
fn database(health: &Health) -> Option<Finding> {
    let store = health.store.as_ref()?;
    let problem = store_problem(store);
    Some(problem.map_or_else(
        || {
            Finding::fine(
                GROUP,
                "database",
                format!("the database {} answers, nodes: {}", store.database, store.nodes),
            )
        },
        |problem| {
            Finding::problem(
                GROUP,
                "database",
                format!("{}: {}", problem.who, problem.what),
                problem.next.replace('`', ""),
            )
        },
    ))
}

/// The watchdog and the proxy of this state directory.
pub(super) fn examine(examined: &Examined<'_>) -> Vec<Finding> {
    let Some(state_dir) = &examined.state_dir else { return Vec::new() };
    let mut findings = Vec::new();
    let is_watched = match status_if_running(state_dir) {
        Ok(Some(status)) => {
            findings.push(Finding::fine(
                GROUP,
                "watchdog",
                format!("the watchdog runs, process {}", status.pid),
            ));
            true
        }
        Ok(None) => false,
        Err(error) => {
            findings.push(Finding::problem(
                GROUP,
                "watchdog",
                format!("{error:#}"),
                "latimer down, then: latimer up",
            ));
            false
        }
    };
    let Ok(config) = examined.paths.configuration_or_default() else { return findings };
    match proxy_client::find(state_dir, &config) {
        Ok(Some(proxy)) => match proxy.health() {
            Some(health) => {
                let what = format!("the proxy answers at {}, process {}", proxy.url, health.pid);
                findings.push(Finding::fine(GROUP, "proxy", what));
                if health.version != env!("CARGO_PKG_VERSION") {
                    let what = format!(
                        "it is latimer {}, and this one is {}",
                        health.version,
                        env!("CARGO_PKG_VERSION")
                    );
                    findings.push(Finding::remark(
                        GROUP,
                        "other_version",
                        what,
                        "latimer down, then: latimer up",
                    ));
                }
                if let Some(refused) = &health.config.refused {
                    let what = refused.lines().next().unwrap_or("the file was refused").to_owned();
                    findings.push(Finding::problem(
                        GROUP,
                        "config_refused",
                        format!("it still uses an older configuration: {what}"),
                        "latimer check",
                    ));
                }
                findings.extend(database(&health));
                if !is_watched {
                    let what = "nobody watches it: it stays away when it ends";
                    findings.push(Finding::remark(GROUP, "unwatched", what, "latimer up"));
                }
            }
            None => findings.push(Finding::problem(
                GROUP,
                "proxy",
                format!("the proxy at {} does not tell how it is", proxy.url),
                "latimer down, then: latimer up",
            )),
        },
        Ok(None) => {
            findings.push(Finding::fine(
                GROUP,
                "proxy",
                "no proxy runs; `latimer launch` and `latimer up` start one",
            ));
            if let Some(url) = proxy_file::url(state_dir) {
                let file = proxy_file::path(state_dir);
                let what =
                    format!("a proxy that is gone says in `{}` that it answers at {url}", file.display());
                findings.push(
                    Finding::remark(GROUP, "stale_announcement", what, "remove the file")
                        .mended_by(Fix::Remove(file)),
                );
            }
            findings.extend(port(&config.server.listen));
        }
        Err(error) => findings.push(Finding::problem(
            GROUP,
            "port_taken",
            format!("{error:#}"),
            "`latimer launch` takes the next free port; `latimer serve --listen 127.0.0.1:0` any",
        )),
    }
    findings
}

/// A port that nobody answers at and that cannot be taken either.
fn port(address: &std::net::SocketAddr) -> Option<Finding> {
    let error = TcpListener::bind(address).err()?;
    let what = format!("{address} cannot be listened at: {error}");
    Some(Finding::problem(GROUP, "port", what, "set server.listen to another address"))
}
