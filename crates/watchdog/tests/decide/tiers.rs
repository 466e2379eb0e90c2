//! Who decides: a rule, what helped before, a model, a person.

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Proposer};
use latimer_watchdog::decide::State;
use latimer_watchdog::ids::ActionId;
use latimer_watchdog::pattern::{Fact, Pattern};
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::{Remedy, Rules, file};
use latimer_watchdog::settings::{DiagnosisSettings, Settings};
use latimer_watchdog::signal::{Diagnosis, PersonRequest, Signal};
use latimer_watchdog::time::Time;

use crate::support::{BEGIN, Bench, event, health, killed, named, names};

const NOTHING: [&str; 0] = [];

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn with_model() -> Settings {
    let model = DiagnosisSettings {
        endpoint: Some("ollama".to_owned()),
        model: None,
        monthly_budget_micros: 2_000_000,
    };
    settings(|settings| settings.diagnosis = model)
}

fn announced(actions: &[Action]) -> Option<(ActionId, Time)> {
    actions.iter().find_map(|action| match action {
        Action::Announce { id, at, .. } => Some((*id, *at)),
        _ => None,
    })
}

#[test]
fn a_question_without_an_answer_is_given_up() {
    let mut bench = Bench::up_with(with_model());
    let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::CallNotFound))).collect();
    assert!(names(&actions).contains(&"diagnose"));
    assert_eq!(names(&bench.pass(110)), NOTHING);
    let actions = bench.pass(20);
    assert_eq!(names(&actions), ["alert"], "a person is told instead");
    let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::LoneBrace))).collect();
    assert!(names(&actions).contains(&"diagnose"), "and the next question may be asked");
}

#[test]
fn what_helped_before_is_applied_where_no_rule_is() {
    let mut record = Record::default();
    let pattern = Pattern::new(Fault::CallNotFound).with(Fact::Endpoint, "kimi");
    for _ in 0..3 {
        record.incidents.tried(&pattern, Remedy::ClearSchemaCache, Proposer::Model, true, BEGIN);
    }
    let five = |tier2| {
        let settings = settings(|settings| settings.tier2 = tier2);
        let mut bench = Bench::up();
        bench.state = State::new(settings, Rules::default(), record.clone());
        bench.send(Signal::Person(PersonRequest::Start));
        bench.send(health());
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::CallNotFound))).collect();
        let by = announced(&actions).and_then(|_| bench.last("announce").map(|order| order.by));
        (names(&bench.pass(4)), by)
    };
    assert_eq!(five(true), (vec!["clear_capabilities"], Some(Proposer::Record)));
    assert_eq!(five(false), (vec![], None));
}

#[test]
fn what_helped_before_goes_before_a_rule_that_did_not() {
    let mut bench = Bench::up();
    let pattern = Pattern::new(Fault::RequestRefused).with(Fact::Endpoint, "kimi").with(Fact::Status, "4xx");
    let mut record = Record::default();
    for _ in 0..5 {
        record.incidents.tried(&pattern, Remedy::Reconnect, Proposer::Model, true, BEGIN);
    }
    bench.state = State::new(Settings::default(), Rules::default(), record);
    bench.send(Signal::Person(PersonRequest::Start));
    bench.send(health());
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"], "the rule first");
    bench.pass(30);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["reconnect"], "then what is proven");
}

