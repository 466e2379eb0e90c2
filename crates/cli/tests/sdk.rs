//! The vendors' own SDKs read what the proxy writes: every event and answer fits their types, without coercion.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::json;
use support::{Harness, program};

#[test]
fn every_object_fits_the_vendors_types() {
    let Some(python) = program("LATIMER_PYTHON") else { return };
    let ended = |step: Step, reason: &str| {
        ScriptedAnswer::steps([step, Step::finish(reason), Step::usage(9, 3), Step::Done])
    };
    let answers = [
        ScriptedAnswer::turn([Step::reasoning("Hm."), Step::text("Hello there.")]).when("text"),
        ScriptedAnswer::call("c1", "exec_command", json!({"cmd": "ls"})).when("call"),
        ScriptedAnswer::call("c2", "apply_patch", json!({"input": "*** Begin Patch"})).when("custom"),
        ScriptedAnswer::call("c3", "mcp__lab__add", json!({"a": 1})).when("namespace"),
        ended(Step::text("And so on"), "length").when("length"),
        ended(Step::text("Well"), "content_filter").when("filter"),
        ScriptedAnswer::steps([Step::text("Half"), Step::Cut]).when("cut"),
    ];
    // With a second endpoint and no default one, a model that nobody lists is unknown.
    let second = "[[endpoint]]\nname = \"other\"\nbase_url = \"http://127.0.0.1:9/v1\"";
    let harness = Harness::configured("sdk", answers, "", second);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sdk_check.py");
    let output = support::output(Command::new(python).args([script, &harness.url, &harness.token()]));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for line in [
        "text response.completed",
        "length response.incomplete",
        "filter response.incomplete",
        "cut response.failed",
        "refused unknown role: BadRequestError input[0].role invalid_value",
        "refused tool without a name: BadRequestError tools[0].name missing_required_parameter",
        "refused too many pairs: BadRequestError metadata object_above_max_properties",
        "refused too long a value: BadRequestError metadata string_above_max_length",
        "refused unknown model: NotFoundError model model_not_found",
        "refused wrong token: AuthenticationError",
        "chat text stop",
        "chat call tool_calls",
        "chat length length",
        "chat filter content_filter",
        "messages text end_turn",
        "messages call tool_use",
        "messages length max_tokens",
        "messages filter refusal",
        "fine",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is missing in\n{said}");
    }
}
