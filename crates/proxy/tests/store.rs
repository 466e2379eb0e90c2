//! The store on real disks: two processes' worth of handles, restarts, and files that are not what they should be.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;

use latimer_protocol::turn::Usage;
use latimer_proxy::store::engine::CleanUp;
use latimer_proxy::store::usage::{GroupBy, UsageReport, UsageRow, report};
use latimer_proxy::store::{FILE, Store};

fn row(endpoint: &str, number: u64) -> UsageRow {
    UsageRow {
        at: 1_800_000_000 + number,
        turn: format!("t{number}"),
        client: "codex".into(),
        endpoint: endpoint.into(),
        account: "key-1".into(),
        model: "m".into(),
        finish: "stop".into(),
        failure: number.is_multiple_of(10).then(|| "overloaded".to_owned()),
        usage: Usage { input: Some(100), cached: Some(40), output: Some(10), ..Usage::default() },
        ms: number,
        first_ms: Some(1),
        cost_usd: Some(0.5),
        ..UsageRow::default()
    }
}

#[tokio::test]
async fn rows_and_answers_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    for number in 1..=100 {
        store.record(row("a", number));
    }
    store.record(row("b", 1));
    store.keep_response("resp_1", b"[1]".to_vec(), b"{}".to_vec(), 1000);
    store.flush();
    let path = dir.path().join(FILE);
    assert_eq!(std::fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o600);
    let UsageReport { lines, total } =
        report(&path, GroupBy::Endpoint, 0).expect("readable beside the writer");
    assert_eq!((total.turns, total.p50_ms), (101, 50), "of all turns, not of the groups");
    assert_eq!((lines[0].name.as_str(), lines[0].turns, lines[0].failed), ("a", 100, 10));
    assert_eq!((lines[0].input, lines[0].cached, lines[0].output), (10_000, 4000, 1000));
    assert_eq!((lines[0].p50_ms, lines[0].p95_ms), (50, 95));
    assert!((lines[0].cost_usd.expect("a cost") - 50.0).abs() < 1e-9);
    for by in
        [GroupBy::Account, GroupBy::Model, GroupBy::Day, GroupBy::Client, GroupBy::Turn, GroupBy::Failure]
    {
        assert!(!report(&path, by, 0).expect("a report").lines.is_empty(), "{by:?}");
    }
    assert_eq!(report(&path, GroupBy::Endpoint, 1_800_000_100).expect("a report").lines.len(), 1);

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    store.keep_response("resp_2", b"[2]".to_vec(), b"{}".to_vec(), now);
    store.flush();
    let again = Store::open(Some(dir.path()));
    assert_eq!(again.response("resp_2", now).await.expect("found").items, b"[2]");
    assert!(again.response("resp_2", now + 601).await.is_none(), "ten minutes");
    assert!(again.response("resp_1", now).await.is_none());
    again.delete_response("resp_2");
    assert!(again.response("resp_2", now).await.is_none());
}

#[tokio::test]
async fn two_writers_share_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let stores = [Store::open(Some(dir.path())), Store::open(Some(dir.path()))];
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| (0..500).for_each(|number| store.record(row("a", number))));
        }
    });
    // A flush waits some seconds at most, which a busy disk may exceed: then it is asked again.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        stores.iter().for_each(Store::flush);
        let lines = report(&dir.path().join(FILE), GroupBy::Endpoint, 0).expect("a report").lines;
        let written = lines.first().map_or(0, |line| line.turns);
        let lost = stores.iter().map(Store::lost_rows).sum::<u64>();
        if written + lost == 1000 {
            break;
        }
        assert!(written + lost < 1000 && std::time::Instant::now() < deadline, "{written} and {lost} lost");
    }
}

