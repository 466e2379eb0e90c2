//! What is known of models, through the real binary: lists, catalogs, caps and costs; and what an installation brings along.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, body, folder, latimer, latimer_in, output, status};

fn printed(command: &mut Command) -> String {
    let run = output(command);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("text")
}

fn answer() -> ScriptedAnswer {
    ScriptedAnswer::steps([Step::text("ok"), Step::usage(1000, 100), Step::finish("stop")])
}

#[test]
fn the_table_caps_an_answer_prices_a_turn_and_leaves_open_what_nobody_knows() {
    // `deepseek-chat` is in the preset's table and in no list of this file; `big-one` is in neither.
    let endpoint = "preset = \"deepseek\"\nmodels = [\"deepseek-v4-pro\", { id = \"gift\", price = { input = 0, output = 0 } }]";
    let harness = Harness::configured("known", [answer(), answer(), answer()], "", endpoint);
    for model in ["deepseek-chat", "gift", "big-one"] {
        let request =
            json!({ "model": format!("lab/{model}"), "input": "go", "max_output_tokens": 1_000_000 });
        let said = harness.post(&request.to_string(), "");
        assert_eq!(status(&said), 200, "{said}");
    }
    let asked: Vec<Value> =
        harness.requests().iter().map(|request| request.body["max_tokens"].clone()).collect();
    assert_eq!(asked, [json!(8192), json!(1_000_000), json!(1_000_000)], "the table's cap, and none");
    let costs = || -> Vec<Value> {
        ["deepseek-chat", "gift", "big-one"].iter().map(|model| cost_of(&harness, model)).collect()
    };
    support::wait_until("three turns are written down", || costs().iter().all(|cost| *cost != "missing"));
    let costs = costs();
    assert!(costs[0].as_f64().is_some_and(|cost| cost > 0.0 && cost < 0.01), "{costs:?}");
    assert_eq!(costs[1..], [json!(0.0), Value::Null], "free is 0, unknown is not");
}

/// The cost of the one turn of a model as `usage --json` has it.
fn cost_of(harness: &Harness, model: &str) -> Value {
    let text = printed(&mut latimer_in(&harness.dir, &["usage", "--by", "model", "--json"]));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let mut lines = report["lines"].as_array().expect("lines").iter();
    let line = lines.find(|line| line["name"] == format!("lab/{model}"));
    line.map_or(json!("missing"), |line| line["cost_usd"].clone())
}

#[test]
fn every_client_sees_what_is_known() {
    let endpoint = "preset = \"deepseek\"\nmodels = [\"deepseek-v4-pro\", \"unheard-of\"]";
    let harness = Harness::configured("catalogs", [answer()], "", endpoint);
    let get = |path: &str, header: &str| -> Value {
        let head = harness.get(path).replacen("\r\n", &format!("\r\n{header}"), 1);
        let said = harness.http(&head, b"");
        assert_eq!(status(&said), 200, "{said}");
        serde_json::from_str(body(&said)).expect("JSON")
    };
    let list = get("/v1/models", "");
    let known = &list["data"][0];
    assert_eq!((&known["context_window"], &known["supports_tools"]), (&json!(1_000_000), &json!(true)));
    assert!(known["price"]["output"].as_f64().is_some_and(|price| price > 0.0), "{known}");
    assert_eq!(list["data"][1]["price"], Value::Null);
    let catalog = &list["models"][0];
    let levels: Vec<&Value> = catalog["supported_reasoning_levels"]
        .as_array()
        .expect("levels")
        .iter()
        .map(|level| &level["effort"])
        .collect();
    assert_eq!(levels, ["low", "high"], "`max` is no word of Codex's");
    assert_eq!(
        (&catalog["default_reasoning_level"], &catalog["context_window"]),
        (&json!("high"), &json!(1_000_000))
    );
    assert_eq!(list["models"][1]["supported_reasoning_levels"], json!([]));
    let claude = get("/v1/models", "anthropic-version: 2023-06-01\r\n");
    assert_eq!(claude["data"][0]["max_input_tokens"], 1_000_000);
    assert!(
        claude["data"][0]["max_tokens"].as_u64().is_some() && claude["data"][1].get("max_tokens").is_none()
    );
    let gemini = get("/v1beta/models", "");
    assert_eq!(gemini["models"][0]["inputTokenLimit"], 1_000_000);
    assert_eq!(gemini["models"][0]["thinking"], true);
}

