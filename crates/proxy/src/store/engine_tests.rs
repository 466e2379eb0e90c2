//! One suite for every engine: what a store promises holds in a file and in a database of many nodes.

use latimer_protocol::status::{AttemptReport, TurnPage, TurnReport};
use latimer_protocol::turn::Usage;

use super::reader::Window;
use super::turn_rows::TurnQuery;
use super::usage::{GroupBy, UsageRow};
use super::*;
use crate::clock;
use crate::config::StoreSettings;
use crate::config::parse::load;

#[path = "../../../cli/tests/support/postgres.rs"]
pub(super) mod server;

/// A store that is open, and what it stands on.
pub(super) struct Opened {
    pub(super) name: &'static str,
    pub(super) store: Store,
    _dir: tempfile::TempDir,
}

/// The settings that this address makes.
pub(super) fn settings(url: &str) -> crate::config::SharedStore {
    let text = format!("[store]\nurl = \"{url}\"\n");
    let parsed = load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into())).expect("read");
    match parsed.config.store {
        StoreSettings::Shared(settings) => *settings,
        StoreSettings::File => panic!("no shared store"),
    }
}

/// A node on this database.
pub(super) fn node(url: &str, name: &str) -> Opened {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes = PostgresStore::open(
        &settings(url),
        dir.path(),
        name,
        Some(&latimer_protocol::secret::Secret::new("a token of all nodes")),
    )
    .expect("opened");
    nodes.wait_for_start().expect("the database is there");
    Opened { name: "PostgreSQL", store: Store::shared(nodes), _dir: dir }
}

/// A new store of each engine.
fn engines() -> Vec<Opened> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = Opened { name: "SQLite", store: Store::open(Some(dir.path())), _dir: dir };
    file.store.flush();
    std::iter::once(file).chain(server::database().map(|url| node(&url, "node-1"))).collect()
}

/// A turn that ended well.
pub(super) fn row(number: u64, model: &str) -> UsageRow {
    UsageRow {
        at: clock::unix_now(),
        turn: format!("t{number}"),
        client: "codex".to_owned(),
        endpoint: "lab".to_owned(),
        model: model.to_owned(),
        finish: "stop".to_owned(),
        node: Some("node-7".to_owned()),
        usage: Usage { input: Some(10), output: Some(number), ..Usage::default() },
        ms: number,
        ..UsageRow::default()
    }
}

/// One that did not.
pub(super) fn failed(number: u64) -> UsageRow {
    UsageRow {
        failure: Some("rate_limited".to_owned()),
        message: Some("Slow down, 100% busy".to_owned()),
        ..row(number, "qwen")
    }
}

/// The last thirty days.
pub(super) fn month() -> Window {
    Window { text: "30d".to_owned(), since: clock::unix_now() - 30 * 86_400, until: None, breaks_down: false }
}

fn ids(page: &TurnPage) -> Vec<&str> {
    page.data.iter().map(|turn| turn.id.as_str()).collect()
}

fn limit(limit: usize) -> TurnQuery {
    TurnQuery { limit, ..TurnQuery::default() }
}

#[test]
fn a_row_can_be_read_at_once_and_counts_once() {
    for Opened { name, store, .. } in &engines() {
        let now = clock::now();
        for number in 1..=100 {
            store.record(row(number, "glm"));
            let total = store.reader().total(&month(), now).expect("read");
            assert_eq!(total.turns, number, "{name}: neither behind nor twice");
            assert_eq!(
                store.reader().page(&limit(1)).expect("read").data[0].id,
                format!("t{number}"),
                "{name}"
            );
        }
        store.flush();
        assert_eq!(store.reader().total(&month(), now).expect("read").turns, 100, "{name}");
        assert_eq!(store.lost_rows(), 0, "{name}");
        assert_eq!(store.waiting_rows(), WaitingRows::default(), "{name}: everything is written");
    }
}

#[test]
fn pages_follow_each_other_and_filters_reach_all_rows() {
    for Opened { name, store, .. } in &engines() {
        for number in 1..=25 {
            store.record(if number == 3 { failed(number) } else { row(number, "glm") });
        }
        store.flush();
        let reader = store.reader();
        let first = reader.page(&limit(10)).expect("read");
        assert_eq!((ids(&first)[0], ids(&first)[9]), ("t25", "t16"), "{name}");
        let next = |page: &TurnPage| TurnQuery { before: page.next, ..limit(10) };
        let second = reader.page(&next(&first)).expect("read");
        let last = reader.page(&next(&second)).expect("read");
        assert_eq!(
            (ids(&second)[0], ids(&last), last.next),
            ("t15", vec!["t5", "t4", "t3", "t2", "t1"], None),
            "{name}"
        );
        for filter in ["slow", "RATE_LIMITED", "100% qwen", "lab/qwen"] {
            let found = reader.page(&TurnQuery { filter: filter.to_owned(), ..limit(5) }).expect("read");
            assert_eq!(ids(&found), ["t3"], "{name}: {filter}");
        }
        let none = TurnQuery { filter: "100%0".to_owned(), ..limit(5) };
        assert!(reader.page(&none).expect("read").data.is_empty(), "{name}: a sign of LIKE is a sign");
        assert_eq!(
            ids(&reader.page(&TurnQuery { errors: true, ..limit(5) }).expect("read")),
            ["t3"],
            "{name}"
        );
        let newer = TurnQuery { after: Some(first.latest - 2), ..limit(5) };
        assert_eq!(ids(&reader.page(&newer).expect("read")), ["t25", "t24"], "{name}");
    }
}

