//! From the first thing that the client sees: nothing is sent twice, the model may be asked again, the client may leave; and answers
//! that go through as they are.

use latimer_protocol::failure::FailureKind;

use super::util::{Scene, answer, refuse};
use super::{ONE, ROUTE, TWO_KEYS, check};

const PASSES: &str = r#"
[[endpoint]]
name = "a"
protocol = "responses"
base_url = "http://127.0.0.1:1"
models = ["m"]
"#;

const ROUTE_PASSES: &str = r#"
[[endpoint]]
name = "a"
protocol = "responses"
base_url = "http://127.0.0.1:1"
models = ["m"]

[[endpoint]]
name = "b"
protocol = "responses"
base_url = "http://127.0.0.1:2"
models = ["m"]

[[route]]
name = "r"
targets = ["a/m", "b/m"]
"#;

#[test]
fn nothing_is_sent_twice_after_something_was_shown() {
    check([
        (
            "the answer breaks in the same read",
            Scene::new(TWO_KEYS, "m", [answer("started|text hi|fail upstream_error")]),
            "send a/m with key-1
            started
            text \"hi\"
            finished failed upstream_error \"broke\"
            ended
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "the answer breaks later",
            Scene::new(ROUTE, "r", [answer("started|text hi|...|text more|...")]).conversation("c"),
            "send a/m with no key
            started
            text \"hi\"
            text \"more\"
            finished failed interrupted \"cut\"
            ended
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 0 failed
            affinity to a/m",
        ),
        (
            "the client leaves in the middle",
            Scene::new(ONE, "m", [answer("text hi|...|hang")]),
            "send a/m with key-1
            text \"hi\"
            the client leaves
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "the client leaves before anything came",
            Scene::new(ONE, "m", [answer("started|hang")]),
            "send a/m with key-1
            started
            the client leaves
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "an answer of nothing is an answer",
            Scene::new(ONE, "m", [answer("started|stop")]),
            "send a/m with key-1
            started
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}

#[test]
fn the_model_is_asked_again() {
    const CALL: &str = "text <tool_call>{\"name\": oops}</tool_call>|usage 3|stop";
    check([
        (
            "before anything was shown",
            Scene::new(ONE, "m", [answer(CALL), answer("text Done.|usage 4|stop")]).tool("exec"),
            "send a/m with key-1
            note the call is malformed (hermes)
            usage out=3
            send a/m with key-1, 3 messages
            usage out=7
            text \"<tool_call>{\\\"name\\\": oops}</tool_call>\"
            finished stop
            ended
            0 retries, 1 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "after something was shown, with the same key",
            Scene::new(
                TWO_KEYS,
                "m",
                [
                    answer("text Let me look.|...|text <tool_call>{\"name\": oops}</tool_call>|usage 3|stop"),
                    answer("text Done.|usage 4|stop"),
                ],
            )
            .tool("exec"),
            "send a/m with key-1
            text \"Let me look.\"
            note the call is malformed (hermes)
            usage out=3
            send a/m with key-1, 3 messages
            usage out=7
            text \"<tool_call>{\\\"name\\\": oops}</tool_call>\"
            finished stop
            ended
            0 retries, 1 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "and the question is refused: the answer stands",
            Scene::new(ONE, "m", [answer(CALL), refuse(FailureKind::RateLimited)]).tool("exec"),
            "send a/m with key-1
            note the call is malformed (hermes)
            usage out=3
            send a/m with key-1, 3 messages
            note the model could not be asked again: no
            text \"<tool_call>{\\\"name\\\": oops}</tool_call>\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "and the answer to it breaks: the answer stands",
            Scene::new(ONE, "m", [answer(CALL), answer("started")]).tool("exec"),
            "send a/m with key-1
            note the call is malformed (hermes)
            usage out=3
            send a/m with key-1, 3 messages
            started
            note the model could not be asked again: cut
            text \"<tool_call>{\\\"name\\\": oops}</tool_call>\"
            finished stop
            ended
            0 retries, 1 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "an answer that a length limit cut is gone on with, and stays cut where the rest does not fit",
            Scene::new(
                ONE,
                "m",
                [answer("text One, two|usage 3|length"), answer("text , three.|usage 4|stop")],
            )
            .tool("exec"),
            "send a/m with key-1
            text \"One, two\"
            usage out=3
            send a/m with key-1, 3 messages
            usage out=7
            note the continuation does not begin where the answer ended, and was not joined
            finished length
            ended
            0 retries, 1 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}

#[test]
fn passthrough() {
    check([
        (
            "the request goes as it came",
            Scene::new(PASSES, "m", [answer("text hi|stop")]).passed_on(),
            "send a/m with no key, as it came
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "unless the client's writer has begun",
            Scene::new(ROUTE_PASSES, "r", [answer("started|fail timeout"), answer("text hi|stop")])
                .passed_on(),
            "send a/m with no key, as it came
            started
            send b/m with no key
            note a/m did not answer (broke); b/m is asked
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
        (
            "a keep-alive begins it too",
            Scene::new(ROUTE_PASSES, "r", [refuse(FailureKind::Timeout), answer("text hi|stop")])
                .passed_on()
                .writer_starts(),
            "send a/m with no key, as it came
            send b/m with no key
            note a/m did not answer (no); b/m is asked
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
    ]);
}