#[test]
fn a_model_is_asked_and_its_answer_passes_the_guards() {
    let ask = |reply: Option<&str>| {
        let mut bench = Bench::up_with(with_model());
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::CallNotFound))).collect();
        assert_eq!(names(&actions), ["ignore", "diagnose"]);
        let id = bench.last("diagnose").expect("asked").id;
        bench.pass(2);
        let reply = reply.map(str::to_owned);
        let diagnosis = Diagnosis { id, reply, input_tokens: 800, output_tokens: 60, cost_micros: Some(300) };
        let mut actions = bench.send(Signal::Diagnosis(diagnosis));
        actions.extend(bench.pass(4));
        (names(&actions), bench)
    };
    let (got, bench) = ask(Some(r#"{"action":"clear_schema_cache","reason":"stale","confidence":0.8}"#));
    assert_eq!(got, ["clear_capabilities"]);
    assert_eq!(bench.last("clear_capabilities").expect("given").by, Proposer::Model);
    let ledger = &bench.state.record().ledger;
    assert_eq!((ledger.calls, ledger.spent_micros, ledger.input_tokens), (1, 300, 800));
    let incidents = &bench.state.record().incidents;
    let asked: Vec<_> =
        incidents.all().iter().map(|one| (one.questions, one.tokens, one.cost_micros)).collect();
    assert_eq!(asked, [(1, 860, 300)], "the incident says what it cost");
    for reply in [
        "",
        "restart it!",
        r#"{"action":"rm","reason":"","confidence":1}"#,
        r#"{"action":"ignore","reason":"","confidence":0.1}"#,
    ] {
        assert_eq!(ask(Some(reply)).0, ["alert"], "{reply}");
    }
    let (got, bench) = ask(None);
    assert_eq!(got, ["alert"], "a model that does not answer");
    assert_eq!(bench.state.record().incidents.len(), 1, "its failure is no incident");
    let (got, _) = ask(Some(r#"{"action":"switch_provider","reason":"","confidence":0.9}"#));
    assert_eq!(got, ["alert"], "a switch is offered, whoever proposes it");
    let (got, bench) = ask(Some(r#"{"action":"restart_proxy","reason":"","confidence":0.9}"#));
    assert_eq!(got, ["restart"]);
    assert_eq!(bench.state.status(bench.now).starts, 1, "counted by the guard of restarts");
}

#[test]
fn a_model_is_asked_once_a_minute_ten_times_a_day_and_never_without_a_budget() {
    let questions = |settings: Settings, seconds: usize| {
        let mut bench = Bench::up_with(settings);
        let mut asked = Vec::new();
        for second in 0..seconds {
            // Ever other patterns, so that no cooldown stands in the way.
            let source = format!("log{}", second / 5);
            let foreign = latimer_watchdog::signal::ForeignLogMatch { fault: Fault::CallNotFound, source };
            if names(&bench.send(Signal::Foreign(foreign))).contains(&"diagnose") {
                asked.push(bench.now);
                let id = bench.last("diagnose").expect("asked").id;
                bench.send(Signal::Diagnosis(Diagnosis { id, ..Diagnosis::default() }));
            }
            bench.pass(1);
        }
        asked
    };
    let asked = questions(with_model(), 1500);
    assert_eq!(asked.len(), 10, "of a day");
    for pair in asked.windows(2) {
        assert!(pair[1].since(pair[0]).as_secs() >= 60);
    }
    let mut broke = with_model();
    broke.diagnosis.monthly_budget_micros = 0;
    assert_eq!(questions(broke, 100), []);
    assert_eq!(questions(settings(|_| ()), 100), [], "without an endpoint");
    let mut off = with_model();
    off.tier3 = false;
    assert_eq!(questions(off, 100), []);
}

#[test]
fn a_clock_that_is_set_back_gives_no_second_question_in_a_minute() {
    let mut bench = Bench::up_with(with_model());
    let mut ask = |fault, now: Time| {
        bench.now = now;
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(fault))).collect();
        let asked = names(&actions).contains(&"diagnose");
        if asked {
            let id = bench.last("diagnose").expect("asked").id;
            bench.send(Signal::Diagnosis(Diagnosis { id, ..Diagnosis::default() }));
        }
        asked
    };
    assert!(ask(Fault::CallNotFound, BEGIN));
    let back = Time::from_secs(BEGIN.as_secs() - 1000);
    assert!(!ask(Fault::LoneBrace, back), "no time has passed");
    assert!(ask(Fault::BashWithoutCommand, Time::from_secs(back.as_secs() + 60)));
}

#[test]
fn a_model_that_never_answers_changes_nothing_in_tiers_one_and_two() {
    let night = |settings: Settings| {
        let mut bench = Bench::up_with(settings);
        for second in 0..600u64 {
            if second % 7 == 0 {
                bench.send(named(Fault::CallNotFound));
            }
            if second % 50 == 0 {
                bench.send(event("bad_request", 400));
            }
            if second % 200 == 199 {
                bench.send(killed(9));
            }
            bench.pass(1);
            bench.send(health());
        }
        let of_tier_three = ["diagnose", "alert"];
        let rest: Vec<_> = bench.log.iter().map(|(at, order)| (*at, order.action.name())).collect();
        rest.into_iter().filter(|(_, name)| !of_tier_three.contains(name)).collect::<Vec<_>>()
    };
    let with = night(with_model());
    assert!(with.len() > 5, "{with:?}");
    assert_eq!(with, night(settings(|settings| settings.tier3 = false)));
}

#[test]
fn a_rule_that_is_off_leaves_the_fault_to_the_next_tier() {
    let mut bench = Bench::up();
    bench.state.set_rules(file::read("[[rule]]\nfault = \"B8\"\nenabled = false\n").expect("rules"));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["alert"]);
    bench.state.set_rules(
        file::read("[[rule]]\nfault = \"B8\"\naction = \"reconnect\"\nthreshold = 2\n").expect("rules"),
    );
    bench.pass(400);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["reconnect"]);
}

#[test]
fn rests_grow_from_thirty_seconds_to_five_minutes_and_then_a_person_is_told() {
    let mut bench = Bench::up();
    let mut done_at = Vec::new();
    for _ in 0..700 {
        let mut actions = bench.send(event("bad_request", 400));
        actions.extend(bench.pass(1));
        if names(&actions).contains(&"clear_capabilities") {
            done_at.push(bench.now.since(BEGIN).as_secs());
        }
    }
    assert_eq!(done_at, [3, 33, 93], "then it rests for five minutes, and is exhausted");
    bench.pass(3700);
    assert_eq!(
        names(&bench.settle(event("bad_request", 400))),
        ["clear_capabilities"],
        "a quiet hour has passed"
    );
}
