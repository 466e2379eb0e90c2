use proptest::prelude::*;

use super::*;
use crate::clockwork::calendar::one_time;
use crate::clockwork::zone::Zone;

const START: Moment = Moment::from_unix(1_780_000_000);

fn after(seconds: u64) -> Moment {
    START.plus(Duration::from_secs(seconds))
}

/// Something that comes due, as a store keeps it, and all that was begun.
struct Kept {
    timing: Timing,
    catch_up: CatchUp,
    overlap: Overlap,
    slot: Option<Slot>,
    begun: Vec<Moment>,
    waited: usize,
}

impl Kept {
    fn new(timing: Timing, catch_up: CatchUp, overlap: Overlap) -> Self {
        let due = timing.first(START);
        let slot = due.map(|due| Slot { due, last_run: Some(START), work: Work::Rests });
        Self { timing, catch_up, overlap, slot, begun: Vec::new(), waited: 0 }
    }

    fn every(text: &str, catch_up: CatchUp, overlap: Overlap) -> Self {
        Self::new(Timing::every(text).expect("a duration"), catch_up, overlap)
    }

    /// One look at this time. What was decided is written down before anything begins.
    fn tick(&mut self, now: Moment) -> Decision {
        let Some(slot) = &mut self.slot else { return Decision::NotDue };
        let decision = decide(&self.timing, self.catch_up, self.overlap, *slot, now);
        let next = match decision {
            Decision::NotDue => return decision,
            Decision::Begin { due, next } => {
                self.begun.push(due);
                *slot = Slot { last_run: Some(now), work: Work::Runs, ..*slot };
                next
            }
            Decision::BeginWaiting => {
                self.waited += 1;
                *slot = Slot { last_run: Some(now), work: Work::Runs, ..*slot };
                return decision;
            }
            Decision::Pass { next, .. } => next,
            Decision::Wait { next } => {
                slot.work = Work::RunsAndWaits;
                next
            }
            Decision::Reckon { next } => Some(next),
        };
        match next {
            Some(due) => slot.due = due,
            // A work that still waits is not looked at here any more.
            None => self.slot = None,
        }
        decision
    }

    fn end_work(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.work = match slot.work {
                Work::Rests | Work::Runs => Work::Rests,
                Work::Waits | Work::RunsAndWaits => Work::Waits,
            };
        }
    }
}

#[test]
fn a_thousand_looks_in_a_second_begin_one() {
    for overlap in [Overlap::Skip, Overlap::Queue] {
        let mut kept = Kept::every("30s", CatchUp::One, overlap);
        for millis in 0..1000 {
            kept.tick(after(30).plus(Duration::from_millis(millis)));
            kept.end_work();
        }
        assert_eq!((kept.begun.as_slice(), kept.waited), ([after(30)].as_slice(), 0), "{overlap:?}");
    }
}

#[test]
fn missed_times_are_one_or_none_and_the_step_stays() {
    let (day, noon) = (86_400, 10 * 86_400 + 43_200);
    let mut one = Kept::every("1d", CatchUp::One, Overlap::Skip);
    assert_eq!(one.tick(after(noon)), Decision::Begin { due: after(10 * day), next: Some(after(11 * day)) });
    one.end_work();
    assert_eq!(one.tick(after(noon + 60)), Decision::NotDue, "and no more of them");
    let mut none = Kept::every("1d", CatchUp::None, Overlap::Skip);
    let next = Some(after(11 * day));
    assert_eq!(none.tick(after(noon)), Decision::Pass { why: Passed::Missed, next });
    assert!(matches!(none.tick(after(11 * day + 60)), Decision::Begin { .. }), "a minute late is in time");
}

#[test]
fn a_machine_that_slept_finds_a_short_step_in_time() {
    // Of 30 s, the newest due time is never long ago.
    let mut kept = Kept::every("30s", CatchUp::None, Overlap::Skip);
    let woken = 8 * 3600 + 17;
    assert_eq!(
        kept.tick(after(woken)),
        Decision::Begin { due: after(8 * 3600), next: Some(after(8 * 3600 + 30)) }
    );
}

#[test]
fn work_that_still_runs_is_not_begun_again() {
    let mut skip = Kept::every("1m", CatchUp::One, Overlap::Skip);
    let mut queue = Kept::every("1m", CatchUp::One, Overlap::Queue);
    for minute in 1..=5 {
        skip.tick(after(60 * minute));
        queue.tick(after(60 * minute));
    }
    assert_eq!((skip.begun.len(), queue.begun.len()), (1, 1));
    skip.end_work();
    queue.end_work();
    assert_eq!(skip.tick(after(301)), Decision::NotDue, "what was passed over is gone");
    assert_eq!(queue.tick(after(301)), Decision::BeginWaiting);
    queue.end_work();
    assert_eq!(queue.tick(after(302)), Decision::NotDue, "one waits, not four");
}

