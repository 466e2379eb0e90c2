//! `GET /api/v1/live`: what happens, as server-sent events.
//!
//! One task looks twice a second whether anything has changed, and only while somebody listens. Turns are not asked to tell: they count
//! their changes.

use std::time::Duration;

use latimer_protocol::status::{LiveReport, SCHEMA_VERSION, TurnReport, UsageLine, problems};

use super::{MAX_RUNNING, read};
use crate::clock::{self, Clocks};
use crate::server::health;
use crate::server::proxy::Proxy;
use crate::store::reader::Window;

/// How often it is looked whether there is something to tell.
const TICK: Duration = Duration::from_millis(500);
/// How often it is told although no turn changed: what rests is ready again, a file was changed.
const REFRESH: Duration = Duration::from_secs(5);
/// Turns that are over in one event.
const MAX_FINISHED: usize = 50;

/// Tells everyone who listens what happens, for ever.
pub(in crate::server) async fn publish(proxy: &Proxy) {
    let mut told = (u64::MAX, clock::now());
    loop {
        // Without listeners nothing wakes up.
        let joined = if proxy.feed.has_listeners() {
            tokio::time::timeout(TICK, proxy.feed.joined()).await.is_ok()
        } else {
            proxy.feed.joined().await;
            true
        };
        let (version, now) = (proxy.turns.running.version().get(), clock::now());
        let is_old = now.saturating_duration_since(told.1) >= REFRESH;
        if !joined && !is_old && version == told.0 {
            continue;
        }
        told = (version, now);
        let report = report(proxy).await;
        proxy.feed.send(&serde_json::to_string(&report).unwrap_or_default());
    }
}

async fn report(proxy: &Proxy) -> LiveReport {
    let at = Clocks::now();
    let health = health::health(proxy);
    let finished = proxy.turns.traces.reports();
    LiveReport {
        schema_version: SCHEMA_VERSION,
        pid: std::process::id(),
        now_ms: clock::unix_millis(),
        problems: problems(&health),
        status: health.status,
        running: proxy.turns.running.list(MAX_RUNNING).iter().map(TurnReport::headline).collect(),
        turns_open: health.turns_open,
        turns_total: health.turns_total,
        finished: finished.iter().take(MAX_FINISHED).map(|turn| turn.headline()).collect(),
        month: total(proxy, 30 * 24, at).await,
        day: total(proxy, 24, at).await,
        endpoints: health.endpoints,
        config: health.config,
        warnings: health.warnings,
    }
}

/// Everything of the last hours. A store that cannot be read is said in the log by the store itself.
async fn total(proxy: &Proxy, hours: u64, at: Clocks) -> UsageLine {
    if !proxy.store.reader().keeps_rows() {
        return UsageLine::default();
    }
    let since = at.unix.saturating_sub(hours * 3600);
    let window = Window { text: format!("live {hours}"), since, until: None, breaks_down: false };
    read(proxy, move |reader| reader.total(&window, at.now)).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::reply::ByteStream as _;
    use crate::server::live_feed::LiveStream;
    use crate::server::proxy::tests::proxy;

    async fn event(stream: &mut LiveStream) -> String {
        let bytes = std::future::poll_fn(|cx| stream.poll_bytes(cx)).await.expect("an event");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    /// The event that waits for a listener, if one does.
    async fn waiting(stream: &mut LiveStream) -> Option<bytes::Bytes> {
        let next = std::future::poll_fn(|cx| stream.poll_bytes(cx));
        let event = tokio::time::timeout(Duration::from_millis(1), next).await.ok().flatten();
        event.filter(|event| event.starts_with(b"event:"))
    }

    #[tokio::test(start_paused = true)]
    async fn five_pages_under_load_share_one_text_each_half_second_and_a_slow_one_holds_the_newest() {
        const ROUNDS: usize = 20;
        let proxy = proxy();
        let publisher = tokio::spawn({
            let proxy = Arc::clone(&proxy);
            async move { publish(&proxy).await }
        });
        tokio::task::yield_now().await;
        let mut pages: Vec<LiveStream> = (0..5).map(|_| proxy.feed.listen()).collect();
        let mut slow = proxy.feed.listen();
        let mut turns: Vec<_> = (0..400).map(|_| proxy.turns.begin()).collect();
        let mut told = [0_usize; 5];
        let mut texts = std::collections::BTreeSet::new();
        for _ in 0..ROUNDS {
            // Five hundred turns a second, each with a handful of changes.
            for _ in 0..250 {
                let open = proxy.turns.begin();
                open.running.begin_attempt("lab", "glm-5", "key-1");
                open.running.change(|report| report.asked = "a name as long as people make them".to_owned());
                drop(turns.remove(0));
                turns.push(open);
            }
            tokio::time::sleep(TICK).await;
            for (page, told) in pages.iter_mut().zip(&mut told) {
                if let Some(event) = waiting(page).await {
                    *told += 1;
                    // The text is the same memory for all of them, whatever their number.
                    texts.insert((event.as_ptr() as usize, event.len()));
                    assert!(event.len() < 128 << 10, "{} bytes", event.len());
                }
            }
        }
        // One a tick, one more for each who came.
        let most = ROUNDS + 7;
        assert!(told.iter().all(|told| (ROUNDS / 2..=most).contains(told)), "{told:?}");
        assert!(texts.len() <= most, "{} texts for {told:?} events", texts.len());
        let newest = waiting(&mut slow).await.expect("it may read at last");
        assert!(
            newest.len() < 128 << 10 && waiting(&mut slow).await.is_none(),
            "and nothing was kept for it"
        );
        publisher.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_is_told_at_once_and_of_each_change_and_that_somebody_is_there() {
        let proxy = proxy();
        let publisher = tokio::spawn({
            let proxy = Arc::clone(&proxy);
            async move { publish(&proxy).await }
        });
        tokio::task::yield_now().await;
        let mut stream = proxy.feed.listen();
        let first = event(&mut stream).await;
        assert!(first.starts_with("event: live\ndata: {") && first.contains("\"running\":[]"), "{first}");
        let open = proxy.turns.begin();
        let running = event(&mut stream).await;
        assert!(running.contains("\"id\":\"t1\"") && running.contains("\"turns_open\":1"), "{running}");
        drop(open);
        assert!(event(&mut stream).await.contains("\"running\":[]"));
        assert!(!stream.is_over());
        publisher.abort();
        let quiet = event(&mut stream).await;
        assert_eq!(quiet, ": still here\n\n", "nothing is told any more, and the connection is there");
    }
}
