//! What is learned, shown, kept and forgotten.

use super::*;
use crate::clock;

fn at(now: Instant, unix: u64) -> Clocks {
    Clocks { now, unix }
}

fn lacks(limitation: Limitation) -> Lesson {
    Lesson::Whole(limitation)
}

fn limitations(store: &LimitationStore, target: &str, at: Clocks) -> Limitations {
    store.known(target, at).0
}

#[test]
fn limitations_hold_for_a_day_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = clock::now();
    let store = LimitationStore::new(Some(dir.path()), now);
    assert!(store.learn("a/m", &lacks(Limitation::NoImages), "no eyes", at(now, 1_000_000)));
    assert!(!store.learn("a/m", &lacks(Limitation::NoImages), "no eyes", at(now, 1_000_000)));
    let cap = Lesson::Field { path: "max_output_tokens".to_owned(), rule: FieldRule::at_most(8192) };
    assert!(store.learn("a/m", &cap, "too many", at(now, 1_000_000)));
    let again = LimitationStore::new(Some(dir.path()), now);
    let (known, rules) = again.known("a/m", at(now, 1_000_100));
    assert!(known.has(Limitation::NoImages) && rules.max_output() == Some(8192));
    assert!(limitations(&again, "b/m", at(now, 1_000_100)).is_empty());
    let (known, rules) = again.known("a/m", at(now, 1_000_000 + LIFETIME.as_secs()));
    assert!(known.is_empty() && rules.is_empty());
}

#[test]
fn what_was_learned_is_shown_with_its_words_and_its_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = clock::now();
    let store = LimitationStore::new(Some(dir.path()), now);
    store.learn("a/m", &lacks(Limitation::NoTools), "it has none", at(now, 10));
    let rule = FieldRule::OneOf(vec!["low".to_owned(), "high".to_owned()]);
    store.learn("a/n/x", &Lesson::Field { path: "reasoning_effort".to_owned(), rule }, "one of", at(now, 20));
    let file = read(&dir.path().join(FILE)).expect("a file");
    let shown: Vec<String> = file
        .of_endpoint("a")
        .iter()
        .map(|lesson| {
            format!("{} {} {}: {} ({})", lesson.at, lesson.model, lesson.code, lesson.meaning, lesson.words)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "10 m no_tools: tools are left out (it has none)",
            "20 n/x reasoning_effort: `reasoning_effort` is one of low, high (one of)"
        ]
    );
    let older = r#"{"lessons":{"a/m":{"no_images":7}}}"#;
    let file: LimitationsFile = serde_json::from_str(older).expect("the file of an older release");
    assert_eq!(file.of_endpoint("a")[0].words, "");
}

#[test]
fn both_ends_of_a_range_are_kept() {
    let store = LimitationStore::new(None, clock::now());
    let now = at(clock::now(), 10);
    let cap =
        |min, max| Lesson::Field { path: "max_output_tokens".to_owned(), rule: FieldRule::between(min, max) };
    store.learn("a/m", &cap(Some(16), None), "", now);
    store.learn("a/m", &cap(None, Some(4096)), "", now);
    assert_eq!(
        store.known("a/m", now).1.get("max_output_tokens"),
        Some(&FieldRule::between(Some(16), Some(4096)))
    );
}

#[test]
fn one_lesson_one_endpoint_or_all_are_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = clock::now();
    let store = LimitationStore::new(Some(dir.path()), now);
    for target in ["a/m", "a/n", "ab/m"] {
        store.learn(target, &lacks(Limitation::NoImages), "", at(now, 10));
    }
    store.learn("a/m", &lacks(Limitation::NoTools), "", at(now, 10));
    assert_eq!(store.forget(Some("a"), Some("no_tools"), now).expect("written"), 1);
    assert!(limitations(&store, "a/m", at(now, 10)).has(Limitation::NoImages), "the others stay");
    assert_eq!(store.forget(Some("a"), None, now).expect("written"), 2);
    let again = LimitationStore::new(Some(dir.path()), now);
    assert!(limitations(&again, "a/m", at(now, 10)).is_empty());
    assert!(limitations(&again, "ab/m", at(now, 10)).has(Limitation::NoImages));
    assert_eq!(store.forget(None, None, now).expect("written"), 1);
    assert_eq!(store.forget(None, None, now).expect("nothing to write"), 0);
}

#[test]
fn deleting_the_file_is_forgetting_and_noise_in_it_is_set_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = clock::now();
    let store = LimitationStore::new(Some(dir.path()), now);
    store.learn("a/m", &lacks(Limitation::NoStrict), "", at(now, 10));
    std::fs::remove_file(dir.path().join(FILE)).expect("removed");
    assert!(limitations(&store, "a/m", at(now + CHECK_INTERVAL, 10)).is_empty());
    std::fs::write(dir.path().join(FILE), "\u{0}noise").expect("written");
    assert!(limitations(&store, "a/m", at(now + 3 * CHECK_INTERVAL, 10)).is_empty());
    let aside = std::fs::read(dir.path().join("learned.json.corrupt")).expect("kept");
    assert_eq!(aside, b"\0noise");
    assert!(
        store.learn("a/m", &lacks(Limitation::NoStrict), "", at(now + 4 * CHECK_INTERVAL, 10)),
        "and it goes on"
    );
}
