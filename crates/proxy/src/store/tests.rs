//! The store in a file: what another process reads of it, and may do to it. What holds for every engine is in `engine_tests`.

#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
#[cfg(target_os = "linux")]
use std::path::Path;

use latimer_protocol::status::{AttemptReport, TurnReport};

#[cfg(target_os = "linux")]
use super::database::Database;
#[cfg(target_os = "linux")]
use super::database_files::{make_private, with_tail};
use super::engine_tests::{failed, month, row};
use super::reader::{page_of_file, turn_of_file};
use super::turn_rows::TurnQuery;
use super::usage::{GroupBy, UsageLine, report};
use super::*;
use crate::clock;

fn ids(page: &latimer_protocol::status::TurnPage) -> Vec<&str> {
    page.data.iter().map(|turn| turn.id.as_str()).collect()
}

fn limit(limit: usize) -> TurnQuery {
    TurnQuery { limit, ..TurnQuery::default() }
}

#[test]
fn a_row_can_be_read_at_once_and_counts_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    store.flush();
    let now = clock::now();
    for number in 1..=200 {
        store.record(row(number, "glm"));
        let total = store.reader().total(&month(), now).expect("read");
        assert_eq!(total.turns, number, "neither behind nor twice");
        assert_eq!(store.reader().page(&limit(1)).expect("read").data[0].id, format!("t{number}"));
    }
    store.flush();
    assert_eq!(store.reader().total(&month(), now).expect("read").turns, 200);
    let of_file = report(&dir.path().join(FILE), GroupBy::Model, 0).expect("read");
    assert_eq!(of_file, store.reader().usage(GroupBy::Model, &month(), now).expect("read"));
}

#[test]
fn a_turn_is_explained_by_another_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    let attempts = vec![AttemptReport { endpoint: "lab".to_owned(), ..AttemptReport::default() }; 2];
    let whole = TurnReport { id: "t1".to_owned(), attempts, ..TurnReport::default() };
    store.record(UsageRow { report: Some(Arc::new(whole)), ..failed(1) });
    store.record(failed(2));
    store.flush();
    let known = store.reader().turn("t1").expect("read").expect("known");
    assert_eq!(known.attempts.len(), 2);
    let path = dir.path().join(FILE);
    assert_eq!(turn_of_file(&path, "t1").expect("read").expect("kept").attempts.len(), 2);
    let from_row = turn_of_file(&path, "t2").expect("read").expect("kept");
    assert_eq!(from_row.failure.map(|failure| failure.message).as_deref(), Some("Slow down, 100% busy"));
    assert_eq!(turn_of_file(&path, "t3").expect("read"), None);
    assert_eq!(ids(&page_of_file(&path, &limit(9)).expect("read")), ["t2", "t1"]);
}

#[test]
fn days_and_hours_have_names_and_stand_in_their_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(dir.path()));
    for days in [3, 1, 2, 1] {
        store.record(UsageRow { at: 1_795_219_200 - days * 86_400, ..row(days, "glm") });
    }
    store.flush();
    let path = dir.path().join(FILE);
    let report = |by| report(&path, by, 0).expect("read").lines;
    let (days, hours) = (report(GroupBy::Day), report(GroupBy::Hour));
    assert_eq!((days.len(), hours.len()), (3, 3));
    assert!(days.is_sorted_by_key(|line| line.name.clone()), "{days:?}");
    assert_eq!(days[2].turns, 2);
    let (weeks, months) = (report(GroupBy::Week), report(GroupBy::Month));
    let turns = |lines: &[UsageLine]| lines.iter().map(|line| line.turns).sum::<u64>();
    assert_eq!((turns(&weeks), turns(&months)), (4, 4));
    assert!(
        days[0].name.starts_with(&months[0].name) && weeks[0].name <= days[0].name,
        "{weeks:?} {months:?}"
    );
    assert!(hours[0].name.ends_with(":00") && hours[0].name.starts_with(&days[0].name), "{hours:?}");
}

#[test]
fn rows_of_a_store_that_nobody_can_write_are_not_waited_for() {
    let store = FileStore::open(None);
    store.record(row(1, "glm"));
    store.flush();
    assert!(store.waits_for_nothing());
    assert!(store.page(&limit(1)).is_err() && !store.keeps_rows());
}

#[test]
fn a_file_that_was_made_a_moment_ago_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("latimer.db");
    std::fs::write(&path, "").expect("made");
    let asked = path.clone();
    let reader = std::thread::spawn(move || report(&asked, GroupBy::Model, 0));
    let made = super::database::Database::open(&path).expect("opened");
    let report = reader.join().expect("ended").expect("no table is missed");
    assert!(report.lines.is_empty());
    drop(made);
}

/// How many locks somebody holds on a file.
#[cfg(target_os = "linux")]
fn locks(path: &Path) -> usize {
    let place =
        format!(":{} ", std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("there")));
    let all = std::fs::read_to_string("/proc/locks").expect("listed");
    all.lines().filter(|line| line.contains(&place)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_connection_takes_no_lock_from_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("latimer.db");
    let first = Database::open(&path).expect("made");
    let index = with_tail(&path, "-shm");
    let before = locks(&index);
    assert!(before > 0, "a connection holds a lock as long as it is open");
    for mode in [0o600, 0o644] {
        std::fs::set_permissions(&index, PermissionsExt::from_mode(mode)).expect("set");
        make_private(&path).expect("looked at");
        assert_eq!(locks(&index), before, "{mode:o}");
        assert_eq!(std::fs::metadata(&index).expect("there").permissions().mode() & 0o777, 0o600);
    }
    drop(first);
}