#[test]
fn every_report_is_the_same_in_every_engine() {
    let engines = engines();
    let now = clock::unix_now();
    let mut reports = Vec::new();
    for Opened { store, .. } in &engines {
        for number in 1..=40u64 {
            let priced = UsageRow {
                at: now - number * 3600 * 7,
                cost_usd: (number % 3 != 0).then_some(0.25),
                session: (number % 2 == 0).then(|| format!("s{}", number % 5)),
                first_ms: (number % 4 != 0).then_some(number / 2),
                retries: 1,
                client: format!("client-{}", number % 3),
                project: (number % 4 == 0).then(|| format!("project-{}", number % 8)),
                key: (number % 5 == 0).then(|| "anna".to_owned()),
                usage: Usage {
                    input: Some(number),
                    cached: Some(number / 2),
                    output: None,
                    ..Usage::default()
                },
                ..row(number, ["glm", "qwen"][usize::from(number % 7 == 0)])
            };
            store.record(if number % 11 == 0 {
                UsageRow { failure: Some("timeout".to_owned()), ..priced }
            } else {
                priced
            });
        }
        store.flush();
        let all = GroupBy::NAMES.map(|(_, by)| {
            let window = Window { breaks_down: true, ..month() };
            let mut report = store.reader().usage(by, &window, clock::now()).expect("read");
            assert!(report.lines.iter().all(|line| !line.parts.is_empty()), "{by:?}: {report:?}");
            let plain = store.reader().usage(by, &month(), clock::now()).expect("read");
            assert!(plain.lines.iter().all(|line| line.parts.is_empty()), "{by:?}: {plain:?}");
            if !by.is_in_time() {
                report.lines.sort_by(|one, other| one.name.cmp(&other.name));
            }
            report
        });
        reports.push(all);
    }
    assert_eq!(reports[0][0].total.turns, 40);
    for (other, engine) in reports.iter().zip(&engines).skip(1) {
        for ((report, wanted), (by, _)) in other.iter().zip(&reports[0]).zip(GroupBy::NAMES) {
            assert_eq!(report, wanted, "{}: {by}", engine.name);
        }
    }
}

#[test]
fn everything_that_is_kept_of_a_turn_can_be_had() {
    for Opened { name, store, .. } in &engines() {
        let attempts = vec![AttemptReport { endpoint: "lab".to_owned(), ..AttemptReport::default() }; 2];
        let whole = TurnReport { id: "t1".to_owned(), attempts, ..TurnReport::default() };
        store.record(UsageRow { report: Some(Arc::new(whole)), ..failed(1) });
        store.record(UsageRow { client: "with a NUL \0 in it".to_owned(), ..failed(2) });
        assert_eq!(
            store.reader().turn("t1").expect("read").expect("known").attempts.len(),
            2,
            "{name}: at once"
        );
        store.flush();
        assert_eq!(store.reader().turn("t1").expect("read").expect("known").attempts.len(), 2, "{name}");
        let from_row = store.reader().turn("t2").expect("read").expect("kept");
        assert_eq!(
            from_row.failure.map(|failure| failure.message).as_deref(),
            Some("Slow down, 100% busy"),
            "{name}"
        );
        assert_eq!(store.reader().turn("t3").expect("read"), None, "{name}");
        assert_eq!(
            (ids(&store.reader().page(&limit(9)).expect("read")), store.lost_rows()),
            (vec!["t2", "t1"], 0),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_found_replaced_and_forgotten() {
    for Opened { name, store, .. } in &engines() {
        let now = clock::unix_now();
        store.keep_response("r", b"[1]".to_vec(), b"{}".to_vec(), now).await;
        store.keep_response("r", b"[2]".to_vec(), b"{}".to_vec(), now).await;
        let found = store.response("r", now).await.expect("kept");
        assert_eq!((found.items.as_slice(), found.response.as_slice()), (&b"[2]"[..], &b"{}"[..]), "{name}");
        assert!(store.response("other", now).await.is_none(), "{name}");
        assert!(store.response("r", now + 601).await.is_none(), "{name}: ten minutes");
        store.delete_response("r").await;
        assert!(store.response("r", now).await.is_none(), "{name}");
    }
}
