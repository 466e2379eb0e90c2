//! What holds for every engine of [`AgentStore`].

use std::sync::Arc;

use super::*;
use crate::agents::message::{MessageState, NewMessage};
use crate::agents::names::RunId;
use crate::agents::profile::Cleanup;
use crate::agents::profile::tests::profile;
use crate::agents::run::{AgentRun, RunError, RunMode, RunOutcome, RunStatus, RunUsage};
use crate::agents::store::{
    EndedRun, MessageQuery, MessageStore as _, ProfileStore as _, PushedInput, RunOwner, RunQuery,
    RunStore as _,
};

fn database() -> (tempfile::TempDir, AgentDatabase) {
    let dir = tempfile::tempdir().expect("a directory");
    let database = AgentDatabase::open(&dir.path().join(FILE)).expect("opened");
    (dir, database)
}

fn run(number: u64) -> AgentRun {
    AgentRun {
        id: RunId::new(number),
        profile: "lab".to_owned(),
        status: RunStatus::Queued,
        mode: RunMode::Detached,
        input: format!("input {number}"),
        result: None,
        error: None,
        turn: None,
        parent: None,
        schedule: (number == 3).then(|| "nightly".to_owned()),
        timeout: 60,
        cleanup: if number == 2 { Cleanup::Keep } else { Cleanup::Delete },
        created: 100 + number,
        started: None,
        ended: None,
        deadline: None,
        usage: RunUsage::default(),
    }
}

fn me() -> RunOwner {
    RunOwner("1-1".to_owned())
}

fn message(to: &str, body: &str) -> NewMessage {
    NewMessage { from: "anna".to_owned(), to: to.to_owned(), body: body.to_owned() }
}

#[test]
fn the_file_is_private_and_keeps_everything_over_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, database) = database();
    let path = dir.path().join(FILE);
    assert!(database.put_profile(&profile("lab")).expect("kept"), "new");
    assert!(!database.put_profile(&profile("lab")).expect("kept"), "replaced");
    assert!(database.add_run(&run(1), 9).expect("kept"));
    database.send(&message("lab", "hello"), 9, 5).expect("kept").expect("room");
    drop(database);
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let database = AgentDatabase::open(&path).expect("opened again");
    assert_eq!(database.profiles().expect("read").len(), 1);
    assert_eq!(database.run(&RunId::new(1)).expect("read"), Some(run(1)));
    assert_eq!(database.unread().expect("read"), [("lab".to_owned(), 1)]);
    assert!(database.delete_profile("lab").expect("gone") && !database.delete_profile("lab").expect("gone"));
}

#[test]
fn a_file_of_somebody_else_or_of_a_newer_latimer_is_left_alone() {
    let (dir, database) = database();
    let path = dir.path().join(FILE);
    database.connection().pragma_update(None, "user_version", 99).expect("written");
    drop(database);
    let error = AgentDatabase::open(&path).expect_err("newer").to_string();
    assert!(error.contains("newer latimer"), "{error}");
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other).expect("made").execute_batch("CREATE TABLE x (y)").expect("made");
    assert!(AgentDatabase::open(&other).expect_err("foreign").to_string().contains("another program"));
    std::os::unix::fs::symlink(&path, dir.path().join("link.db")).expect("linked");
    assert!(AgentDatabase::open(&dir.path().join("link.db")).is_err(), "no link is followed");
}

