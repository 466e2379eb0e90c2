use std::path::Path;

use super::*;
use crate::agents::profile::AgentProfile;
use crate::agents::run::{AgentRun, RunOutcome};
use crate::agents::store::RunOwner;

const START: Moment = Moment::from_unix(1_780_000_000);

fn after(seconds: u64) -> Moment {
    START.plus(Duration::from_secs(seconds))
}

/// One process with the file of a directory; nothing carries its runs.
async fn process(dir: &Path, name: &str) -> Schedules {
    let runs = Runs::new(Some(dir));
    let profile: AgentProfile =
        serde_json::from_str("{\"id\":\"reviewer\",\"model\":\"lab/m\"}").expect("a profile");
    runs.put_profile(profile).await.expect("kept");
    Schedules { runs, lookout: Lookout::default(), owner: name.to_owned() }
}

async fn add(schedules: &Schedules, number: u64, rest: &str) -> AgentSchedule {
    let text = format!("{{\"profile\":\"reviewer\",\"input\":\"look\",{rest}}}");
    let new: NewSchedule = serde_json::from_str(&text).expect("a schedule");
    schedules.add(ScheduleId::new(number), new, START).await.expect("kept")
}

async fn all_runs(schedules: &Schedules, id: &ScheduleId) -> Vec<AgentRun> {
    let wanted = RunQuery { schedule: Some(id.to_string()), limit: 500, ..RunQuery::default() };
    schedules.runs.with_store(move |store| store.runs(&wanted)).await.expect("read")
}

/// Ends every run that is open.
async fn end_runs(schedules: &Schedules, outcome: RunOutcome) {
    let work = move |store: &dyn AgentStore| {
        let owner = RunOwner("a test".to_owned());
        while let Some(run) = store.claim_run(&owner, START.unix(), START.unix() + 9)? {
            store.end_run(&run.id, &outcome, START.unix())?;
        }
        Ok(())
    };
    schedules.runs.with_store(work).await.expect("ended");
}

#[tokio::test]
async fn a_due_time_begins_one_run_however_often_and_by_whomever_it_is_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let processes = [process(dir.path(), "one").await, process(dir.path(), "two").await];
    let schedule = add(&processes[0], 1, "\"every\":\"30s\"").await;
    for millis in 0..100 {
        let now = after(30).plus(Duration::from_millis(millis * 10));
        let (one, two) = tokio::join!(processes[0].tick(now), processes[1].tick(now));
        one.and(two).expect("looked");
    }
    assert_eq!(all_runs(&processes[0], &schedule.id).await.len(), 1);
    let kept = processes[1].get(&schedule.id).await.expect("kept");
    assert_eq!(
        (kept.run_count, kept.next_run_at, kept.last_status),
        (1, Some(after(60).unix()), Some(ScheduleStatus::Running))
    );
    for number in 2..=20 {
        end_runs(&processes[0], RunOutcome::Completed("fine".to_owned())).await;
        let now = after(30 * number);
        let (one, two) = tokio::join!(processes[0].tick(now), processes[1].tick(now));
        one.and(two).expect("looked");
    }
    let runs = all_runs(&processes[0], &schedule.id).await;
    assert_eq!(runs.len(), 20);
    assert_eq!(processes[0].get(&schedule.id).await.expect("kept").run_count, 20);
    assert!(runs.iter().all(|run| run.mode == RunMode::Scheduled && run.input == "look"));
}

#[tokio::test]
async fn work_that_takes_long_is_not_begun_again_or_waits_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let skip = add(&schedules, 1, "\"every\":\"1m\"").await;
    let queue = add(&schedules, 2, "\"every\":\"1m\",\"overlap\":\"queue\"").await;
    for minute in 1..=5 {
        schedules.tick(after(60 * minute)).await.expect("looked");
    }
    assert_eq!(all_runs(&schedules, &skip.id).await.len(), 1);
    assert_eq!(all_runs(&schedules, &queue.id).await.len(), 1);
    assert!(schedules.get(&queue.id).await.expect("kept").waits);
    end_runs(&schedules, RunOutcome::TimedOut).await;
    schedules.tick(after(310)).await.expect("looked");
    assert_eq!(all_runs(&schedules, &skip.id).await.len(), 1, "what was passed over is gone");
    assert_eq!(all_runs(&schedules, &queue.id).await.len(), 2, "one waited");
    let kept = schedules.get(&skip.id).await.expect("kept");
    assert_eq!((kept.last_status, kept.run_count), (Some(ScheduleStatus::TimedOut), 1));
    end_runs(&schedules, RunOutcome::Cancelled).await;
    schedules.tick(after(311)).await.expect("looked");
    assert_eq!(all_runs(&schedules, &queue.id).await.len(), 2);
}

#[tokio::test]
async fn after_a_restart_missed_times_are_one_or_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, none) = {
        let before = process(dir.path(), "before").await;
        let one = add(&before, 1, "\"every\":\"1d\"").await;
        (one, add(&before, 2, "\"every\":\"1d\",\"catch_up\":\"none\"").await)
    };
    let schedules = process(dir.path(), "after").await;
    let ten_days = 10 * 86_400 + 3600;
    for second in 0..5 {
        schedules.tick(after(ten_days + second)).await.expect("looked");
        end_runs(&schedules, RunOutcome::Completed("fine".to_owned())).await;
    }
    assert_eq!(all_runs(&schedules, &one.id).await.len(), 1);
    assert_eq!(all_runs(&schedules, &none.id).await.len(), 0);
    let kept = schedules.get(&none.id).await.expect("kept");
    assert_eq!(
        (kept.last_status, kept.next_run_at),
        (Some(ScheduleStatus::Missed), Some(after(11 * 86_400).unix()))
    );
}

