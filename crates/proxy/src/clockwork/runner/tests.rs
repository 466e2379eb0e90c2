use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// A calendar that goes with the clock of tokio, which these tests pause.
fn calendar() -> Moment {
    thread_local! {
        static START: tokio::time::Instant = tokio::time::Instant::now();
    }
    Moment::from_unix(1_780_000_000).plus(START.with(tokio::time::Instant::elapsed))
}

const SECOND: Duration = Duration::from_secs(1);

fn plan(name: &'static str, period: Duration) -> JobPlan {
    JobPlan { name, what: "a test", period, first: FirstRun::AfterPeriod }
}

/// Drives it for so long.
async fn drive(clockwork: &Clockwork, time: Duration) {
    let _ = tokio::time::timeout(time, clockwork.drive()).await;
}

fn counted(clockwork: &Clockwork, plan: JobPlan) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    clockwork.add(plan, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    });
    count
}

#[tokio::test(start_paused = true)]
async fn each_job_runs_in_its_own_period() {
    let clockwork = Clockwork::with_calendar(calendar);
    let often = counted(&clockwork, plan("often", SECOND));
    let seldom = counted(&clockwork, plan("seldom", SECOND * 600));
    let at_once = counted(&clockwork, JobPlan { first: FirstRun::AtOnce, ..plan("at_once", SECOND * 600) });
    drive(&clockwork, SECOND * 599 + SECOND / 2).await;
    let counts = [&often, &seldom, &at_once].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [599, 0, 1]);
    let reports = clockwork.report();
    let told: Vec<_> = reports.iter().map(|job| (job.name, job.runs, job.status.word())).collect();
    assert_eq!(told, [("often", 599, "completed"), ("seldom", 0, "waiting"), ("at_once", 1, "completed")]);
    assert!(reports.iter().all(|job| job.next > calendar()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_a_panic_are_kept_and_the_others_go_on() {
    let clockwork = Clockwork::with_calendar(calendar);
    clockwork.add(plan("fails", SECOND), || std::future::ready(Err("the disk is full".to_owned())));
    clockwork.add(plan("panics", SECOND), || async { panic!("a job that panics") });
    let healthy = counted(&clockwork, plan("healthy", SECOND));
    drive(&clockwork, SECOND * 5 + SECOND / 2).await;
    assert_eq!(healthy.load(Ordering::Relaxed), 5);
    let reports = clockwork.report();
    let told: Vec<_> = reports.iter().map(|job| (job.runs, job.status.word(), job.status.error())).collect();
    let panicked = Some("it panicked; the log has where");
    assert_eq!(
        told,
        [(5, "failed", Some("the disk is full")), (5, "panicked", panicked), (5, "completed", None)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_never_overlaps_itself_and_keeps_nobody_waiting() {
    let clockwork = Clockwork::with_calendar(calendar);
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (entry, counter) = (Arc::clone(&gate), Arc::clone(&begun));
    clockwork.add(plan("slow", SECOND), move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::clone(&entry);
        async move { entry.acquire().await.map(drop).map_err(|error| error.to_string()) }
    });
    let other = counted(&clockwork, plan("other", SECOND));
    let driving = async {
        tokio::time::sleep(SECOND * 10 + SECOND / 2).await;
        let before = (begun.load(Ordering::Relaxed), clockwork.report().remove(0).status);
        gate.add_permits(100);
        tokio::time::sleep(SECOND * 2).await;
        before
    };
    let before = tokio::select! {
        before = driving => before,
        () = clockwork.drive() => unreachable!("it goes on for ever"),
    };
    assert_eq!(before, (1, JobStatus::Running));
    assert_eq!(begun.load(Ordering::Relaxed), 3, "no burst after it");
    assert_eq!(other.load(Ordering::Relaxed), 12);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_added_while_it_goes_is_begun_and_one_of_the_same_name_is_replaced() {
    let clockwork = Arc::new(Clockwork::with_calendar(calendar));
    let first = counted(&clockwork, plan("job", SECOND));
    let adding = async {
        tokio::time::sleep(SECOND + SECOND / 2).await;
        let second = counted(&clockwork, JobPlan { first: FirstRun::AtOnce, ..plan("job", SECOND * 60) });
        tokio::time::sleep(SECOND).await;
        second
    };
    let second = tokio::select! {
        second = adding => second,
        () = clockwork.drive() => unreachable!("it goes on for ever"),
    };
    assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(clockwork.report().len(), 1);
}
