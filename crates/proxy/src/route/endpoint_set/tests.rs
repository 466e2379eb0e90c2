//! A set of endpoints: who may answer, and what a new configuration keeps of the old one.

use std::collections::BTreeMap;

use latimer_protocol::failure::{Failure, FailureKind};

use super::*;
use crate::config::parse::config_of;

/// Two endpoints, and what more stands in the file.
fn file(more: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\napi_key = \"k\"\n\
         [[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nmodels = [\"m\", \"n\"]\n{more}"
    )
}

fn route(keys: &str) -> String {
    file(&format!("[[route]]\nname = \"r\"\ntargets = [\"a/m\", \"b/m\"]\n{keys}"))
}

fn set_of(text: &str, before: Option<&EndpointSet>) -> EndpointSet {
    let memory = before.map_or_else(|| Arc::new(Memory::new(None)), |before| Arc::clone(&before.memory));
    EndpointSet::new(Arc::new(config_of(text)), memory, None, before)
}

fn ids(set: &EndpointSet, model: &str, conversation: Option<&str>) -> Vec<String> {
    let targets = set.targets(model, conversation, clock::now()).expect("a target");
    targets.into_iter().map(|target| target.id).collect()
}

fn one(set: &EndpointSet, model: &str) -> RouteTarget {
    set.targets(model, None, clock::now()).expect("a target").remove(0)
}

fn limited() -> Failure {
    let retry_after = Some(Duration::from_secs(600));
    Failure { retry_after, ..Failure::new(FailureKind::RateLimited, "slow down") }
}

/// Counts a turn on a target, with this end.
fn play(target: &RouteTarget, outcome: TurnOutcome) {
    OpenCount::new(target).end(outcome);
}

#[test]
fn a_model_has_one_target_and_a_route_has_all_of_its_own() {
    let set = set_of(&route(""), None);
    assert_eq!(ids(&set, "m", None), ["a/m"], "the first endpoint that lists it");
    assert_eq!(ids(&set, "b/m", None), ["b/m"]);
    assert_eq!(ids(&set, "n", None), ["b/n"]);
    assert_eq!(ids(&set, "r", None), ["a/m", "b/m"]);
    let error = set.targets("unknown", None, clock::now()).err().expect("no target");
    assert!(error.to_string().contains("unknown"), "{error}");
}

#[test]
fn what_would_happen_is_told_without_counting_a_round() {
    let set = set_of(&route("strategy = \"round_robin\"\n"), None);
    let first = |set: &EndpointSet, model: &str| {
        let report = set.foresee(model, clock::now()).expect("a plan");
        (report.route, report.candidates[0].target.clone(), report.candidates.len())
    };
    for _ in 0..2 {
        assert_eq!(first(&set, "r"), ("r".to_owned(), "a/m".to_owned(), 2), "nothing was counted");
    }
    assert_eq!(ids(&set, "r", None), ["a/m", "b/m"]);
    assert_eq!(first(&set, "r").1, "b/m", "the next round");
    assert_eq!(first(&set, "n"), (String::new(), "b/n".to_owned(), 1), "one target is a plan, too");
    assert!(set.foresee("unknown", clock::now()).is_err());
}

#[test]
fn a_target_that_is_not_ready_comes_last_and_is_not_left_out() {
    let now = clock::now();
    let limits_key: fn(&EndpointSet, Instant) = |set, now| {
        set.endpoints()[0].pool.failed(0, &limited(), now);
    };
    let limits_target: fn(&EndpointSet, Instant) = |set, now| set.memory.failed("a/m", &limited(), now);
    for spoil in [limits_key, limits_target] {
        let set = set_of(&route(""), None);
        spoil(&set, now);
        assert_eq!(ids(&set, "r", None), ["b/m", "a/m"]);
    }
    let busy = "max_parallel = 1\n[[endpoint]]\nname = \"c\"\nbase_url = \"https://c.test\"\n[[route]]\nname = \"r\"\ntargets = [\"b/m\", \"c/m\"]\n";
    let set = set_of(&file(busy), None);
    assert_eq!(ids(&set, "r", None), ["b/m", "c/m"]);
    let slots = set.endpoints()[1].slots.clone().expect("limited");
    let permit = slots.try_acquire().expect("free");
    assert_eq!(ids(&set, "r", None), ["c/m", "b/m"], "no room for one more");
    drop(permit);
    assert_eq!(ids(&set, "r", None), ["b/m", "c/m"]);
    let mut config = config_of(&route(""));
    config.avoided.push("a".into());
    let set = EndpointSet::new(Arc::new(config), Arc::new(Memory::new(None)), None, None);
    assert_eq!(ids(&set, "r", None), ["b/m", "a/m"], "an override avoids it");
}

