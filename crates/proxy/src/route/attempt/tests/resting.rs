//! Times that providers named to other turns: what waits for them, what goes elsewhere, and what is given up at once.

use std::time::{Duration, Instant};

use latimer_protocol::failure::{Failure, FailureKind};

use super::util::{Scene, answer, refuse, refuse_for};
use super::{ONE, ROUTE, TWO_KEYS, check};
use crate::route::endpoint_set::RouteTarget;

/// Somebody else was refused with these words, and with this time where the provider named one.
fn refused(target: &RouteTarget, key: Option<usize>, kind: FailureKind, seconds: Option<u64>, now: Instant) {
    let retry_after = seconds.map(Duration::from_secs);
    let failure = Failure { retry_after, ..Failure::new(kind, "slow down") };
    target.runtime.memory.failed(&target.id, &failure, now);
    target.runtime.stats.note(&failure, super::util::UNIX);
    if let Some(key) = key {
        target.runtime.pool.failed(key, &failure, now);
    }
}

#[test]
fn one_target_that_rests() {
    check([
        (
            "its only key rests: the turn waits and is sent then",
            Scene::new(ONE, "m", [answer("text hi|stop")]).before(|targets, now| {
                refused(&targets[0], Some(0), FailureKind::RateLimited, Some(30), now);
            }),
            "wait 30s
            send a/m with key-1
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "longer than the client is held for: nothing is sent, and the provider's time and words are told",
            Scene::new(ONE, "m", []).before(|targets, now| {
                refused(&targets[0], Some(0), FailureKind::RateLimited, Some(300), now);
            }),
            "failed rate_limited: a asked for it: slow down (to be asked again in 5 min)
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed, key-1 cools down 300s",
        ),
        (
            "a window that is used up is told as what it is",
            Scene::new(ONE, "m", []).before(|targets, now| {
                refused(&targets[0], Some(0), FailureKind::WindowExhausted, Some(7200), now);
            }),
            "failed window_exhausted: a asked for it: slow down (to be asked again in 2 h 0 min)
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed, key-1 cools down 7200s",
        ),
        (
            "once a minute one turn looks whether a long time still holds",
            Scene::new(ONE, "m", [answer("text hi|stop")]).before(|targets, now| {
                refused(&targets[0], Some(0), FailureKind::RateLimited, Some(7200), now);
                let limited = Failure {
                    retry_after: Some(Duration::from_secs(7200)),
                    ..Failure::new(FailureKind::RateLimited, "slow down")
                };
                targets[0].runtime.stats.note(&limited, super::util::UNIX - 60);
            }),
            "send a/m with key-1
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "a time of latimer's own choosing is a guess: trying is better",
            Scene::new(ONE, "m", [answer("text hi|stop")])
                .before(|targets, now| refused(&targets[0], Some(0), FailureKind::RateLimited, None, now)),
            "send a/m with key-1
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "an endpoint without a key rests as well, whatever the refusal was",
            Scene::new(NO_KEY, "m", [answer("text hi|stop")])
                .before(|targets, now| refused(&targets[0], None, FailureKind::UpstreamError, Some(20), now)),
            "wait 20s
            send a/m with no key
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "another key is ready",
            Scene::new(TWO_KEYS, "m", [answer("text hi|stop")]).before(|targets, now| {
                refused(&targets[0], Some(0), FailureKind::RateLimited, Some(30), now);
            }),
            "send a/m with key-2
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, key-1 cools down 30s",
        ),
        (
            "waits of one turn have a sum",
            Scene::new(ONE, "m", [refuse_for(FailureKind::RateLimited, 40), answer("text hi|stop")]).before(
                |targets, now| refused(&targets[0], Some(0), FailureKind::RateLimited, Some(30), now),
            ),
            "wait 30s
            send a/m with key-1
            wait 40s
            send a/m with key-1
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}

const NO_KEY: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]
"#;

fn limited(target: &RouteTarget, seconds: u64, now: Instant) {
    refused(target, None, FailureKind::RateLimited, Some(seconds), now);
}

#[test]
fn a_route_whose_targets_rest() {
    check([
        (
            "all of them: the one that is free first",
            Scene::new(ROUTE, "r", [answer("text hi|stop")]).before(|targets, now| {
                limited(&targets[0], 50, now);
                limited(&targets[1], 20, now);
            }),
            "wait 20s
            send b/m with no key
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 0 failed
            b: 0 open, 0 of 1 failed",
        ),
        (
            "all of them, for long: the first time of all is told",
            Scene::new(ROUTE, "r", []).before(|targets, now| {
                limited(&targets[0], 3600, now);
                limited(&targets[1], 300, now);
            }),
            "failed rate_limited: b asked for it: slow down (to be asked again in 5 min)
            0 retries, 0 repairs
            a: 0 open, 0 of 0 failed
            b: 0 open, 1 of 1 failed",
        ),
        (
            "the other one rests for longer than this one asks for",
            Scene::new(ROUTE, "r", [refuse_for(FailureKind::RateLimited, 5), answer("text hi|stop")])
                .before(|targets, now| limited(&targets[1], 50, now)),
            "send a/m with no key
            wait 5s
            send a/m with no key
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed
            b: 0 open, 0 of 0 failed",
        ),
        (
            "the other one is free before this one",
            Scene::new(ROUTE, "r", [refuse_for(FailureKind::RateLimited, 50), answer("text hi|stop")])
                .before(|targets, now| limited(&targets[1], 5, now)),
            "send a/m with no key
            wait 5s
            note a/m did not answer (no); b/m is asked
            send b/m with no key
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
        (
            "what fails for other reasons is asked elsewhere, after the wait there",
            Scene::new(ROUTE, "r", [refuse(FailureKind::Unauthorized), answer("text hi|stop")])
                .before(|targets, now| limited(&targets[1], 5, now)),
            "send a/m with no key
            wait 5s
            note a/m did not answer (no); b/m is asked
            send b/m with no key
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
    ]);
}