#[test]
fn models_are_listed_and_chosen() {
    let dir = folder("models");
    let config = "[[endpoint]]\nname = \"zen\"\npreset = \"opencode-zen\"\napi_key = \"k\"\n[[endpoint]]\nname = \"own\"\nbase_url = \"https://own.test\"\nmodels = [\"m\"]\n";
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    let text = printed(&mut latimer_in(&dir, &["models", "PICKLE"]));
    assert!(text.starts_with("big-pickle  zen  ") && text.trim_end().ends_with("free"), "{text}");
    assert!(printed(&mut latimer_in(&dir, &["models"])).lines().all(|line| line.chars().count() <= 72));
    let list = |args: &[&str]| -> Vec<Value> {
        let text = printed(latimer_in(&dir, &["models", "--json"]).args(args));
        let list: Value = serde_json::from_str(&text).expect("JSON");
        list["models"].as_array().expect("models").clone()
    };
    assert!(list(&["--free"]).iter().all(|model| model["free"] == true && model["price"]["input"] == 0.0));
    assert!(list(&["--images"]).iter().all(|model| model["images"] == true));
    assert!(list(&["--all"]).len() > list(&[]).len() + 20);
    let own = list(&["--endpoint", "own"]);
    assert_eq!((own.len(), &own[0]["price"], &own[0]["free"]), (1, &Value::Null, &json!(false)));
    let run = output(&mut latimer_in(&dir, &["models", "--endpoint", "gone"]));
    assert!(!run.status.success() && String::from_utf8_lossy(&run.stderr).contains("there are: zen, own"));
}

/// What bash offers behind a line, by the script that is installed.
fn bash_offers(dir: &std::path::Path, line: &str) -> Vec<String> {
    let script = "source \"$1\"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9; _clap_complete_latimer latimer \"${COMP_WORDS[COMP_CWORD]}\" x; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let file = dir.join("latimer.bash");
    std::fs::write(&file, printed(latimer().args(["completions", "bash"]))).expect("written");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_latimer")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).arg(&file).arg(line).env("PATH", path);
    bash.env("XDG_CONFIG_HOME", dir).env_remove("LATIMER_CONFIG");
    printed(&mut bash)
        .lines()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn a_shell_completes_names_of_the_configuration() {
    let dir = folder("completions");
    std::fs::create_dir_all(dir.join("latimer")).expect("a folder");
    let config = "[[endpoint]]\nname = \"deepseek\"\npreset = \"deepseek\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\nmodels = [\"qwen3\"]\n";
    std::fs::write(dir.join("latimer/config.toml"), config).expect("written");
    let offers = |line: &str| bash_offers(&dir, line);
    assert_eq!(offers("latimer launch codex --endpoint d"), ["deepseek"]);
    assert_eq!(offers("latimer launch codex --model qw"), ["qwen3"]);
    assert_eq!(offers("latimer endpoints show l"), ["lab"]);
    let presets = offers("latimer presets opencode-");
    assert_eq!(presets, ["opencode-zen", "opencode-go", "opencode-zen-anthropic", "opencode-go-anthropic"]);
    assert!(offers("latimer lau").contains(&"launch".to_owned()));
    std::fs::write(dir.join("latimer/config.toml"), "broken [").expect("written");
    assert_eq!(offers("latimer presets deep"), ["deepseek"], "a broken file takes nothing but its own names");
}

#[test]
fn a_machine_reads_the_version_and_man_reads_the_pages() {
    let said: Value = serde_json::from_str(&printed(latimer().args(["--version", "--json"]))).expect("JSON");
    assert_eq!((&said["schema_version"], &said["version"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    let watchdog =
        printed(Command::new(env!("CARGO_BIN_EXE_latimer-watchdog")).args(["--json", "--version"]));
    assert!(watchdog.contains("\"latimer-watchdog\""), "{watchdog}");
    let dir = folder("man").join("man1");
    printed(latimer().arg("man").arg(&dir));
    let page = |name: &str| std::fs::read_to_string(dir.join(name)).expect(name);
    assert!(page("latimer.1").contains(".TH LATIMER 1"));
    assert!(
        page("latimer-models.1").contains("free") && page("latimer-endpoints-forget.1").contains("Forget")
    );
    assert!(page("latimer-watchdog-run.1").contains("port"));
    assert!(!dir.join("latimer-scripted.1").exists(), "hidden commands have no page");
}