#[test]
fn requests_of_the_minute_are_taken_and_given_back() {
    let set = set_of(&file("requests_per_minute = 6\n"), None);
    let (free, limited) = (&set.endpoints()[0], &set.endpoints()[1]);
    // Before the bucket was made: no time has passed for it, however slow the machine is.
    let now = clock::now().checked_sub(Duration::from_secs(3600)).expect("a clock that counts from before");
    for _ in 0..9 {
        assert_eq!(free.take_token(now), Duration::ZERO, "no limit");
    }
    assert_eq!((limited.has_room(now), limited.take_token(now)), (true, Duration::ZERO));
    assert!(!limited.has_room(now));
    assert_eq!(limited.take_token(now), Duration::from_secs(10), "owed");
    limited.give_token_back();
    limited.give_token_back();
    assert!(limited.has_room(now));
    free.give_token_back();
}

#[test]
fn a_conversation_stays_with_its_target_as_long_as_that_is_well() {
    let set = set_of(&route("strategy = \"round_robin\"\n"), None);
    let key = set.affinity_key("r", Some("c")).expect("a route with affinity");
    set.memory.record_affinity(&key, "b/m", clock::now());
    for _ in 0..3 {
        assert_eq!(ids(&set, "r", Some("c"))[0], "b/m");
    }
    let first: Vec<String> = (0..4).map(|_| ids(&set, "r", Some("another")).remove(0)).collect();
    assert_eq!(first.iter().filter(|id| *id == "a/m").count(), 2, "others take turns: {first:?}");
    set.memory.failed("b/m", &limited(), clock::now());
    assert_eq!(ids(&set, "r", Some("c"))[0], "a/m");
    assert_eq!(set.affinity_key("r", None), None);
    assert_eq!(set.affinity_key("m", Some("c")), None, "a model is no route");
    let without = set_of(&route("affinity = false\n"), None);
    assert_eq!(without.affinity_key("r", Some("c")), None);
}

#[test]
fn two_routes_with_the_same_conversation_do_not_share_their_affinity() {
    let set = set_of(&format!("{}[[route]]\nname = \"s\"\ntargets = [\"a/m\", \"b/m\"]\n", route("")), None);
    set.memory.record_affinity(&set.affinity_key("r", Some("c")).expect("a key"), "b/m", clock::now());
    assert_eq!(
        (ids(&set, "r", Some("c"))[0].as_str(), ids(&set, "s", Some("c"))[0].as_str()),
        ("b/m", "a/m")
    );
}

#[test]
fn the_least_busy_and_the_cheapest_come_first_where_the_strategy_says_so() {
    let set = set_of(&route("strategy = \"least_busy\"\n"), None);
    let open = OpenCount::new(&one(&set, "a/m"));
    assert_eq!(ids(&set, "r", None), ["b/m", "a/m"]);
    drop(open);
    assert_eq!(ids(&set, "r", None), ["a/m", "b/m"]);
    let price = |dollars: u8| {
        format!("models = [{{ id = \"m\", price = {{ input = {dollars}, output = {dollars} }} }}]")
    };
    let text = route("strategy = \"score\"\n")
        .replace("models = [\"m\"]", &price(9))
        .replace("models = [\"m\", \"n\"]", &price(1));
    assert_eq!(ids(&set_of(&text, None), "r", None), ["b/m", "a/m"]);
}

