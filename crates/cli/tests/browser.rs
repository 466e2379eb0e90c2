//! The page in a real browser: every screen in both themes, narrow and wide, by mouse and by keyboard.
//!
//! `cargo xtask e2e` installs what drives the browser; without it each test says that it was skipped. Pictures of all screens are in
//! `target/e2e/screens` afterwards.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

#[path = "browser/driver.rs"]
mod driver;

use driver::{Browser, SECRET, code};
use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Service, Step};
use serde_json::{Value, json};
use support::watchdog::{WatchdogHarness, kill};
use support::{Harness, latimer_in, output, status};

/// What a hostile model, client or provider writes.
const MARKUP: &str = "<script>window.harmed=1</script><img src=x onerror=\"window.harmed=1\">";
/// Turns its neighbours around, and is a formula to a spreadsheet.
const TURNED: &str = "=HYPERLINK(\"http://127.0.0.1:1\") \u{202e}\u{2066}desrever \u{202d}";

/// Answers by what the last message says: words of all kinds, and failures with hostile words.
fn answers() -> Vec<ScriptedAnswer> {
    let when = |mut answer: ScriptedAnswer, words: &str| {
        answer.when = Some(words.to_owned());
        answer
    };
    let refused =
        |status: u16, words: &str| ScriptedAnswer::error(status, json!({ "error": { "message": words } }));
    let slow = ScriptedAnswer::steps([
        Step::text("half"),
        Step::sleep(4000),
        Step::text(" done"),
        Step::finish("stop"),
        Step::usage(20, 3),
        Step::Done,
    ]);
    vec![
        when(refused(400, &format!("{MARKUP} {TURNED} {}", "long ".repeat(2000))), "be hostile"),
        when(slow, "take your time"),
        ScriptedAnswer::steps([Step::text("ready"), Step::finish("stop"), Step::usage(1200, 40), Step::Done]),
    ]
}

/// Two endpoints on one provider, one of them with hostile names, and a route over both.
fn hostile(name: &str) -> Harness {
    let models = format!("{MARKUP}{}", "wide".repeat(60));
    let more = format!(
        "models = [{{ id = \"glm-5\", reasoning = true, price = {{ input = 1, cached = 0.1, output = 2.5 }} }}, {{ id = {} }}, {{ id = {} }}]\n[[endpoint]]\nname = \"nowhere\"\nbase_url = \"http://127.0.0.1:9\"\nmodels = [\"glm-5\", \"other\"]\n[[route]]\nname = \"both\"\ntargets = [{{ endpoint = \"lab\", model = \"glm-5\" }}, {{ endpoint = \"nowhere\", model = \"other\" }}]\n",
        json!(models),
        json!("=1+1\u{202e}x"),
    );
    let harness = Harness::configured(name, answers(), "", &more);
    let ask = |model: &str, words: &str, lines: &str| {
        let body = json!({ "model": model, "input": words }).to_string();
        status(&harness.post(&body, lines))
    };
    let agent = format!("user-agent: {MARKUP}/1.0\r\nsession-id: =cmd|' /C calc'!A0\r\n");
    assert_eq!(ask("glm-5", "hello", ""), 200);
    assert_eq!(ask("glm-5", "be hostile", &agent), 400);
    assert_eq!(ask(&models, "hello", &agent), 200);
    assert_eq!(ask("both", "hello", "user-agent: codex_cli_rs/0.171.0\r\n"), 200);
    let words = format!("what is in my request, with {SECRET} in it");
    assert_eq!(ask("glm-5", &words, "user-agent: a-plain-client/1.0\r\n"), 200);
    harness
}

/// What `latimer usage --json` prints.
fn usage(harness: &Harness, args: &[&str]) -> Value {
    let run = output(latimer_in(&harness.dir, &["usage", "--json"]).args(args));
    serde_json::from_slice(&run.stdout).expect("JSON")
}

fn file(dir: &std::path::Path) -> Value {
    json!({ "text": std::fs::read_to_string(dir.join("latimer.toml")).expect("read") })
}

fn nothing(_: &mut Harness, asked: &Value) -> Value {
    panic!("the scene asks for {asked}")
}

#[test]
fn every_screen_in_both_themes_narrow_and_wide() {
    let Some(browser) = Browser::find() else { return };
    browser.play(&mut hostile("browser-looks"), "looks", nothing);
}

#[test]
fn every_control_by_keyboard() {
    let Some(browser) = Browser::find() else { return };
    browser.play(&mut hostile("browser-keys"), "keys", nothing);
}

