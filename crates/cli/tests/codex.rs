//! The real Codex, end to end: `latimer launch codex` against a provider that speaks only Chat Completions.
//!
//! `cargo xtask e2e` installs the client; without it each test says that it was skipped.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use latimer_adapters::scripted::{Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, RunningProvider, finish, folder, latimer, program, wait_until};

const CODEX: &str = "LATIMER_CODEX";

/// The messages of a request as the provider got them.
fn messages(harness: &Harness, number: usize) -> Vec<Value> {
    let requests = harness.requests();
    let request = requests.get(number).unwrap_or_else(|| panic!("request {number} of {}", requests.len()));
    request.body["messages"].as_array().expect("messages").clone()
}

fn tool_outputs(harness: &Harness, number: usize) -> Vec<String> {
    let text = |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
    messages(harness, number).iter().filter(|message| message["role"] == "tool").map(text).collect()
}

#[test]
fn plain_answer() {
    let Some(codex) = program(CODEX) else { return };
    let harness =
        Harness::new("plain", [ScriptedAnswer::turn([Step::reasoning("Easy."), Step::text("Four.")])]);
    let run = harness.codex(&codex, &["What is two and two?"]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Four.".to_owned()]), "{}", run.all());
    let request = &harness.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer upstream-key"));
    assert!(
        request.body["tools"]
            .as_array()
            .is_some_and(|tools| tools.iter().all(|tool| tool["type"] == "function"))
    );
    let token = harness.token();
    assert!(
        !request.body.to_string().contains(&token)
            && !request.headers.iter().any(|(_, value)| value.contains(&token))
    );
}

/// An empty home, a key in the environment, two commands: the first answer.
#[test]
fn a_newcomer_has_the_first_answer_after_two_commands() {
    let Some(codex) = program(CODEX) else { return };
    let call = ScriptedAnswer::call("call_1", "report_word", json!({"word": "heron"}));
    let call = ScriptedAnswer { when: Some("report_word".to_owned()), ..call };
    let scenario = Scenario::new([call, ScriptedAnswer::text("Welcome.")]);
    let models = vec!["deepseek-v4-flash".to_owned()];
    let running = RunningProvider::start(Scenario { models, ..scenario });
    let dir = folder("newcomer");
    let command = |args: &[&str]| {
        let mut command = latimer();
        command.args(args).current_dir(dir.join("project")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", dir.join("home")).env("DEEPSEEK_API_KEY", "numbat-key-1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("latimer runs"))
    };
    let begun = Instant::now();
    let url = running.provider.base_url();
    let init = command(&["init", "--yes", "--preset", "deepseek", "--base-url", &url]);
    assert!(init.code == Some(0) && init.stdout.contains("tools ok"), "{}", init.all());
    let text =
        std::fs::read_to_string(dir.join("home/.config/latimer/config.toml")).expect("a configuration");
    std::fs::write(
        dir.join("home/.config/latimer/config.toml"),
        format!("{text}\n[server]\nlisten = \"127.0.0.1:0\"\n"),
    )
    .expect("written");
    let run = command(&[
        "launch",
        "codex",
        "--program",
        &codex,
        "exec",
        "--skip-git-repo-check",
        "--json",
        "Hello",
    ]);
    let took = begun.elapsed();
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Welcome.".to_owned()]), "{}", run.all());
    assert!(took < Duration::from_secs(60), "{took:?}");
    let asked = running.provider.requests();
    let last = asked.last().expect("a request");
    assert_eq!(last.header("authorization"), Some("Bearer numbat-key-1"));
    assert_eq!(command(&["down"]).code, Some(0));
}

#[test]
fn a_command_creates_a_file() {
    let Some(codex) = program(CODEX) else { return };
    let call = ScriptedAnswer::call("call_1", "exec_command", json!({"cmd": "echo hello > made.txt"}));
    let harness = Harness::new("exec", [call, ScriptedAnswer::text("Made it.")]);
    let run = harness.codex(&codex, &["Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    assert!(tool_outputs(&harness, 1)[0].contains("exited with code 0"), "{:?}", tool_outputs(&harness, 1));
}

#[test]
fn a_command_creates_a_file_over_a_websocket() {
    let Some(codex) = program(CODEX) else { return };
    let call = ScriptedAnswer::call("call_1", "exec_command", json!({"cmd": "echo hello > made.txt"}));
    let harness =
        Harness::configured("exec-ws", [call, ScriptedAnswer::text("Made it.")], "websocket = true", "");
    let run = harness.codex(&codex, &["Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    assert!(tool_outputs(&harness, 1)[0].contains("exited with code 0"), "{:?}", tool_outputs(&harness, 1));
    assert_eq!(harness.requests().len(), 2, "a warm-up asks no provider");
    // The proof that it was the WebSocket: it carried every turn.
    let (turns, sockets) = harness.settled_sockets();
    let carried: u64 = sockets.iter().filter_map(|socket| socket["requests"].as_u64()).sum();
    assert!(turns >= 2 && carried == turns, "{turns} turns: {sockets:?}");
}

#[test]
fn over_a_websocket_too_a_stopped_proxy_is_outlived() {
    let Some(codex) = program(CODEX) else { return };
    let call =
        ScriptedAnswer::call("call_1", "exec_command", json!({"cmd": "sleep 2; echo hello > made.txt"}));
    let mut harness = Harness::configured(
        "sigterm-ws",
        [call, ScriptedAnswer::text("Made it.")],
        "websocket = true\ngrace = \"500ms\"",
        "",
    );
    let client = harness.codex_command(&codex, &["Make a file."]).spawn().expect("latimer runs");
    wait_until("a call was made", || harness.log_events("turn.done").len() >= 2);
    // Between two requests of a turn: the successor knows nothing of the connection's answers.
    let address = harness.url.trim_start_matches("http://").to_owned();
    harness.signal("TERM");
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
    let (proxy, _) = support::serve(&harness.dir, &["--listen", &address]);
    harness.proxy = proxy;
    let run = finish(client);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert!(tool_outputs(&harness, 1)[0].contains("exited with code 0"), "{:?}", tool_outputs(&harness, 1));
}

#[test]
fn a_patch_changes_a_file() {
    let Some(codex) = program(CODEX) else { return };
    let patch = "*** Begin Patch\n*** Add File: patched.txt\n+żółw \"quoted\" \\ 😀\n*** End Patch\n";
    let call = ScriptedAnswer::turn([Step::Call {
        id: "call_1".into(),
        name: "apply_patch".into(),
        arguments: json!({ "input": patch }).to_string(),
        pieces: 9,
        gap_us: 0,
        index: 0,
    }]);
    let harness = Harness::new("patch", [call, ScriptedAnswer::text("Patched.")]);
    let run = harness.codex(&codex, &["Patch it."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Patched.".to_owned()]), "{}", run.all());
    assert_eq!(
        std::fs::read_to_string(harness.dir.join("project/patched.txt")).expect("made"),
        "żółw \"quoted\" \\ 😀\n"
    );
    let history = messages(&harness, 1);
    let sent = history
        .iter()
        .find_map(|message| message["tool_calls"][0]["function"]["arguments"].as_str())
        .expect("the call");
    assert_eq!(serde_json::from_str::<Value>(sent).expect("JSON")["input"], patch);
}

#[test]
fn an_mcp_tool_in_a_namespace() {
    let Some(codex) = program(CODEX) else { return };
    let call = ScriptedAnswer::call("call_1", "mcp__lab__add", json!({"a": 2, "b": 40}));
    let harness = Harness::new("mcp", [call, ScriptedAnswer::text("Forty-two.")]);
    let server = harness.dir.join("server.py");
    std::fs::write(&server, include_str!("support/mcp_server.py")).expect("written");
    let args =
        format!("mcp_servers.lab.args=[{}]", serde_json::Value::from(server.to_string_lossy().into_owned()));
    let run = harness.codex(&codex, &["-c", "mcp_servers.lab.command=\"python3\"", "-c", &args, "Add."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Forty-two.".to_owned()]), "{}", run.all());
    assert!(tool_outputs(&harness, 1)[0].contains("the sum is 42"), "{:?}", tool_outputs(&harness, 1));
}

#[test]
fn parallel_calls_are_all_answered() {
    let Some(codex) = program(CODEX) else { return };
    let call = |index: u32, command: &str| Step::Call {
        id: format!("call_{index}"),
        name: "exec_command".into(),
        arguments: json!({ "cmd": command }).to_string(),
        pieces: 2,
        gap_us: 0,
        index,
    };
    let answer = ScriptedAnswer::turn([Step::text("Two at once."), call(0, "echo one"), call(1, "echo two")]);
    let harness = Harness::new("parallel", [answer, ScriptedAnswer::text("Both.")]);
    let run = harness.codex(&codex, &["Do both."]);
    assert_eq!(run.code, Some(0), "{}", run.all());
    let history = messages(&harness, 1);
    let calls = history
        .iter()
        .filter_map(|message| message["tool_calls"].as_array())
        .map(Vec::len)
        .collect::<Vec<_>>();
    assert_eq!(calls, [2], "one message holds both calls");
    let outputs = tool_outputs(&harness, 1);
    assert!(outputs[0].contains("one") && outputs[1].contains("two"), "{outputs:?}");
}

#[test]
fn an_image_arrives() {
    let Some(codex) = program(CODEX) else { return };
    let harness = Harness::new("image", [ScriptedAnswer::text("A dot.")]);
    let png: [u8; 67] = [
        0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0,
        0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c,
        0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42,
        0x60, 0x82,
    ];
    let path = harness.dir.join("dot.png");
    std::fs::write(&path, png).expect("written");
    let run = harness.codex(&codex, &["What is this?", "-i", &path.to_string_lossy()]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["A dot.".to_owned()]), "{}", run.all());
    let history = Value::from(messages(&harness, 0)).to_string();
    assert!(
        history.contains("\"type\":\"image_url\"") && history.contains("data:image/png;base64,"),
        "no image arrived"
    );
}

#[test]
fn a_session_is_resumed_with_its_history() {
    let Some(codex) = program(CODEX) else { return };
    let endpoint = "quirks = { echo_reasoning = \"always\" }";
    let first = ScriptedAnswer::turn([Step::reasoning("A secret thought."), Step::text("One.")]);
    let harness = Harness::configured("resume", [first, ScriptedAnswer::text("Two.")], "", endpoint);
    let run = harness.codex(&codex, &["Count."]);
    assert_eq!(run.code, Some(0), "{}", run.all());
    let thread = run
        .events()
        .iter()
        .find_map(|event| event["thread_id"].as_str().map(str::to_owned))
        .expect("a thread");
    let run = harness.codex(&codex, &["resume", &thread, "Go on."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Two.".to_owned()]), "{}", run.all());
    let history = messages(&harness, 1);
    let answer = history.iter().find(|message| message["role"] == "assistant").expect("the first answer");
    assert_eq!(
        (&answer["content"], &answer["reasoning_content"]),
        (&json!("One."), &json!("A secret thought."))
    );
}

#[test]
fn errors_are_read_by_a_person_and_cost_our_own_attempts_alone() {
    errors_are_read("");
}

#[test]
fn errors_over_a_websocket_are_read_by_a_person_too() {
    errors_are_read("websocket = true");
}

fn errors_are_read(server: &str) {
    let Some(codex) = program(CODEX) else { return };
    let body = |message: &str| json!({"error": {"message": message, "type": "x"}});
    // Status, the provider's words, what the person must read, the requests upstream: the first and one retry of ours.
    let cases = [
        (400, "bad temperature", "lab: bad temperature", 1),
        (401, "Incorrect API key provided", "check the endpoint's api_key", 1),
        (402, "Insufficient Balance", "lab: Insufficient Balance", 1),
        (403, "region not supported", "lab: region not supported", 1),
        (404, "The model `glm-5` does not exist", "asked for model `glm-5`", 1),
        (429, "You exceeded your current quota", "lab: You exceeded your current quota", 1),
        (400, "maximum context length is 8192 tokens", "ran out of room", 1),
        (500, "the engine fell over", "lab: the engine fell over", 2),
        (503, "busy, come back", "lab: busy, come back", 2),
        (429, "too fast, my friend", "lab: too fast, my friend", 2),
    ];
    for (status, words, shown, requests) in cases {
        let harness = Harness::configured(
            "errors",
            [ScriptedAnswer::error(status, body(words))],
            server,
            "retries = 1",
        );
        let run = harness.codex(&codex, &["Go."]);
        assert_eq!(run.code, Some(1), "{status} {}", run.all());
        assert!(run.all().contains(shown), "{status}: not shown: {shown}\n{}", run.all());
        assert_eq!(harness.requests().len(), requests, "{status}: {}", run.all());
        let failed =
            run.events().into_iter().find(|event| event["type"] == "turn.failed").expect("it failed");
        let said = failed["error"]["message"].as_str().expect("words");
        assert!(!said.contains('{') && !said.contains("unexpected status"), "{status}: a raw answer: {said}");
    }
}

#[test]
fn a_rate_limit_is_waited_for() {
    let Some(codex) = program(CODEX) else { return };
    let limited =
        ScriptedAnswer::error(429, json!({"error": {"message": "slow down"}})).header("retry-after", "1");
    let harness = Harness::new("limit", [limited.clone(), limited, ScriptedAnswer::text("At last.")]);
    let run = harness.codex(&codex, &["Go."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["At last.".to_owned()]), "{}", run.all());
    assert!(!run.all().contains("Reconnecting"), "the client noticed: {}", run.all());
}

#[test]
fn a_long_wait_is_shown_while_it_lasts_and_is_no_part_of_the_history() {
    let Some(codex) = program(CODEX) else { return };
    {
        let limited =
            ScriptedAnswer::error(429, json!({"error": {"message": "slow down"}})).header("retry-after", "5");
        let answers = [limited, ScriptedAnswer::text("At last."), ScriptedAnswer::text("Once more.")];
        let harness = Harness::new("long-wait", answers);
        let client = harness.codex_command(&codex, &["Go."]).spawn().expect("latimer runs");
        let turns = || harness.http(&harness.get("/api/v1/turns"), b"");
        wait_until("the wait is told as JSON", || {
            let told = turns();
            told.contains("\"state\":\"waiting\"") && told.contains("lab asked for it: slow down")
        });
        let run = finish(client);
        assert_eq!((run.code, run.messages()), (Some(0), vec!["At last.".to_owned()]), "{}", run.all());
        let shown = "latimer waits for 5 s: lab asked for it: slow down";
        assert!(run.all().contains(shown), "not shown: {}", run.all());
        let explained = support::output(&mut support::latimer_in(&harness.dir, &["explain", "t1"]));
        let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
        assert!(explained.contains("asked again after 5.0 s"), "{explained}");
        let thread = run.events().iter().find_map(|event| event["thread_id"].as_str().map(str::to_owned));
        let run = harness.codex(&codex, &["resume", &thread.expect("a thread"), "Go on."]);
        assert_eq!((run.code, run.messages()), (Some(0), vec!["Once more.".to_owned()]), "{}", run.all());
        let requests = harness.requests();
        assert_eq!(requests.len(), 3);
        let sent = requests[2].body.to_string();
        assert!(sent.contains("At last.") && !sent.contains("latimer"), "{sent}");
    }
}

#[test]
fn a_wait_that_is_too_long_is_given_up_at_once_with_its_time() {
    let Some(codex) = program(CODEX) else { return };
    let limited =
        ScriptedAnswer::error(429, json!({"error": {"message": "slow down"}})).header("retry-after", "200");
    let harness = Harness::new("too-long", [limited]);
    let run = harness.codex(&codex, &["Go."]);
    assert_eq!(run.code, Some(1), "{}", run.all());
    assert!(run.all().contains("lab: slow down (to be asked again in 3 min)"), "{}", run.all());
    assert_eq!(harness.requests().len(), 1);
}

#[test]
fn a_model_that_nothing_leads_to_is_said_in_a_sentence() {
    let Some(codex) = program(CODEX) else { return };
    let other = "models = [\"glm-5\"]\n[[endpoint]]\nname = \"other\"\nbase_url = \"http://127.0.0.1:1\"\nmodels = [\"n\"]";
    let harness = Harness::configured("no-model", [ScriptedAnswer::text("x")], "", other);
    let run = harness.codex(&codex, &["-m", "nobody", "Go."]);
    let failed = run.events().into_iter().find(|event| event["type"] == "turn.failed").expect("it failed");
    let said = failed["error"]["message"].as_str().expect("words");
    assert!(said.contains("nobody") && !said.contains('{'), "{said}");
    assert_eq!(harness.requests().len(), 0);
    let page = harness.http(&harness.get("/api/v1/turns?errors=1"), b"");
    assert!(page.contains("\"finish\":\"refused\"") && page.contains("nobody"), "a row is left: {page}");
}

#[test]
fn an_upstream_that_breaks_in_mid_stream_is_asked_again() {
    let Some(codex) = program(CODEX) else { return };
    let half = ScriptedAnswer::steps([Step::text("It beg"), Step::sleep(50), Step::Cut]);
    let harness = Harness::new("cut", [half, ScriptedAnswer::text("It began and ended.")]);
    let run = harness.codex(&codex, &["Go."]);
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert_eq!(run.messages().last().map(String::as_str), Some("It began and ended."), "{}", run.all());
}

#[test]
fn a_stopped_proxy_ends_its_streams_and_its_successor_goes_on() {
    let Some(codex) = program(CODEX) else { return };
    let slow = ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall]);
    let mut harness =
        Harness::configured("sigterm", [slow, ScriptedAnswer::text("Done.")], "grace = \"500ms\"", "");
    let client = harness.codex_command(&codex, &["Go."]).spawn().expect("latimer runs");
    wait_until("the provider is asked", || !harness.requests().is_empty());
    // Time for the first words to be on their way; a stop before them is outlived as well.
    std::thread::sleep(Duration::from_millis(300));
    let address = harness.url.trim_start_matches("http://").to_owned();
    harness.signal("TERM");
    let status = harness.proxy.wait().expect("ended");
    assert_eq!(status.code(), Some(0), "a stop that was asked for is no failure");
    let (proxy, _) = support::serve(&harness.dir, &["--listen", &address]);
    harness.proxy = proxy;
    let run = finish(client);
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert_eq!(run.messages().last().map(String::as_str), Some("Done."), "{}", run.all());
}

#[test]
fn nothing_of_the_persons_is_touched() {
    let Some(codex) = program(CODEX) else { return };
    let harness = Harness::new("untouched", [ScriptedAnswer::text("Hi.")]);
    let config = harness.dir.join("home/.codex/config.toml");
    std::fs::write(&config, "# mine\nmodel = \"something-else\"\n").expect("written");
    let run = harness.codex(&codex, &["Hi."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Hi.".to_owned()]), "{}", run.all());
    assert_eq!(
        std::fs::read_to_string(&config).expect("still there"),
        "# mine\nmodel = \"something-else\"\n"
    );
    let listed = support::output(Command::new("ls").arg("-A").arg(harness.dir.join("home")));
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), ".codex");
}