#[test]
fn a_new_configuration_keeps_what_did_not_change() {
    let before = set_of(&file(""), None);
    play(&one(&before, "a/m"), TurnOutcome::Failed(FailureKind::Overloaded));
    play(&one(&before, "b/m"), TurnOutcome::Succeeded);
    before.endpoints()[0].pool.failed(0, &limited(), clock::now());
    before.memory.failed("a/m", &limited(), clock::now());

    // `a` moves to another address, `b` stays as it is, `c` is new.
    let text = file("[[endpoint]]\nname = \"c\"\nbase_url = \"https://c.test\"\n")
        .replace("https://a.test", "https://a2.test");
    let after = set_of(&text, Some(&before));
    let (old, new) = (before.endpoints(), after.endpoints());
    assert!(Arc::ptr_eq(&old[1], &new[1]), "`b` keeps its connections and clocks");
    assert!(!Arc::ptr_eq(&old[0], &new[0]));
    assert_eq!(new[0].endpoint.base_url, "https://a2.test");
    let states = after.states(Clocks::now());
    let totals: Vec<u64> = states.iter().map(|state| state.turns_total).collect();
    assert_eq!(totals, [1, 1, 0], "counters go on");
    assert_eq!((states[0].turns_failed, states[0].last_failure.as_deref()), (1, Some("overloaded")));
    assert_eq!((states[0].keys, states[0].keys_resting), (1, 1), "the key's cooldown goes on");
    assert!(!after.memory.health("a/m").is_ready(clock::now()), "and the target's health");

    // A turn that was open through the change ends in the same counters.
    let open = OpenCount::new(&one(&before, "a/m"));
    assert_eq!(after.states(Clocks::now())[0].turns_open, 1);
    open.end(TurnOutcome::Succeeded);
    let state = after.states(Clocks::now()).remove(0);
    assert_eq!((state.turns_open, state.last_failure), (0, None));
}

#[test]
fn only_the_endpoints_that_are_meant_get_new_connections() {
    let set = set_of(&file(""), None);
    play(&one(&set, "a/m"), TurnOutcome::Succeeded);
    let same = |again: &EndpointSet| {
        let pairs = set.endpoints().iter().zip(again.endpoints());
        pairs.map(|(old, new)| Arc::ptr_eq(old, new)).collect::<Vec<_>>()
    };
    let one = set.reconnected(Some("a"));
    assert_eq!(same(&one), [false, true]);
    assert_eq!(same(&set.reconnected(None)), [false, false]);
    assert_eq!(same(&set.reconnected(Some("unknown"))), [true, true]);
    assert_eq!(one.states(Clocks::now())[0].turns_total, 1, "counters go on");
}

#[test]
fn the_state_of_an_endpoint_is_that_of_its_last_turn() {
    let set = set_of(&file(""), None);
    let target = one(&set, "a/m");
    let state = || set.states(Clocks::now()).remove(0);
    assert_eq!((state().state.as_str(), state().name.as_str()), ("idle", "a"));
    play(&target, TurnOutcome::Failed(FailureKind::Timeout));
    assert_eq!((state().state.as_str(), state().last_failure.as_deref()), ("failing", Some("timeout")));
    drop(OpenCount::new(&target));
    assert_eq!(state().state, "failing", "a client that left proves nothing");
    play(&target, TurnOutcome::Succeeded);
    let last = state();
    assert_eq!((last.state.as_str(), last.turns_total, last.turns_failed, last.turns_open), ("ok", 3, 1, 0));
}

#[test]
fn repairs_are_counted_by_model() {
    let set = set_of(&file(""), None);
    for (model, repairs) in [("m", 2), ("n", 1), ("m", 3), ("n", 0)] {
        let mut count = OpenCount::new(&one(&set, &format!("b/{model}")));
        count.repairs = repairs;
        count.end(TurnOutcome::Succeeded);
    }
    let repairs = set.states(Clocks::now()).remove(1).repairs;
    assert_eq!(repairs, BTreeMap::from([("m".to_owned(), 5), ("n".to_owned(), 1)]));
}
