//! Up to the first thing that the client sees: the same target again, another key, another target, a better request.

use std::time::Duration;

use latimer_adapters::limitation::Limitation;
use latimer_protocol::failure::{Failure, FailureKind};

use super::util::{Scene, answer, refuse, refuse_for, teach};
use super::{ONE, ROUTE, TWO_KEYS, check};

const FEW_RETRIES: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]
retries = 1
"#;

const ADAPTIVE: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]
history = { adaptive = true }
"#;

#[test]
fn the_same_target_again() {
    check([
        (
            "an answer",
            Scene::new(ONE, "m", [answer("started|text hi|usage 3|stop")]),
            "send a/m with key-1
            started
            text \"hi\"
            usage out=3
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "the same key after a wait",
            Scene::new(
                ONE,
                "m",
                [
                    refuse(FailureKind::UpstreamError),
                    refuse(FailureKind::Unreachable),
                    answer("text hi|stop"),
                ],
            ),
            "send a/m with key-1
            wait 375ms
            send a/m with key-1
            wait 750ms
            send a/m with key-1
            text \"hi\"
            finished stop
            ended
            2 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "a provider names a time",
            Scene::new(ONE, "m", [refuse_for(FailureKind::RateLimited, 60), answer("text hi|stop")]),
            "send a/m with key-1
            wait 60s
            send a/m with key-1
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "a provider names too long a time",
            Scene::new(ONE, "m", [refuse_for(FailureKind::RateLimited, 61)]),
            "send a/m with key-1
            failed rate_limited: no (to be asked again in 1 min)
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed, key-1 cools down 61s",
        ),
        (
            "an answer breaks before anything of it was shown",
            Scene::new(ONE, "m", [answer("started|usage 9|..."), answer("started|text hi|usage 3|stop")]),
            "send a/m with key-1
            started
            usage out=9
            wait 375ms
            send a/m with key-1
            started
            text \"hi\"
            usage out=3
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "what will never work is not tried again",
            Scene::new(ONE, "m", [refuse(FailureKind::ModelNotFound)]),
            "send a/m with key-1
            failed model_not_found: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "all slots of the endpoint stay taken",
            Scene::new(ONE, "m", [refuse(FailureKind::ConcurrencyLimited), answer("text hi|stop")]),
            "send a/m with key-1
            wait 375ms
            send a/m with key-1
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}

#[test]
fn retries_have_an_end() {
    check([
        (
            "their number",
            Scene::new(FEW_RETRIES, "m", [refuse(FailureKind::Overloaded), refuse(FailureKind::Overloaded)]),
            "send a/m with no key
            wait 375ms
            send a/m with no key
            failed overloaded: no
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "their budget",
            Scene::new(ONE, "m", [refuse(FailureKind::Overloaded)])
                .before(|targets, now| while targets[0].runtime.budget().take_retry(now) {}),
            "send a/m with key-1
            failed overloaded: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed, key-1 cools down 60s",
        ),
    ]);
}

#[test]
fn another_key() {
    check([
        (
            "the next key at once",
            Scene::new(TWO_KEYS, "m", [refuse(FailureKind::RateLimited), answer("text hi|stop")]),
            "send a/m with key-1
            send a/m with key-2
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 0 of 1 failed, key-1 cools down 60s",
        ),
        (
            "only another key helps, and none is left",
            Scene::new(
                TWO_KEYS,
                "m",
                [refuse(FailureKind::Unauthorized), refuse(FailureKind::QuotaExhausted)],
            ),
            "send a/m with key-1
            send a/m with key-2
            failed quota_exhausted: no
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed, key-1 cools down 600s, key-2 cools down 600s",
        ),
        (
            "no key is ready: the one that is ready first, when it is",
            Scene::new(TWO_KEYS, "m", [answer("text hi|stop")]).before(|targets, now| {
                let limited = |seconds| Failure {
                    retry_after: Some(Duration::from_secs(seconds)),
                    ..Failure::new(FailureKind::RateLimited, "no")
                };
                targets[0].runtime.pool.failed(0, &limited(90), now);
                targets[0].runtime.pool.failed(1, &limited(30), now);
            }),
            "wait 30s
            send a/m with key-2
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, key-1 cools down 60s",
        ),
        (
            "the endpoint has no key at all",
            Scene::new(FEW_RETRIES, "m", [refuse(FailureKind::Unauthorized)]),
            "send a/m with no key
            failed unauthorized: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
    ]);
}

#[test]
fn another_target() {
    check([
        (
            "the next target",
            Scene::new(ROUTE, "r", [refuse(FailureKind::Overloaded), answer("text hi|stop")])
                .conversation("c"),
            "send a/m with no key
            send b/m with no key
            note a/m did not answer (no); b/m is asked
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed
            affinity to b/m",
        ),
        (
            "no target is left",
            Scene::new(ROUTE, "r", [refuse(FailureKind::Timeout), refuse(FailureKind::BadRequest)])
                .conversation("c"),
            "send a/m with no key
            send b/m with no key
            note a/m did not answer (no); b/m is asked
            failed bad_request: no endpoint of the route answered: a/m: no; no
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 1 of 1 failed",
        ),
        (
            "the last target is tried again after a wait",
            Scene::new(
                ROUTE,
                "r",
                [refuse(FailureKind::Timeout), refuse(FailureKind::Overloaded), answer("text hi|stop")],
            ),
            "send a/m with no key
            send b/m with no key
            note a/m did not answer (no); b/m is asked
            wait 750ms
            send b/m with no key
            text \"hi\"
            finished stop
            ended
            2 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
        (
            "too long a history is too long everywhere",
            Scene::new(ROUTE, "r", [refuse(FailureKind::ContextLength)]),
            "send a/m with no key
            failed context_length_exceeded: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 0 failed",
        ),
        (
            "a target whose circuit is open comes last",
            Scene::new(ROUTE, "r", [answer("text hi|stop")]).before(|targets, now| {
                let broken = Failure::new(FailureKind::UpstreamError, "x");
                (0..3).for_each(|_| targets[0].runtime.memory.failed(&targets[0].id, &broken, now));
            }),
            "send b/m with no key
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 0 failed
            b: 0 open, 0 of 1 failed",
        ),
    ]);
}

#[test]
fn a_better_request() {
    check([
        (
            "a limitation is learned and the request written without it",
            Scene::new(ONE, "m", [teach(Limitation::NoStreamOptions), answer("text hi|stop")]),
            "send a/m with key-1
            send a/m with key-1
            note learned of a/m: stream_options is left out (no)
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, learned no_stream_options",
        ),
        (
            "the same limitation again teaches nothing",
            Scene::new(ONE, "m", [teach(Limitation::NoStrict), teach(Limitation::NoStrict)]),
            "send a/m with key-1
            send a/m with key-1
            note learned of a/m: strict is left out (no)
            failed bad_request: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "an endpoint that teaches too much",
            Scene::new(
                FEW_RETRIES,
                "m",
                [
                    teach(Limitation::NoStrict),
                    teach(Limitation::NoImages),
                    teach(Limitation::NoTools),
                    teach(Limitation::NoCacheKey),
                    teach(Limitation::NoSampling),
                ],
            ),
            "send a/m with no key
            send a/m with no key
            note learned of a/m: strict is left out (no)
            send a/m with no key
            note learned of a/m: images are replaced by a note (no)
            send a/m with no key
            note learned of a/m: tools are left out (no)
            send a/m with no key
            note learned of a/m: keys and marks for caches are left out (no)
            failed bad_request: no
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "fewer items until they are taken",
            Scene::new(
                ADAPTIVE,
                "m",
                [refuse(FailureKind::BadRequest), refuse(FailureKind::ContextLength), answer("text hi|stop")],
            )
            .items(30),
            "send a/m with no key, 30 messages
            send a/m with no key, 18 messages
            note a/m failed on 30 items; trying fewer
            note 13 of 30 items were replaced by a summary: this endpoint takes at most 19
            send a/m with no key, 10 messages
            note a/m failed on 18 items; trying fewer
            note 21 of 30 items were replaced by a summary: this endpoint takes at most 11
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, at most 11 items",
        ),
    ]);
}