#[test]
fn nobody_gets_in_from_elsewhere_or_with_wrong_codes() {
    let Some(browser) = Browser::find() else { return };
    browser.play(&mut Harness::new("browser-doors", answers()), "doors", |harness, asked| {
        assert_eq!(asked["do"], "tested");
        json!({ "tested": harness.requests().len() })
    });
}

#[test]
fn what_happens_is_seen_at_once_and_a_restart_is_got_over() {
    let Some(browser) = Browser::find() else { return };
    browser.play(&mut Harness::new("browser-live", answers()), "live", nothing);
}

#[test]
fn twenty_thousand_turns() {
    let Some(browser) = Browser::find() else { return };
    let mut harness = Harness::new("browser-rows", answers());
    assert_eq!(status(&harness.post(r#"{"model":"glm-5","input":"hello"}"#, "")), 200);
    harness.restart();
    let database = rusqlite::Connection::open(harness.dir.join("state/latimer.db")).expect("opened");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO usage (at, turn, client, endpoint, account, model, finish, failure, input, output, ms, retries, repairs, message)
        SELECT unixepoch() - 86400 + i, 's' || i, 'client-' || (i % 7), 'lab', 'key-1',
            CASE i WHEN 9 THEN 'rare-model' ELSE 'model-' || (i % 12) END,
            CASE WHEN i % 40 = 0 THEN 'failed' ELSE 'stop' END, CASE WHEN i % 40 = 0 THEN 'overloaded' END, 1000 + i % 900, i % 300, 900, 0, 0,
            CASE WHEN i = 40 THEN 'needle-in-the-cause' WHEN i % 40 = 0 THEN 'The provider is overloaded' END FROM n";
    assert_eq!(database.execute(rows, []).expect("written"), 20_000);
    drop(database);
    browser.play(&mut harness, "rows", nothing);
}

#[test]
fn everything_a_person_does_on_the_screens() {
    let Some(browser) = Browser::find() else { return };
    let mut harness = hostile("browser-actions");
    let login = harness.runtime.block_on(Service::start(vec![
        ("deviceauth/usercode", 200, json!({ "device_auth_id": "d", "user_code": "AB-CD", "interval": "2" })),
        ("deviceauth/token", 403, json!({})),
        ("deviceauth/token", 200, json!({ "authorization_code": "c", "code_verifier": "v" })),
        ("/token", 200, json!({ "access_token": "at", "refresh_token": "rt", "expires_in": 3600 })),
    ]));
    let login = login.expect("a service");
    let clients = json!({ "chatgpt": {
        "client_id": "an-id", "base_url": login.base, "token_url": format!("{}/token", login.base),
    } });
    latimer_files::write(&harness.dir.join("state/oauth-clients.json"), clients.to_string().as_bytes())
        .expect("written");
    browser.play(&mut harness, "actions", |harness, asked| match asked["do"].as_str() {
        Some("usage") => usage(harness, &[]),
        Some("by-model") => usage(harness, &["--by", "model"]),
        Some("file") => file(&harness.dir),
        Some("accounts") => {
            let folder = harness.dir.join("state/accounts/chatgpt");
            let files = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
            json!({ "count": files.filter(|file| file.path().extension().is_some_and(|it| it == "json")).count() })
        }
        _ => nothing(harness, asked),
    });
}

#[test]
fn a_person_stops_undoes_and_limits_the_watchdog() {
    let Some(browser) = Browser::find() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let broken = Scenario::new([ScriptedAnswer::error(500, json!({ "error": { "message": MARKUP } }))]);
    let broken = runtime.block_on(Provider::start(broken.without_record())).expect("a provider");
    let more = format!(
        "[watchdog] # stays\nauto_switch_provider = true\n[[endpoint]]\nname = \"broken\"\nbase_url = \"{}\"\napi_key = \"k\"\nmodels = [\"glm-5\"]\nretries = 0\n",
        broken.base_url()
    );
    let harness = WatchdogHarness::configured("browser-incidents", answers(), &more, &[]);
    let client = harness.client();
    browser.run("incidents", &harness.url, &client.token, |asked| match asked["do"].as_str() {
        Some("code") => json!({ "code": code(&harness.dir) }),
        Some("file") => file(&harness.dir),
        Some("break") => {
            for _ in 0..3 {
                client.turn();
            }
            json!({})
        }
        Some("overrides") => {
            let (_, health) = client.get("/health").expect("answered");
            let health: Value = serde_json::from_str(&health).expect("JSON");
            json!({ "overrides": health["overrides"] })
        }
        Some("kill") => {
            kill("KILL", harness.proxy().expect("a proxy"));
            json!({})
        }
        _ => panic!("the scene asks for {asked}"),
    });
}