#[test]
fn one_time_comes_due_once() {
    let text = "2026-12-01T09:00:00Z";
    let now = Moment::from_unix(one_time("2026-11-01T00:00:00Z", &Zone::utc()).expect("a time").unix());
    let timing = Timing::at(text, &Zone::utc(), now).expect("a time");
    let at = timing.first(now).expect("ahead");
    let slot = Slot { due: at, last_run: Some(now), work: Work::Rests };
    let decide = |catch_up, now| decide(&timing, catch_up, Overlap::Skip, slot, now);
    assert_eq!(decide(CatchUp::One, at), Decision::Begin { due: at, next: None });
    let later = at.plus(Duration::from_secs(86_400));
    assert_eq!(decide(CatchUp::One, later), Decision::Begin { due: at, next: None });
    assert_eq!(decide(CatchUp::None, later), Decision::Pass { why: Passed::Missed, next: None });
    assert!(Timing::at(text, &Zone::utc(), later).is_err(), "it has passed");
}

#[test]
fn a_clock_that_goes_back_a_little_is_waited_for_and_one_that_was_wrong_is_not() {
    let mut kept = Kept::every("1h", CatchUp::One, Overlap::Skip);
    // The clock stood a year ahead.
    let year = 365 * 86_400;
    assert!(matches!(kept.tick(after(year)), Decision::Begin { .. }));
    kept.end_work();
    assert_eq!(kept.tick(after(year - 7200)), Decision::NotDue, "two hours back");
    let decision = kept.tick(after(600));
    assert_eq!(decision, Decision::Reckon { next: after(3600) }, "a year back, with the same step");
    assert_eq!(kept.tick(after(700)), Decision::NotDue);
    assert!(matches!(kept.tick(after(3600)), Decision::Begin { .. }));
    kept.end_work();
    assert_eq!(kept.tick(after(3700)), Decision::NotDue);
}

fn timings() -> impl Strategy<Value = Timing> {
    let every = (1_u64..200_000).prop_map(|seconds| Timing::every(&format!("{seconds}s")).expect("fine"));
    let cron = prop::sample::select(vec![
        "* * * * *",
        "*/15 * * * *",
        "30 2 * * *",
        "0 9 * * 1-5",
        "5 * * * * *",
        "0 0 L * *",
        "0 3 29 2 *",
    ]);
    let zone = prop::sample::select(vec!["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"]);
    let cron = (cron, zone).prop_map(|(text, zone)| {
        Timing::cron(text, Zone::named(zone).expect("a zone"), START).expect("fine")
    });
    let at = (1_u64..4_000_000).prop_map(|seconds| Timing::At(after(seconds)));
    prop_oneof![3 => every, 3 => cron, 1 => at]
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Between {
    /// Time goes on, in milliseconds.
    Passes(u64),
    /// The machine sleeps, in seconds.
    Sleeps(u64),
    /// Somebody sets the clock back, in seconds.
    SetBack(u64),
    /// The work ends.
    Ends,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        6 => (0_u64..90_000).prop_map(Between::Passes),
        2 => (0_u64..9_000_000).prop_map(Between::Sleeps),
        1 => (0_u64..3600).prop_map(Between::SetBack),
        4 => Just(Between::Ends),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_due_time_begins_twice_and_none_before_it_came(
        timing in timings(),
        is_one in any::<bool>(),
        queues in any::<bool>(),
        events in prop::collection::vec(between(), 1..60),
    ) {
        let catch_up = if is_one { CatchUp::One } else { CatchUp::None };
        let overlap = if queues { Overlap::Queue } else { Overlap::Skip };
        let mut kept = Kept::new(timing, catch_up, overlap);
        let mut now = START;
        let mut set_back = 0;
        for event in events {
            match event {
                Between::Passes(millis) => now = now.plus(Duration::from_millis(millis)),
                Between::Sleeps(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Between::SetBack(seconds) if set_back + seconds < 3 * 3600 => {
                    set_back += seconds;
                    now = Moment::from_millis(now.millis() - seconds * 1000);
                }
                Between::SetBack(_) => {}
                Between::Ends => kept.end_work(),
            }
            let before = kept.begun.len();
            let ran_before = kept.slot.map(|slot| slot.work);
            let decision = kept.tick(now);
            if let Decision::Begin { due, next } = decision {
                prop_assert!(due <= now, "{due:?} was not due at {now:?}");
                prop_assert!(next.is_none_or(|next| next > now && next > due), "{next:?} is not ahead");
                prop_assert_eq!(ran_before, Some(Work::Rests), "it overlaps itself");
            }
            prop_assert!(kept.begun.len() <= before + 1);
            let again = kept.tick(now);
            prop_assert!(!matches!(again, Decision::Begin { .. }), "a second look began it again");
        }
        prop_assert!(kept.begun.is_sorted_by(|a, b| a < b), "{:?}", kept.begun);
    }

    #[test]
    fn a_step_is_kept_however_late_it_is_looked_at(seconds in 1_u64..400_000_000, late in 0_u64..9_000_000_000) {
        let Ok(every) = crate::clockwork::every::Every::new(Duration::from_secs(seconds)) else { return Ok(()) };
        let now = START.plus(Duration::from_millis(late));
        let next = every.next(START, now);
        prop_assert!(next > now && next.since(now) <= every.time());
        prop_assert_eq!((next.millis() - START.millis()) % (seconds * 1000), 0);
        let latest = every.latest(START, now);
        prop_assert!(latest <= now && now.since(latest) < every.time());
    }
}
