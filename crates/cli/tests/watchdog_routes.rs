//! What the watchdog may change in a running proxy, and the turn it asks for itself.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer};
use serde_json::{Value, json};
use support::watchdog::{self, End, WatchdogHarness, configured, kill, logs, on, wait};

fn json_of((status, body): (u16, String)) -> (u16, Value) {
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[test]
fn a_probe_walks_the_whole_way_and_stands_in_no_account() {
    let harness = WatchdogHarness::new("probe", [ScriptedAnswer::text("Hi.")]);
    let client = harness.client();
    let ask = r#"{"model":"latimer/probe","input":"Are you well?","stream":false,"store":false}"#;
    let (status, answer) = json_of(client.send("POST /v1/responses", ask).expect("answered"));
    assert_eq!((status, &answer["status"]), (200, &json!("completed")), "{answer}");
    let (_, health) = json_of(client.get("/health").expect("answered"));
    assert_eq!((&health["turns_total"], &health["overrides"]), (&json!(0), &json!([])), "{health}");
    let (_, turns) = json_of(client.get("/v1/turns").expect("answered"));
    assert_eq!(turns["data"].as_array().or(turns.as_array()).map(Vec::len), Some(0), "{turns}");
    let stranger = watchdog::Client::new(harness.url.trim_start_matches("http://"), "wrong");
    assert_eq!(stranger.send("POST /v1/responses", ask).expect("answered").0, 401);
    assert!(!logs(&harness.dir).contains("turn.done"), "the log is about people's turns");
}

#[test]
fn overrides_are_for_friends_for_a_time_and_for_what_exists() {
    let harness = WatchdogHarness::new("overrides", [ScriptedAnswer::text("Hi.")]);
    let client = harness.client();
    let add = |body: &Value| client.send("POST /v1/admin/overrides", &body.to_string()).expect("answered");
    let raise =
        json!({"kind": "raise_timeouts", "endpoint": "lab", "factor": 2.0, "seconds": 60, "why": "B5"});
    let stranger = watchdog::Client::new(harness.url.trim_start_matches("http://"), "wrong");
    let refused = stranger.send("POST /v1/admin/overrides", &raise.to_string()).expect("answered");
    assert_eq!(refused.0, 401);
    let (status, added) = json_of(add(&raise));
    assert_eq!(status, 200, "{added}");
    for (change, value) in
        [("endpoint", json!("none")), ("factor", json!(99)), ("seconds", json!(0)), ("kind", json!("x"))]
    {
        let mut wrong = raise.clone();
        wrong[change] = value;
        assert_eq!(add(&wrong).0, 400, "{wrong}");
    }
    let (_, health) = json_of(client.get("/health").expect("answered"));
    assert_eq!(
        (&health["overrides"][0]["kind"], &health["overrides"][0]["why"]),
        (&json!("raise_timeouts"), &json!("B5"))
    );
    assert_eq!(client.turn().0, End::Complete);
    let one = format!("DELETE /v1/admin/overrides/{}", added["id"]);
    assert_eq!(client.send(&one, "").expect("answered").0, 200);
    assert_eq!(client.send(&one, "").expect("answered").0, 404);
    for path in ["POST /v1/admin/reconnect/lab", "POST /v1/admin/retry", "DELETE /v1/admin/learned"] {
        assert_eq!(client.send(path, "").expect("answered").0, 200, "{path}");
    }
    assert_eq!(client.turn().0, End::Complete, "with new connections");
}

#[test]
fn a_provider_that_breaks_is_left_for_a_time_when_the_person_allows_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let broken = Scenario::new([ScriptedAnswer::error(500, json!({"error": {"message": "internal"}}))])
        .without_record();
    let broken = runtime.block_on(Provider::start(broken)).expect("a provider");
    let more = format!(
        "[watchdog]\nauto_switch_provider = true\n[[endpoint]]\nname = \"broken\"\nbase_url = \"{}\"\napi_key = \"k\"\nmodels = [\"glm-5\"]\nretries = 0\n",
        broken.base_url()
    );
    let harness = WatchdogHarness::configured("switch", [ScriptedAnswer::text("Hi.")], &more, &[]);
    let client = harness.client();
    for _ in 0..3 {
        assert_eq!(client.turn().0, End::Failed);
    }
    harness.until("turns go to the other provider", |harness| {
        let (_, health) = json_of(harness.client().get("/health").expect("answered"));
        health["overrides"].as_array().is_some_and(|overrides| {
            overrides.iter().any(|known| known["kind"] == "avoid_endpoint" && known["endpoint"] == "broken")
        })
    });
    assert_eq!(client.turn().0, End::Complete, "{}", logs(&harness.dir));
    let incidents = harness.ask("incidents").expect("listed");
    assert!(
        incidents.as_array().is_some_and(|all| all.iter().any(|one| one["fault"] == "B2")),
        "{incidents}"
    );
}

#[test]
fn an_upgrade_to_a_program_that_does_not_start_changes_nothing() {
    let dir = configured("bad-upgrade", "http://127.0.0.1:9", "");
    let program = dir.join("latimer");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_latimer"), &program).expect("linked");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let (config, state) = (text(&dir.join("latimer.toml")), text(&dir.join("state")));
    let mut args = vec!["--", program.to_str().expect("text"), "serve", "--log", "json"];
    args.extend(["--config", &config, "--state-dir", &state]);
    let mut child = watchdog::start(&dir, &args);
    watchdog::url_of(&mut child, &dir);
    let pid = || {
        let run = on(&dir, "status").arg("--json").output().expect("it runs");
        serde_json::from_slice::<Value>(&run.stdout).expect("JSON")["proxy"]["pid"].clone()
    };
    let old = pid();
    std::fs::remove_file(&program).expect("removed");
    std::fs::copy("/bin/false", &program).expect("replaced");
    let upgrade = on(&dir, "upgrade").output().expect("it runs");
    assert_eq!(upgrade.status.code(), Some(1));
    let said = String::from_utf8_lossy(&upgrade.stderr).into_owned();
    assert!(said.contains("the old one goes on"), "{said}");
    assert_eq!(pid(), old);
    kill("TERM", child.id());
    assert_eq!(wait(&mut child), Some(0));
}