#[test]
fn a_run_goes_forward_only_and_ends_once() {
    let (_dir, database) = database();
    for number in 1..=3 {
        assert!(database.add_run(&run(number), 3).expect("kept"));
    }
    assert!(!database.add_run(&run(4), 3).expect("full"), "three wait already");
    let claimed = database.claim_run(&me(), 1000, 1030).expect("claimed").expect("one waits");
    assert_eq!((claimed.id.clone(), claimed.status), (RunId::new(1), RunStatus::Running));
    assert_eq!((claimed.started, claimed.deadline), (Some(1000), Some(1060)));
    database
        .add_turn(&claimed.id, RunUsage { turns: 1, input_tokens: 5, ..RunUsage::default() }, Some("resp_1"))
        .expect("added");
    database
        .add_turn(&claimed.id, RunUsage { turns: 1, input_tokens: 2, ..RunUsage::default() }, None)
        .expect("added");
    let done = RunOutcome::Completed("done".to_owned());
    let EndedRun::Ended(ended) = database.end_run(&claimed.id, &done, 1010).expect("ended") else {
        panic!("it was running")
    };
    assert_eq!((ended.result.as_deref(), ended.usage.turns, ended.usage.input_tokens), (Some("done"), 2, 7));
    assert_eq!(ended.turn.as_deref(), Some("resp_1"));
    for outcome in [RunOutcome::Cancelled, RunOutcome::TimedOut, done] {
        assert_eq!(database.end_run(&claimed.id, &outcome, 1011).expect("read"), EndedRun::WasOver);
    }
    let failed = RunOutcome::Failed(RunError::new("rate_limited", "later"));
    let EndedRun::Ended(ended) = database.end_run(&RunId::new(2), &failed, 5).expect("ended") else {
        panic!("a queued run can be ended")
    };
    assert_eq!(ended.error, Some(RunError::new("rate_limited", "later")));
    let ids = |wanted: &RunQuery| {
        let runs = database.runs(wanted).expect("read");
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let all = RunQuery { limit: 9, ..RunQuery::default() };
    assert_eq!(ids(&all), [RunId::new(3), RunId::new(2), RunId::new(1)], "the newest first");
    assert_eq!(ids(&RunQuery { after: Some(RunId::new(3)), limit: 1, ..all.clone() }), [RunId::new(2)]);
    assert_eq!(ids(&RunQuery { status: Some(RunStatus::Queued), ..all.clone() }), [RunId::new(3)]);
    assert_eq!(ids(&RunQuery { schedule: Some("nightly".to_owned()), ..all }), [RunId::new(3)]);
    assert_eq!(database.clean_up(2000).expect("cleaned"), 1, "one is to be kept, and one waits");
    assert_eq!(database.run(&RunId::new(1)).expect("read"), None);
    assert!(
        database.delete_run(&RunId::new(2)).expect("gone")
            && !database.delete_run(&RunId::new(3)).expect("open")
    );
}

#[test]
fn of_many_who_take_at_once_each_run_and_each_message_goes_to_one() {
    let (_dir, database) = database();
    let database = Arc::new(database);
    for number in 0..40 {
        database.add_run(&run(number), 99).expect("kept");
        database.send(&message("lab", "x"), 99, 1).expect("kept").expect("room");
    }
    let takers = (0..4).map(|taker| {
        let database = Arc::clone(&database);
        std::thread::spawn(move || {
            let (mut runs, mut messages) = (Vec::new(), Vec::new());
            let owner = RunOwner(format!("{taker}-1"));
            while let Some(run) = database.claim_run(&owner, 1, 2).expect("claimed") {
                runs.push(run.id.to_string());
            }
            loop {
                let taken = database.take("lab", 3, 1).expect("taken");
                if taken.is_empty() {
                    return (runs, messages);
                }
                messages.extend(taken.into_iter().map(|message| message.id));
            }
        })
    });
    let takers: Vec<_> = takers.collect();
    let (mut runs, mut messages) = (Vec::new(), Vec::new());
    for taker in takers {
        let (some_runs, some_messages) = taker.join().expect("no panic");
        runs.extend(some_runs);
        messages.extend(some_messages);
    }
    runs.sort();
    runs.dedup();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!((runs.len(), messages.len()), (40, 40));
}

#[test]
fn a_run_with_input_that_waits_is_not_completed_and_input_for_one_that_is_over_is_refused() {
    let (_dir, database) = database();
    let id = RunId::new(1);
    assert_eq!(database.push_input(&id, "x", 1).expect("read"), PushedInput::Unknown);
    database.add_run(&run(1), 9).expect("kept");
    database.claim_run(&me(), 1, 2).expect("claimed");
    assert_eq!(database.push_input(&id, "more", 1).expect("kept"), PushedInput::Waits(1));
    let done = RunOutcome::Completed("done".to_owned());
    assert_eq!(database.end_run(&id, &done, 3).expect("read"), EndedRun::InputWaits);
    assert!(database.take_input(&id, 1).expect("taken") && !database.take_input(&id, 1).expect("taken"));
    assert!(database.return_input(&id, 1).expect("there again"));
    let inputs = database.take_inputs(&id).expect("taken");
    assert_eq!((inputs.len(), inputs[0].text.as_str()), (1, "more"));
    assert!(database.take_inputs(&id).expect("taken").is_empty());
    assert!(matches!(database.end_run(&id, &done, 3).expect("ended"), EndedRun::Ended(_)));
    assert!(!database.return_input(&id, 1).expect("asked"), "a run that is over takes nothing back");
    assert_eq!(database.push_input(&id, "late", 4).expect("read"), PushedInput::Over);
}

/// A push in the instant in which the run ends: kept and said, or refused; never taken and lost.
#[test]
fn a_push_at_the_end_of_a_run_is_said_or_refused() {
    let (_dir, database) = database();
    let database = Arc::new(database);
    let (mut kept, mut refused) = (0, 0);
    for number in 0..1000 {
        let id = RunId::new(number);
        database.add_run(&run(number), 9).expect("kept");
        database.claim_run(&me(), 1, 2).expect("claimed");
        let (other, pushed_id) = (Arc::clone(&database), id.clone());
        let pusher = std::thread::spawn(move || other.push_input(&pushed_id, "more", 1).expect("asked"));
        let done = RunOutcome::Completed(String::new());
        let ended = database.end_run(&id, &done, 2).expect("asked");
        match (pusher.join().expect("no panic"), ended) {
            (PushedInput::Waits(_), EndedRun::InputWaits) => {
                assert_eq!(database.take_inputs(&id).expect("taken").len(), 1);
                assert!(matches!(database.end_run(&id, &done, 2).expect("ended"), EndedRun::Ended(_)));
                kept += 1;
            }
            (PushedInput::Over, EndedRun::Ended(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kept + refused, 1000);
}

#[test]
fn a_run_whose_process_is_gone_fails_or_begins_again_with_all_its_input() {
    let (_dir, database) = database();
    for number in 1..=2 {
        database.add_run(&run(number), 9).expect("kept");
        database.claim_run(&me(), 1, 2).expect("claimed").expect("one");
        database.push_input(&RunId::new(number), "more", 1).expect("kept");
        database.take_inputs(&RunId::new(number)).expect("taken");
    }
    assert_eq!(database.claimed_runs().expect("read").len(), 2);
    let other = RunOwner("2-2".to_owned());
    assert_eq!(database.renew_runs(&other, &[RunId::new(1)], 9).expect("written"), [RunId::new(1)]);
    assert!(database.renew_runs(&me(), &[RunId::new(1)], 9).expect("written").is_empty());
    assert!(!database.break_off(&RunId::new(1), &other, false, 5).expect("not its own"));
    assert!(database.break_off(&RunId::new(1), &me(), false, 5).expect("broken off"));
    let failed = database.run(&RunId::new(1)).expect("read").expect("there");
    assert_eq!(failed.error, Some(RunError::new("restarted", "the proxy was restarted")));
    assert!(database.break_off(&RunId::new(2), &me(), true, 5).expect("broken off"));
    let again = database.claim_run(&other, 7, 8).expect("claimed").expect("queued again");
    assert_eq!(again.id, RunId::new(2));
    assert_eq!(database.take_inputs(&again.id).expect("taken").len(), 1, "nothing that was taken is lost");
}

#[test]
fn messages_set_aside_for_a_run_are_nobody_elses_and_unread_until_it_has_said_them() {
    let (_dir, database) = database();
    for body in ["one", "two", "three"] {
        database.send(&message("lab", body), 3, 1).expect("kept").expect("room");
    }
    assert_eq!(database.send(&message("lab", "four"), 3, 1).expect("asked"), None, "three are unread");
    assert!(database.send(&message("elsewhere", "one"), 3, 1).expect("kept").is_some());
    let id = RunId::new(1);
    assert_eq!(database.reserve("lab", &id, 9, 6).expect("set aside").len(), 2, "as many as fit");
    let taken = database.take("lab", 9, 1).expect("taken");
    assert_eq!(taken.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["three"]);
    database.release(&id).expect("released");
    assert_eq!(database.reserve("lab", &id, 9, 0).expect("set aside").len(), 1, "at least one");
    database.deliver(&id, 4).expect("delivered");
    database.release(&id).expect("nothing is left to release");
    let wanted = MessageQuery { to: Some("lab".to_owned()), limit: 9, ..MessageQuery::default() };
    let states: Vec<_> =
        database.messages(&wanted).expect("read").into_iter().map(|message| message.state).collect();
    assert_eq!(states, [MessageState::Delivered, MessageState::Unread, MessageState::Delivered]);
    let unread = MessageQuery { state: Some(MessageState::Unread), ..wanted };
    let two = database.messages(&unread).expect("read").remove(0);
    assert!(database.mark_read(two.id, 5).expect("read") && !database.mark_read(99, 5).expect("none"));
    assert!(database.take("lab", 9, 6).expect("taken").is_empty());
}
