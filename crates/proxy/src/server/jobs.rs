//! What the proxy does by itself, each with its period: one table, begun by the clockwork.
//!
//! What only waits for an event (the shared database that is away, a login under way) or measures the runtime is no job.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::api::quota;
use super::proxy::Proxy;
use super::transport::Protection;
use crate::clock;
use crate::clockwork::job::JobWork;
use crate::clockwork::moment::Moment;
use crate::clockwork::runner::{FirstRun, JobPlan};
use crate::keys::keyring::EXCHANGE_INTERVAL;
use crate::lifecycle::phase::Phase;
use crate::store::engine::CleanUp;
use crate::text;

/// The most characters of one problem that are kept.
const MAX_PROBLEM: usize = 200;
/// How often what routing learned is written, if it changed.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked for a renewed certificate.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked for tokens that end soon: several times within the least time before their end at which they are refreshed.
const TOKEN_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked for schedules that are due: the least step is a second.
const SCHEDULES_INTERVAL: Duration = Duration::from_secs(1);
/// How often runs are deleted.
const RUNS_INTERVAL: Duration = Duration::from_secs(600);
/// How often providers are asked for what is left.
const QUOTA_INTERVAL: Duration = Duration::from_secs(600);
/// Without a turn for so long, nobody needs a fresh token or a newer quota.
const IDLE: Duration = Duration::from_secs(3600);

/// A job, and what it does.
type Row = (JobPlan, fn(Arc<Proxy>) -> JobWork);

/// Every job that any proxy has.
const JOBS: [Row; 4] = [
    (plan("memory-save", "what routing learned is written down", SAVE_INTERVAL), |proxy| {
        Box::pin(async move { save(&proxy) })
    }),
    (
        plan("key-exchange", "client keys and their use are exchanged with the store", EXCHANGE_INTERVAL),
        |proxy| Box::pin(async move { proxy.keys.exchange().await }),
    ),
    (plan("token-refresh", "tokens of accounts that end soon are refreshed", TOKEN_INTERVAL), |proxy| {
        Box::pin(async move { refresh_tokens(&proxy).await })
    }),
    (plan("quota-refresh", "providers are asked what is left of allowances", QUOTA_INTERVAL), |proxy| {
        Box::pin(async move { refresh_quotas(&proxy).await })
    }),
];

/// What only a proxy with a state directory has.
const AGENT_JOBS: [Row; 2] = [
    (plan("agent-schedules", "schedules that are due are begun", SCHEDULES_INTERVAL), |proxy| {
        Box::pin(async move { begin_due(&proxy).await })
    }),
    (
        plan("runs-cleanup", "runs and messages that have had their time are deleted", RUNS_INTERVAL),
        |proxy| Box::pin(async move { clean_up_runs(&proxy).await }),
    ),
];

/// What the store deletes.
const CLEAN_UPS: [(CleanUp, &str, &str); 2] = [
    (CleanUp::Answers, "answers-cleanup", "answers that have had their time are deleted"),
    (CleanUp::Reports, "reports-cleanup", "reports of turns that are too old or too many are deleted"),
];

const fn plan(name: &'static str, what: &'static str, period: Duration) -> JobPlan {
    JobPlan { name, what, period, first: FirstRun::AfterPeriod }
}

/// Adds every job of a proxy that begins to serve. None of them keeps it alive.
pub(super) fn add(proxy: &Arc<Proxy>, protection: &Arc<Protection>) {
    for (plan, work) in JOBS {
        add_one(proxy, plan, work);
    }
    if proxy.agents.are_kept() {
        for (plan, work) in AGENT_JOBS {
            add_one(proxy, plan, work);
        }
    }
    for (what, name, words) in CLEAN_UPS {
        let weak = Arc::downgrade(proxy);
        let plan = plan(name, words, proxy.store.clean_up_period(what));
        proxy.clockwork.add(plan, move || {
            let work = weak.upgrade().map(|proxy| proxy.store.clean_up(what));
            async move {
                match work {
                    Some(work) => work.await,
                    None => Ok(()),
                }
            }
        });
    }
    if protection.has_certificate() {
        let protection = Arc::clone(protection);
        let plan = plan("certificate", "a renewed certificate is taken up", CERTIFICATE_INTERVAL);
        proxy.clockwork.add(plan, move || {
            protection.refresh();
            std::future::ready(Ok(()))
        });
    }
}

fn add_one(proxy: &Arc<Proxy>, plan: JobPlan, work: fn(Arc<Proxy>) -> JobWork) {
    let weak = Arc::downgrade(proxy);
    proxy.clockwork.add(plan, move || match weak.upgrade() {
        Some(proxy) => work(proxy),
        None => Box::pin(std::future::ready(Ok(()))),
    });
}

