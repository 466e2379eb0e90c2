//! `latimer status`: what runs, what waits, and one line for each thing that is not well.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::status::{
    Health, Problem, SCHEMA_VERSION, TurnPage, TurnReport, duration_text, problems,
};
use latimer_watchdog::run::status::WatchdogStatus;
use serde_json::{Value, json};

use crate::clock::unix_time;
use crate::configuration::{PathArgs, ReportArgs};
use crate::control_client::{status_if_running, status_lines};
use crate::exit::Exit;
use crate::proxy_client::{self, ProvenProxy};
use crate::terminal::{clear_screen, is_screen, print_json, print_json_line, print_rows};
use crate::turn_text::{headline, shown, waiting};

/// How often `--watch` looks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Turns under way that are listed.
const MAX_RUNNING: usize = 10;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer status           what runs, what waits, what is not well\n  latimer status --watch   the same, kept up to date until Ctrl-C\n  latimer status --json"
)]
pub(crate) struct OverviewArgs {
    /// Show it anew each second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn run(args: &OverviewArgs) -> anyhow::Result<ExitCode> {
    if !args.watch {
        let overview = Overview::of(&args.report.paths)?;
        if args.report.json {
            print_json(&overview.document())?;
        } else {
            print_rows(overview.lines()?)?;
        }
        return Ok(if overview.is_running() { ExitCode::SUCCESS } else { Exit::NotRunning.into() });
    }
    let redraws = is_screen() && !args.report.json;
    let mut last = Vec::new();
    loop {
        let overview = Overview::of(&args.report.paths)?;
        let lines =
            if args.report.json { vec![overview.document().to_string()] } else { overview.lines()? };
        if lines != last {
            if redraws {
                clear_screen()?;
            }
            if args.report.json {
                print_json_line(&overview.document())?;
            } else {
                print_rows(&lines)?;
            }
            last = lines;
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// What runs, in lines; `None` when nothing does.
///
/// # Errors
/// The state directory cannot be used.
pub(super) fn summary(paths: &PathArgs) -> anyhow::Result<Option<Vec<String>>> {
    let overview = Overview::of(paths)?;
    overview.is_running().then(|| overview.lines()).transpose()
}

/// What runs on a state directory, and how it is.
struct Overview {
    watchdog: Option<WatchdogStatus>,
    proxy: Option<RunningProxy>,
    problems: Vec<Problem>,
}

struct RunningProxy {
    url: String,
    health: Health,
    running: Vec<TurnReport>,
}

impl Overview {
    fn of(paths: &PathArgs) -> anyhow::Result<Self> {
        let state_dir = paths.state_dir()?;
        let watchdog = status_if_running(&state_dir)?;
        let file = paths.configuration().err().map(|error| Problem {
            who: "configuration".to_owned(),
            what: error.to_string().lines().take(2).collect::<Vec<_>>().join(" "),
            next: "`latimer check` lists every problem".to_owned(),
            ..Problem::default()
        });
        let found = proxy_client::find(&state_dir, &paths.configuration_or_default()?);
        let (proxy, stranger) = match found {
            Ok(proxy) => (proxy.as_ref().and_then(RunningProxy::of), None),
            Err(error) => (
                None,
                Some(Problem {
                    who: "proxy".to_owned(),
                    what: format!("{error:#}"),
                    next: "`latimer serve --listen 127.0.0.1:0` takes a free port".to_owned(),
                    ..Problem::default()
                }),
            ),
        };
        let known = proxy.iter().flat_map(|proxy| problems(&proxy.health));
        Ok(Self { problems: file.into_iter().chain(stranger).chain(known).collect(), watchdog, proxy })
    }

    fn is_running(&self) -> bool {
        self.watchdog.is_some() || self.proxy.is_some()
    }

    /// The watchdog's status as it always was, with what is known beside it; `null` when nothing runs.
    fn document(&self) -> Value {
        if !self.is_running() {
            return Value::Null;
        }
        let mut document = self.watchdog.as_ref().map_or_else(|| json!({}), |status| json!(status));
        if let Some(object) = document.as_object_mut() {
            object.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
            object.insert("watched".to_owned(), self.watchdog.is_some().into());
            object.insert("url".to_owned(), json!(self.proxy.as_ref().map(|proxy| &proxy.url)));
            object.insert("health".to_owned(), json!(self.proxy.as_ref().map(|proxy| &proxy.health)));
            object.insert("running".to_owned(), json!(self.proxy.as_ref().map(|proxy| &proxy.running)));
            object.insert("problems".to_owned(), json!(self.problems));
        }
        document
    }

    fn lines(&self) -> anyhow::Result<Vec<String>> {
        let now_ms = u64::try_from(unix_time().as_millis()).context("the clock")?;
        let mut lines: Vec<String> = Vec::new();
        match (&self.watchdog, &self.proxy) {
            (Some(status), _) => lines.extend(status_lines(status)),
            (None, Some(proxy)) => lines.push(format!(
                "{} on {}, process {}, up {}; nobody watches it: `latimer up` does",
                proxy.health.status,
                proxy.url,
                proxy.health.pid,
                duration_text(proxy.health.uptime_s)
            )),
            (None, None) => {
                lines.push("nothing runs; `latimer up` starts the watchdog and its proxy".to_owned());
            }
        }
        if let Some(proxy) = &self.proxy {
            lines.extend(proxy.lines(now_ms));
        }
        lines
            .extend(self.problems.iter().map(|problem| format!("✗ {}", shown(&problem.line(now_ms / 1000)))));
        Ok(lines)
    }
}

impl RunningProxy {
    fn of(proxy: &ProvenProxy) -> Option<Self> {
        let health = proxy.health()?;
        let page = proxy.get("/api/v1/turns?limit=1").filter(|(status, _)| *status == 200);
        let page: Option<TurnPage> = page.and_then(|(_, body)| serde_json::from_slice(&body).ok());
        Some(Self { url: proxy.url.clone(), health, running: page.unwrap_or_default().running })
    }

    /// The turns: how many there were, those under way, and what these wait for.
    fn lines(&self, now_ms: u64) -> Vec<String> {
        let Health { turns_open, turns_total, turns_failed, .. } = self.health;
        let mut lines = vec![format!(
            "turns: {turns_open} under way, {turns_total} since the start, {turns_failed} failed"
        )];
        for turn in self.running.iter().take(MAX_RUNNING) {
            lines.push(format!("  {}", headline(turn)));
            lines.extend(waiting(turn, now_ms).map(|text| format!("    {text}")));
        }
        if self.running.len() > MAX_RUNNING {
            lines.push(format!("  and {} more", self.running.len() - MAX_RUNNING));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::{ConfigState, EndpointState};

    use super::*;

    fn overview() -> Overview {
        let health: Health = serde_json::from_value(json!({
            "status": "ok", "version": "1", "pid": 7, "uptime_s": 61, "memory_bytes": 1, "turns_open": 1, "turns_total": 5,
            "turns_failed": 2, "config": ConfigState::default(), "endpoints": [EndpointState::default()],
        }))
        .expect("a health document");
        let turn = TurnReport { id: "t7".to_owned(), asked: "glm".to_owned(), ..TurnReport::default() };
        let proxy = RunningProxy { url: "http://127.0.0.1:1".to_owned(), health, running: vec![turn] };
        let problem = Problem {
            who: "lab".to_owned(),
            what: "no\u{7}".to_owned(),
            next: "wait".to_owned(),
            ..Problem::default()
        };
        Overview { watchdog: None, proxy: Some(proxy), problems: vec![problem] }
    }

    #[test]
    fn a_proxy_without_a_watchdog_is_running_too() {
        let overview = overview();
        assert!(overview.is_running());
        assert_eq!(
            overview.lines().expect("text"),
            [
                "ok on http://127.0.0.1:1, process 7, up 1 min; nobody watches it: `latimer up` does",
                "turns: 1 under way, 5 since the start, 2 failed",
                "  t7     glm  reading for 0.0 s",
                "✗ lab: no\\u{7}; wait",
            ]
        );
        let document = overview.document();
        assert_eq!((&document["watched"], &document["problems"][0]["who"]), (&json!(false), &json!("lab")));
    }

    #[test]
    fn nothing_is_null() {
        let nothing = Overview { watchdog: None, proxy: None, problems: Vec::new() };
        assert_eq!(nothing.document(), Value::Null);
        assert!(nothing.lines().expect("text")[0].starts_with("nothing runs; `latimer up`"));
    }
}
