//! What the watchdog records, reports and says of a provider that tells the key it was sent.

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::json;

use super::echoed_keys::{KEYS, WORDINGS, assert_silent, parts, wording};
use crate::support::field_report::{ProviderAnswer, RuleProvider};
use crate::support::output;
use crate::support::watchdog::{End, WatchdogHarness, logs, on};

/// A key that only its value tells from any other text.
const KEY: &str = KEYS[18];

#[test]
fn an_incident_of_a_provider_that_says_the_key_tells_nothing_of_it() {
    let mut asked = 0;
    let provider = RuleProvider::start(move |_| {
        asked += 1;
        let body = wording(asked % WORDINGS, KEY).into_bytes();
        ProviderAnswer { status: 500, content_type: "application/json", body }
    });
    let more = format!(
        "[watchdog]\nauto_switch_provider = true\n[[endpoint]]\nname = \"broken\"\nbase_url = \"{}\"\napi_key = \"{KEY}\"\nmodels = [\"glm-5\"]\nretries = 0\n",
        provider.base_url
    );
    let harness = WatchdogHarness::configured("reports", [ScriptedAnswer::text("Hi.")], &more, &[]);
    let client = harness.client();
    for _ in 0..WORDINGS {
        let (status, answer) = client
            .send("POST /v1/responses", r#"{"model":"broken/glm-5","input":"go","store":false}"#)
            .expect("answered");
        assert!(status >= 400, "{answer}");
        assert_silent("the client", answer.as_bytes(), &parts());
    }
    harness.until("there is an incident", |harness| {
        let incidents = harness.ask("incidents").expect("listed");
        incidents.as_array().is_some_and(|all| all.iter().any(|one| one["fault"] == "B2"))
    });
    assert_ne!(client.turn().0, End::Cut, "{}", logs(&harness.dir));
    let parts = parts();
    for command in ["status", "incidents", "rules", "export"] {
        for form in [None, Some("--json")] {
            let output = output(on(&harness.dir, command).args(form));
            let text = [output.stdout, output.stderr].concat();
            assert!(!text.is_empty(), "{command}");
            assert_silent(command, &text, &parts);
        }
    }
    let (_, health) = client.get("/health").expect("answered");
    assert!(health.contains("broken"), "{health}");
    assert_silent("/health", health.as_bytes(), &parts);
    let log = std::fs::read(harness.dir.join("watchdog.log")).expect("a log");
    assert_silent("watchdog.log", &log, &parts);
    let files = super::state_files(&harness.dir);
    assert!(files.iter().any(|(path, _)| path.ends_with("proxy.log")), "{:?}", json!(files.len()));
    for (path, bytes) in files {
        assert_silent(&path, &bytes, &parts);
    }
}