#[tokio::test]
async fn broken_and_newer_files_are_set_aside() {
    for (name, bytes) in
        [("noise", vec![7u8; 5000]), ("zeros-after-a-head", b"SQLite format 3\0garbage".repeat(300))]
    {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(FILE), &bytes).expect("written");
        let store = Store::open(Some(dir.path()));
        store.record(row("a", 1));
        store.flush();
        assert_eq!(
            report(&dir.path().join(FILE), GroupBy::Endpoint, 0).expect(name).lines[0].turns,
            1,
            "{name}"
        );
        let aside = std::fs::read_dir(dir.path())
            .expect("listed")
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().to_string_lossy().contains("corrupt"))
            .expect(name);
        assert_eq!(std::fs::read(aside.path()).expect("kept"), bytes, "{name}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let newer = rusqlite::Connection::open(dir.path().join(FILE)).expect("made");
    newer.pragma_update(None, "user_version", 99).expect("set");
    newer.execute_batch("CREATE TABLE novel (x)").expect("made");
    drop(newer);
    let store = Store::open(Some(dir.path()));
    store.record(row("a", 1));
    store.flush();
    assert_eq!(report(&dir.path().join(FILE), GroupBy::Endpoint, 0).expect("a report").lines[0].turns, 1);
}

#[tokio::test]
async fn without_a_usable_directory_turns_go_on() {
    let store = Store::open(Some(std::path::Path::new("/proc/nowhere")));
    store.record(row("a", 1));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    store.keep_response("resp_1", b"[1]".to_vec(), b"{}".to_vec(), now);
    store.flush();
    assert_eq!(store.response("resp_1", now).await.expect("at hand").items, b"[1]");
    assert!(store.response("resp_9", now).await.is_none());
}

#[tokio::test]
async fn a_kept_answer_ends_with_its_time_when_the_clockwork_asks() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    // A moved clock: almost ten minutes have gone by.
    store.keep_response("resp_1", "canary ".repeat(2000).into_bytes(), b"{}".to_vec(), now - 598);
    store.flush();
    let is_on_disk = || {
        let files = std::fs::read_dir(dir.path()).expect("listed").filter_map(Result::ok);
        files.into_iter().any(|file| {
            String::from_utf8_lossy(&std::fs::read(file.path()).unwrap_or_default()).contains("canary canary")
        })
    };
    assert!(is_on_disk());
    let begun = std::time::Instant::now();
    while is_on_disk() {
        assert!(begun.elapsed().as_secs() < 120, "it is still there");
        store.clean_up(CleanUp::Answers).await.expect("cleaned");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[tokio::test]
async fn a_locked_file_answers_at_once_and_forgets_nothing_it_was_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    store.keep_response("resp_1", b"[1]".to_vec(), b"{}".to_vec(), now);
    store.flush();
    let locker = rusqlite::Connection::open(dir.path().join(FILE)).expect("opened");
    locker.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let begun = std::time::Instant::now();
    assert!(store.response("resp_unknown", now).await.is_none());
    store.delete_response("resp_1");
    assert!(store.response("resp_1", now).await.is_none());
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    // Longer than the writer waits for the lock: what it was told to delete is owed.
    std::thread::sleep(std::time::Duration::from_secs(6));
    drop(locker);
    let begun = std::time::Instant::now();
    loop {
        store.flush();
        let again = Store::open(Some(dir.path()));
        if again.response("resp_1", now).await.is_none() {
            break;
        }
        assert!(begun.elapsed().as_secs() < 120, "it is still there");
    }
}

#[tokio::test]
async fn the_store_comes_back_when_the_disk_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(FILE);
    std::fs::create_dir(&path).expect("made");
    let store = Store::open(Some(dir.path()));
    store.record(row("a", 1));
    store.flush();
    assert_eq!(store.lost_rows(), 1);
    std::fs::remove_dir(&path).expect("removed");
    let begun = std::time::Instant::now();
    while !path.is_file() || report(&path, GroupBy::Endpoint, 0).map_or(0, |report| report.total.turns) == 0 {
        assert!(begun.elapsed().as_secs() < 120, "it stayed away");
        store.record(row("a", 2));
        store.flush();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