#[tokio::test]
async fn what_is_paused_or_deleted_never_begins_and_its_step_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let [paused, deleted] = [1, 2].map(|number| add(&schedules, number, "\"every\":\"1h\""));
    let (paused, deleted) = tokio::join!(paused, deleted);
    assert!(!schedules.switch(&paused.id, false, after(10)).await.expect("paused").enabled);
    schedules.delete(&deleted.id).await.expect("deleted");
    for hour in 1..50 {
        schedules.tick(after(3600 * hour)).await.expect("looked");
    }
    assert!(
        all_runs(&schedules, &paused.id).await.is_empty()
            && all_runs(&schedules, &deleted.id).await.is_empty()
    );
    let resumed = schedules.switch(&paused.id, true, after(3600 * 50 + 7)).await.expect("resumed");
    assert_eq!((resumed.enabled, resumed.next_run_at), (true, Some(after(3600 * 51).unix())));
    let again = schedules.switch(&paused.id, true, after(3600 * 50 + 8)).await.expect("it goes on");
    assert_eq!(again, resumed);
    for refused in [
        schedules.delete(&deleted.id).await,
        schedules.switch(&deleted.id, true, START).await.map(drop),
        schedules.run_now(&deleted.id, START).await.map(drop),
    ] {
        assert!(matches!(refused, Err(ScheduleRefusal::Unknown)), "{refused:?}");
    }
}

#[tokio::test]
async fn one_time_comes_once_and_cannot_be_resumed() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let schedule = add(&schedules, 1, "\"at\":\"2027-01-01T00:00:00Z\"").await;
    let at = Moment::from_unix(schedule.next_run_at.expect("due"));
    for second in 0..100 {
        schedules.tick(at.plus(Duration::from_secs(second * 3600))).await.expect("looked");
        end_runs(&schedules, RunOutcome::Completed("fine".to_owned())).await;
    }
    assert_eq!(all_runs(&schedules, &schedule.id).await.len(), 1);
    let over = schedules.get(&schedule.id).await.expect("kept");
    assert_eq!((over.enabled, over.next_run_at, over.run_count), (false, None, 1));
    let later = at.plus(Duration::from_secs(999_999));
    assert!(matches!(schedules.switch(&schedule.id, true, later).await, Err(ScheduleRefusal::Over)));
}

#[tokio::test]
async fn a_run_by_hand_leaves_the_times_alone_and_never_overlaps() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let schedule = add(&schedules, 1, "\"cron\":\"0 9 * * *\",\"zone\":\"UTC\"").await;
    schedules.switch(&schedule.id, false, START).await.expect("paused");
    let run = schedules.run_now(&schedule.id, after(5)).await.expect("a run, although it is paused");
    let again = schedules.run_now(&schedule.id, after(6)).await;
    assert!(matches!(&again, Err(ScheduleRefusal::StillRuns(open)) if *open == run), "{again:?}");
    let kept = schedules.get(&schedule.id).await.expect("kept");
    assert_eq!((kept.run_count, kept.last_run, kept.last_run_at), (1, Some(run), Some(after(5).unix())));
    assert_eq!((kept.enabled, kept.next_run_at), (false, schedule.next_run_at));
}

#[tokio::test]
async fn what_cannot_begin_is_told_at_the_schedule_and_comes_due_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let schedule = add(&schedules, 1, "\"every\":\"1m\"").await;
    schedules.runs.delete_profile("reviewer").await.expect("deleted");
    schedules.tick(after(60)).await.expect("looked");
    let kept = schedules.get(&schedule.id).await.expect("kept");
    assert_eq!((kept.last_status, kept.next_run_at), (Some(ScheduleStatus::Failed), Some(after(120).unix())));
    assert!(kept.last_error.expect("told").contains("latimer agents profiles"));
    let new: NewSchedule = serde_json::from_str("{\"profile\":\"nobody\",\"input\":\"x\",\"every\":\"1m\"}")
        .expect("a schedule");
    let refused = schedules.add(ScheduleId::new(2), new, START).await;
    assert!(matches!(refused, Err(ScheduleRefusal::Run(StartError::UnknownProfile(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_process_that_dies_between_its_claim_and_the_run_begins_nothing_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let schedules = process(dir.path(), "one").await;
    let schedule = add(&schedules, 1, "\"every\":\"1h\"").await;
    let (seen, now) = (schedule.clone(), after(3600));
    let step = DueStep::Due { due: now.unix(), next: Some(after(7200).unix()) };
    let claimed = schedules.runs.with_store(move |store| claim(store, &seen, step, "dead", now)).await;
    assert!(claimed.expect("written").is_some());
    schedules.tick(after(3605)).await.expect("looked");
    assert_eq!(schedules.get(&schedule.id).await.expect("kept").last_status, Some(ScheduleStatus::Running));
    schedules.tick(after(3700)).await.expect("looked");
    let kept = schedules.get(&schedule.id).await.expect("kept");
    assert_eq!(kept.last_status, Some(ScheduleStatus::Failed));
    assert!(kept.last_error.expect("told").contains("not begun again"));
    assert!(all_runs(&schedules, &schedule.id).await.is_empty());
    schedules.tick(after(7200)).await.expect("looked");
    assert_eq!(all_runs(&schedules, &schedule.id).await.len(), 1, "the next time, as ever");
}

#[tokio::test]
async fn without_a_state_directory_everything_is_off() {
    let schedules = Schedules::new(Runs::new(None));
    assert!(matches!(schedules.tick(START).await, Err(AgentStoreError::Off)));
    assert!(schedules.list().await.is_err());
}