#[expect(clippy::unnecessary_wraps, reason = "work of a job")]
fn save(proxy: &Proxy) -> Result<(), String> {
    // The process that took over writes it, and this one once more at its end.
    if matches!(proxy.phase(), Phase::Serving | Phase::Leaving) {
        proxy.memory.save();
    }
    Ok(())
}

/// A process that is about to end leaves what is due to the next one.
async fn begin_due(proxy: &Proxy) -> Result<(), String> {
    if proxy.phase() != Phase::Serving || !proxy.agents.is_in_use() {
        return Ok(());
    }
    let now = Moment::from_millis(clock::unix_millis());
    proxy.schedules.tick(now).await.map_err(|error| error.to_string())
}

async fn clean_up_runs(proxy: &Proxy) -> Result<(), String> {
    if !proxy.agents.is_in_use() {
        return Ok(());
    }
    proxy.agents.cleanup_expired(clock::unix_now()).await.map(drop).map_err(|error| error.to_string())
}

/// A proxy that nobody uses asks no provider for anything.
async fn refresh_tokens(proxy: &Proxy) -> Result<(), String> {
    if proxy.idle_for() > IDLE {
        return Ok(());
    }
    let set = proxy.endpoints();
    let entries: Vec<_> = set.endpoints().iter().flat_map(|runtime| runtime.pool.entries()).collect();
    let refreshed = entries.iter().map(async |entry| match entry.keep_fresh().await {
        Ok(()) => None,
        Err(failure) => Some(format!("{}: {}", entry.id, failure.message)),
    });
    all_well(join_all(refreshed).await.into_iter().flatten())
}

/// Asks only after turns.
async fn refresh_quotas(proxy: &Proxy) -> Result<(), String> {
    if proxy.turns.total() == 0 || proxy.idle_for() > QUOTA_INTERVAL {
        return Ok(());
    }
    all_well(quota::ask_all(proxy).await.into_iter())
}

/// What went wrong, in one sentence.
fn all_well(problems: impl Iterator<Item = String>) -> Result<(), String> {
    let problems: Vec<String> = problems.map(|problem| text::shown(&problem, MAX_PROBLEM)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use latimer_protocol::turn::SealKey;

    use super::*;
    use crate::accounts::Places;
    use crate::config::Exposure;
    use crate::config::parse::config_of;
    use crate::config::watch::Live;

    fn proxy(state_dir: Option<&Path>) -> Arc<Proxy> {
        let places = state_dir.map(|dir| Arc::new(Places::new(dir.to_owned(), None, |_| None)));
        let live = Arc::new(Live::new(config_of(""), None));
        let proxy = Proxy::new(live, None, SealKey::default(), places);
        add(&proxy, &Arc::new(Protection::load(&Exposure::Loopback).expect("nothing to load")));
        proxy
    }

    fn names(proxy: &Proxy) -> Vec<&'static str> {
        proxy.clockwork.report().iter().map(|job| job.name).collect()
    }

    #[tokio::test]
    async fn every_job_is_there_once_and_schedules_only_where_they_are_kept() {
        let everywhere = [
            "memory-save",
            "key-exchange",
            "token-refresh",
            "quota-refresh",
            "answers-cleanup",
            "reports-cleanup",
        ];
        let mut bare = names(&proxy(None));
        bare.sort_unstable();
        let mut wanted = everywhere.to_vec();
        wanted.sort_unstable();
        assert_eq!(bare, wanted);
        let dir = tempfile::tempdir().expect("a directory");
        let kept = names(&proxy(Some(dir.path())));
        assert!(
            everywhere.iter().chain(&["agent-schedules", "runs-cleanup"]).all(|name| kept.contains(name)),
            "{kept:?}"
        );
    }

    #[tokio::test]
    async fn who_has_no_schedules_gets_no_file_for_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let proxy = proxy(Some(dir.path()));
        assert_eq!(begin_due(&proxy).await, Ok(()));
        assert_eq!(clean_up_runs(&proxy).await, Ok(()));
        assert!(proxy.schedules.list().await.expect("none").is_empty());
        assert!(!dir.path().join("agents.db").exists());
    }

    #[tokio::test]
    async fn a_proxy_that_nobody_uses_asks_nobody_and_a_job_keeps_no_proxy() {
        let proxy = proxy(None);
        assert_eq!(refresh_tokens(&proxy).await, Ok(()));
        assert_eq!(refresh_quotas(&proxy).await, Ok(()));
        assert_eq!(save(&proxy), Ok(()));
        let cleaned = proxy.store.clean_up(CleanUp::Answers).await;
        assert_eq!(cleaned, Ok(()));
        let weak = Arc::downgrade(&proxy);
        drop(proxy);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn problems_are_one_sentence() {
        assert_eq!(all_well(std::iter::empty()), Ok(()));
        let problems = ["a: refused".to_owned(), "b".repeat(999)];
        let told = all_well(problems.into_iter()).expect_err("two problems");
        assert!(told.starts_with("a: refused; bbb") && told.len() < 300, "{told}");
    }
}
