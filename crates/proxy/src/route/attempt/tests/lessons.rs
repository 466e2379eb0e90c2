//! What refusals teach: a lesson is held while the turn lasts, and remembered once it helped.

use latimer_adapters::errors::tokens::OutputBounds;
use latimer_adapters::field_rules::FieldRule;
use latimer_adapters::limitation::Limitation;
use latimer_adapters::teaching::{OutputLesson, Pictures, Teaching};
use latimer_protocol::failure::FailureKind;

use super::util::{Answer, Scene, answer, refuse, teach_this};
use super::{ONE, ROUTE, check};

const CAPPED: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = [{ id = "m", max_output = 5000 }]
"#;

fn cap(tokens: u64) -> Answer {
    let bounds = OutputBounds { max: Some(tokens), ..OutputBounds::default() };
    teach_this(Teaching::Output(OutputLesson { now: Some(tokens), bounds }), "too many tokens")
}

fn window(window: u64, prompt: u64) -> Answer {
    let bounds = OutputBounds { window: Some(window), prompt: Some(prompt), ..OutputBounds::default() };
    teach_this(Teaching::Output(OutputLesson { now: Some(window - prompt), bounds }), "beyond the window")
}

fn picture(pictures: Pictures, words: &str) -> Answer {
    teach_this(Teaching::Pictures(pictures), words)
}

#[test]
fn numbers_of_tokens() {
    check([
        (
            "what the refusal allows is asked for, and remembered",
            Scene::new(ONE, "m", [cap(8192), answer("text hi|stop")]).max_output(32_000),
            "send a/m with key-1, at most 32000 tokens
            send a/m with key-1, at most 8192 tokens
            note learned of a/m: `max_output_tokens` is at most 8192 (too many tokens)
            note `max_tokens` was set to 8192: that is as much as this endpoint takes
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, learned max_output_tokens",
        ),
        (
            "of a window what is left is asked for, and the window remembered",
            Scene::new(ONE, "m", [window(9000, 1000), answer("text hi|stop")]).max_output(32_000),
            "send a/m with key-1, at most 32000 tokens
            send a/m with key-1, at most 8000 tokens
            note learned of a/m: `context_window` is at most 9000 (beyond the window)
            note `max_tokens` was set to 8000: that is as much as this endpoint takes
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, learned context_window",
        ),
        (
            "what is configured is never exceeded",
            Scene::new(CAPPED, "m", [answer("text hi|stop")]).max_output(32_000),
            "send a/m with no key, at most 5000 tokens
            note `max_tokens` was set to 5000: that is as much as this endpoint takes
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}

#[test]
fn what_does_not_help_is_no_lesson() {
    check([
        (
            "the same words again: the tools go out as ever",
            Scene::new(
                ONE,
                "m",
                [
                    teach_this(Teaching::Whole(Limitation::NoTools), "no tools"),
                    teach_this(Teaching::Whole(Limitation::NoTools), "no tools"),
                ],
            ),
            "send a/m with key-1
            send a/m with key-1
            note learned of a/m: tools are left out (no tools)
            failed bad_request: no tools
            0 retries, 0 repairs
            a: 0 open, 1 of 1 failed",
        ),
        (
            "the turn fails for another reason",
            Scene::new(
                ROUTE,
                "r",
                [
                    teach_this(Teaching::Whole(Limitation::NoTools), "no tools"),
                    refuse(FailureKind::Forbidden),
                    answer("text hi|stop"),
                ],
            ),
            "send a/m with no key
            send a/m with no key
            note learned of a/m: tools are left out (no tools)
            send b/m with no key
            note a/m did not answer (no); b/m is asked
            text \"hi\"
            finished stop
            ended
            1 retries, 0 repairs
            a: 0 open, 1 of 1 failed
            b: 0 open, 0 of 1 failed",
        ),
        (
            "what is only true of this turn",
            Scene::new(
                ONE,
                "m",
                [
                    teach_this(Teaching::ThisTurn(Limitation::NoJsonSchema), "this schema"),
                    answer("text hi|stop"),
                ],
            ),
            "send a/m with key-1
            send a/m with key-1
            note learned of a/m: for this turn, a JSON schema is put into words (this schema)
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "a field and its values",
            Scene::new(
                ONE,
                "m",
                [
                    teach_this(
                        Teaching::Field { path: "service_tier".to_owned(), rule: FieldRule::Absent },
                        "no tiers",
                    ),
                    answer("text hi|stop"),
                ],
            ),
            "send a/m with key-1
            send a/m with key-1
            note learned of a/m: `service_tier` is left out (no tiers)
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed, learned service_tier",
        ),
    ]);
}

#[test]
fn pictures_that_are_refused() {
    check([
        (
            "the one that is named, and then another one",
            Scene::new(
                ONE,
                "m",
                [
                    picture(Pictures::Nth(1), "the second"),
                    picture(Pictures::Nth(1), "the third"),
                    answer("text hi|stop"),
                ],
            )
            .pictures(["data:1", "data:2", "data:3"]),
            "send a/m with key-1, 2 messages, 3 pictures
            send a/m with key-1, 2 messages, 2 pictures
            note learned of a/m: a picture is replaced by a note (the second)
            note a picture that the provider refuses was replaced by a note
            send a/m with key-1, 2 messages, 1 pictures
            note learned of a/m: a picture is replaced by a note (the third)
            note a picture that the provider refuses was replaced by a note
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
        (
            "it was another one: all of them",
            Scene::new(
                ONE,
                "m",
                [
                    picture(Pictures::Nth(0), "that one"),
                    picture(Pictures::Nth(0), "that one"),
                    answer("text hi|stop"),
                ],
            )
            .pictures(["data:1", "data:2"]),
            "send a/m with key-1, 2 messages, 2 pictures
            send a/m with key-1, 2 messages, 1 pictures
            note learned of a/m: a picture is replaced by a note (that one)
            note a picture that the provider refuses was replaced by a note
            send a/m with key-1, 2 messages
            note learned of a/m: for this turn, pictures are replaced by a note (that one)
            note a picture that the provider refuses was replaced by a note
            text \"hi\"
            finished stop
            ended
            0 retries, 0 repairs
            a: 0 open, 0 of 1 failed",
        ),
    ]);
}
