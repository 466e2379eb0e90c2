//! The real Codex on providers of every protocol: each far side speaks its real wire, from recordings in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, latimer_in, output, program, status, wait_until};

const CODEX: &str = "LATIMER_CODEX";

/// An event stream of these events, each in a frame of its own.
fn stream(events: &[Value]) -> ScriptedAnswer {
    let frame = |event: &Value| {
        let name = event["type"].as_str().unwrap_or("message");
        Step::Raw { text: format!("event: {name}\ndata: {event}\n\n") }
    };
    ScriptedAnswer::steps(events.iter().map(frame))
}

/// A Messages answer: thoughts with a signature, then a call, or words.
fn messages_answer(thoughts: &str, call: Option<Value>, words: &str) -> ScriptedAnswer {
    let block = |index: u32, block: Value, delta: Value| {
        vec![
            json!({ "type": "content_block_start", "index": index, "content_block": block }),
            json!({ "type": "content_block_delta", "index": index, "delta": delta }),
        ]
    };
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "usage": { "input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 1 } } }),
    ];
    events.extend(block(
        0,
        json!({ "type": "thinking", "thinking": "" }),
        json!({ "type": "thinking_delta", "thinking": thoughts }),
    ));
    events.push(json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "signature_delta", "signature": "c2lnbmVk" } }));
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    let reason = if call.is_some() { "tool_use" } else { "end_turn" };
    events.extend(match call {
        Some(arguments) => block(
            1,
            json!({ "type": "tool_use", "id": "toolu_1", "name": "exec_command", "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
        ),
        None => {
            block(1, json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": words }))
        }
    });
    events.push(json!({ "type": "content_block_stop", "index": 1 }));
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 9 } }));
    events.push(json!({ "type": "message_stop" }));
    stream(&events)
}

/// A Responses answer, the way OpenAI's server writes one.
fn responses_answer(call: Option<&Value>, words: &str) -> ScriptedAnswer {
    let reasoning =
        json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAstate" });
    let item = match call {
        Some(arguments) => {
            json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "exec_command", "arguments": arguments.to_string(), "status": "completed" })
        }
        None => {
            json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": words, "annotations": [] }] })
        }
    };
    let usage = json!({ "input_tokens": 30, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 7, "output_tokens_details": { "reasoning_tokens": 3 }, "total_tokens": 37 });
    let mut events = vec![
        json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_up", "model": "gpt-5.5", "status": "in_progress" } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "reasoning", "id": "rs_1", "summary": [] } }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": reasoning }),
        json!({ "type": "response.output_item.added", "output_index": 1, "item": item }),
    ];
    if call.is_none() {
        events.push(json!({ "type": "response.output_text.delta", "output_index": 1, "item_id": "msg_1", "content_index": 0, "delta": words }));
    }
    events.push(json!({ "type": "response.output_item.done", "output_index": 1, "item": item }));
    events.push(json!({ "type": "response.completed", "response": { "id": "resp_up", "status": "completed", "output": [], "usage": usage } }));
    stream(&events)
}

#[test]
fn codex_on_a_messages_provider() {
    let Some(codex) = program(CODEX) else { return };
    let answers = [
        messages_answer("A file is wanted.", Some(json!({ "cmd": "echo hello > made.txt" })), ""),
        messages_answer("Done.", None, "Made it."),
    ];
    let harness = Harness::configured(
        "messages",
        answers,
        "",
        "protocol = \"anthropic\"\nmodels = [\"claude-sonnet-4-5\"]",
    );
    let run = harness.codex(&codex, &["-m", "claude-sonnet-4-5", "Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    let requests = harness.requests();
    let (first, second) = (&requests[0], &requests[1]);
    assert_eq!((first.path.as_str(), first.header("x-api-key")), ("/v1/messages", Some("upstream-key")));
    assert_eq!(first.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(first.header("authorization"), None);
    let history = second.body["messages"].as_array().expect("messages");
    let turn = &history[history.len() - 2];
    assert_eq!(turn["role"], "assistant");
    assert_eq!(
        turn["content"][0],
        json!({ "type": "thinking", "thinking": "A file is wanted.", "signature": "c2lnbmVk" }),
        "the thoughts come back as they were"
    );
    assert_eq!(turn["content"][1]["id"], "toolu_1");
    let last = &history[history.len() - 1]["content"][0];
    assert_eq!((&last["type"], &last["tool_use_id"]), (&json!("tool_result"), &json!("toolu_1")));
}

#[test]
fn codex_on_a_responses_provider_gets_its_own_events() {
    let Some(codex) = program(CODEX) else { return };
    let answers = [
        responses_answer(Some(&json!({ "cmd": "echo hello > made.txt" })), ""),
        responses_answer(None, "Made it."),
    ];
    let harness =
        Harness::configured("passes", answers, "", "protocol = \"responses\"\nmodels = [\"gpt-5.5\"]");
    let run = harness.codex(&codex, &["-m", "gpt-5.5", "Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    let requests = harness.requests();
    assert_eq!(requests[0].path, "/v1/responses");
    assert_eq!(requests[0].header("authorization"), Some("Bearer upstream-key"));
    let input = requests[1].body["input"].as_array().expect("items");
    let state = input.iter().find(|item| item["type"] == "reasoning").expect("the thoughts come back");
    assert_eq!(state["encrypted_content"], "gAAAAstate", "to their owner, and bare");
}

#[test]
fn codex_asks_a_provider_of_its_own_protocol_without_the_proxy_and_latimer_where_a_shell_starts_it() {
    let Some(codex) = program(CODEX) else { return };
    let answers = [responses_answer(None, "Directly."), responses_answer(None, "By the proxy.")];
    let harness =
        Harness::configured("direct", answers, "", "protocol = \"responses\"\nmodels = [\"gpt-5.5\"]");
    let at_home = |command: &mut Command| {
        command.current_dir(harness.dir.join("project")).stdin(Stdio::null());
        command.env("HOME", harness.dir.join("home")).env("CODEX_HOME", harness.dir.join("home/.codex"));
        let run = output(command);
        format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
    };
    let turns = || harness.http(&harness.get("/api/v1/turns"), b"");
    let launch = ["launch", "codex", "--direct", "--endpoint", "lab", "--program", &codex];
    let mut direct = latimer_in(&harness.dir, &launch);
    let said = at_home(direct.args(["--", "exec", "--skip-git-repo-check", "Hi."]));
    assert!(said.contains("Directly.") && !said.contains("upstream-key"), "{said}");
    assert!(turns().contains("\"data\":[]"), "no turn of latimer's: {}", turns());
    let folder = std::path::Path::new(&codex).parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let paths = format!("--config {0}/latimer.toml --state-dir {0}/state", harness.dir.display());
    let lines = format!(
        "eval \"$(\"$LATIMER\" env codex --shell bash {paths})\"; codex exec --skip-git-repo-check Hi."
    );
    let mut shell = Command::new("bash");
    let said =
        at_home(shell.args(["-c", &lines]).env("PATH", path).env("LATIMER", env!("CARGO_BIN_EXE_latimer")));
    assert!(said.contains("By the proxy."), "{said}");
    assert!(turns().contains("\"asked\":\"gpt-5.5\""), "{}", turns());
    let keys: Vec<_> =
        harness.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some("Bearer upstream-key".to_owned()); 2], "both reach the provider with its key");
}

#[test]
fn codex_on_gemini() {
    let Some(codex) = program(CODEX) else { return };
    let piece = |parts: &Value, end: Option<&str>| {
        let mut candidate = json!({ "content": { "role": "model", "parts": parts } });
        if let Some(end) = end {
            candidate["finishReason"] = json!(end);
        }
        let event = json!({ "candidates": [candidate], "usageMetadata": { "promptTokenCount": 30, "candidatesTokenCount": 5 } });
        Step::Raw { text: format!("data: {event}\r\n\r\n") }
    };
    let call = json!([{ "functionCall": { "name": "exec_command", "args": { "cmd": "echo hello > made.txt" } }, "thoughtSignature": "c2lnbmVk" }]);
    let answers = [
        ScriptedAnswer::steps([
            piece(&json!([{ "text": "A file is wanted.", "thought": true }]), None),
            piece(&call, None),
            piece(&json!([{ "text": "" }]), Some("STOP")),
        ]),
        ScriptedAnswer::steps([piece(&json!([{ "text": "Made it." }]), Some("STOP"))]),
    ];
    let harness =
        Harness::configured("gemini", answers, "", "protocol = \"gemini\"\nmodels = [\"gemini-3-flash\"]");
    let run = harness.codex(&codex, &["-m", "gemini-3-flash", "Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    let requests = harness.requests();
    assert_eq!(requests[0].header("x-goog-api-key"), Some("upstream-key"));
    let contents = requests[1].body["contents"].as_array().expect("contents");
    let call = &contents[contents.len() - 2]["parts"][0];
    assert_eq!(call["thoughtSignature"], "c2lnbmVk", "the signature is back on its call: {call}");
    let response = &contents[contents.len() - 1]["parts"][0]["functionResponse"];
    assert_eq!((&response["name"], &response["id"]), (&json!("exec_command"), &call["functionCall"]["id"]));
}

#[test]
fn codex_on_command_code() {
    let Some(codex) = program(CODEX) else { return };
    let lines = |events: &[Value]| {
        ScriptedAnswer::steps(events.iter().map(|event| Step::Raw { text: format!("{event}\n") }))
            .content_type("application/x-ndjson")
    };
    let refusal = ScriptedAnswer::error(
        400,
        json!({ "error": { "message": "params.messages[0].content: expected string, received array" } }),
    );
    let command = json!({ "type": "tool-call", "id": "call_1", "name": "exec_command", "arguments": { "cmd": "echo hello > made.txt" } });
    let answers = [
        refusal,
        lines(&[
            json!({ "type": "text-delta", "text": "I will make it.\n" }),
            json!({ "type": "text-delta", "text": command.to_string() }),
            json!({ "type": "finish", "finishReason": "stop", "totalUsage": { "inputTokens": 9 } }),
        ]),
        lines(&[
            json!({ "type": "text-delta", "text": "Made it." }),
            json!({ "type": "finish", "finishReason": "stop" }),
        ]),
    ];
    let harness = Harness::configured(
        "command-code",
        answers,
        "",
        "protocol = \"command_code\"\nmodels = [\"deepseek/deepseek-v4-flash\"]",
    );
    let run = harness.codex(&codex, &["-m", "deepseek/deepseek-v4-flash", "Make a file."]);
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert_eq!(run.messages().last().map(String::as_str), Some("Made it."), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    let requests = harness.requests();
    assert!(requests.iter().all(|request| request.header("x-command-code-version") == Some("0.26.8")));
    assert!(requests[0].body["params"]["messages"][0]["content"].is_array(), "structured first");
    let learned = &requests[1].body["params"];
    assert!(
        learned["messages"].as_array().expect("a list").iter().all(|message| message["content"].is_string())
    );
    assert!(learned["messages"][0]["content"].as_str().is_some_and(|text| text.contains("- exec_command: ")));
}

#[test]
fn state_of_one_account_is_not_sent_to_another() {
    let answers =
        [responses_answer(None, "one"), responses_answer(None, "two"), responses_answer(None, "three")];
    let harness = Harness::configured(
        "owners",
        answers,
        "",
        "protocol = \"responses\"\npreset = \"openai\"\nmodels = [\"gpt-5.5\"]",
    );
    let answer = harness.post(r#"{"model":"gpt-5.5","input":"hello"}"#, "");
    assert_eq!(status(&answer), 200, "{answer}");
    let response: Value = serde_json::from_str(support::body(&answer)).expect("JSON");
    let reasoning = &response["output"][0];
    let carrier = reasoning["encrypted_content"].as_str().expect("a carrier");
    assert!(carrier.starts_with("latimer2."), "sealed on its way through the client: {carrier}");
    let ask = |model: &str, reasoning: &Value| {
        json!({ "model": model, "input": [reasoning, { "type": "message", "role": "user", "content": "go on" }] }).to_string()
    };
    harness.post(&ask("gpt-5.5", reasoning), "");
    assert_eq!(harness.requests()[1].body["input"][0]["encrypted_content"], "gAAAAstate");
    // The same endpoint with another key is another owner.
    let config = std::fs::read_to_string(harness.dir.join("latimer.toml")).expect("read");
    std::fs::write(harness.dir.join("latimer.toml"), config.replace("upstream-key", "other-key"))
        .expect("written");
    let is_reloaded = || harness.http(&harness.get("/health"), b"").contains("\"reloads\":1");
    wait_until("the configuration is taken up", is_reloaded);
    harness.post(&ask("gpt-5.5", reasoning), "");
    let third = &harness.requests()[2];
    assert_eq!(third.header("authorization"), Some("Bearer other-key"));
    assert_eq!(third.body["input"][0]["type"], "message", "the state of the first key was left out");
}

#[test]
fn what_a_provider_refuses_is_learned_once_and_shown_and_forgotten() {
    let refusal = ScriptedAnswer::error(
        400,
        json!({ "error": { "message": "Unrecognized request argument supplied: stream_options" } }),
    );
    let harness =
        Harness::new("learning", [refusal, ScriptedAnswer::text("one"), ScriptedAnswer::text("two")]);
    let ask = r#"{"model":"glm-5","input":"hello"}"#;
    assert_eq!(status(&harness.post(ask, "")), 200);
    assert_eq!(status(&harness.post(ask, "")), 200);
    let sent: Vec<bool> =
        harness.requests().iter().map(|request| request.body.get("stream_options").is_some()).collect();
    assert_eq!(sent, [true, false, false], "asked once more without it, and never again with it");
    let run = |args: &[&str]| {
        let output = support::output(&mut latimer_in(&harness.dir, args));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = run(&["endpoints", "show", "lab"]);
    assert!(shown.contains("learned of glm-5: stream_options is left out (no_stream_options)"), "{shown}");
    assert!(run(&["endpoints", "--json"]).contains("\"lesson\": \"no_stream_options\""));
    assert!(run(&["explain", "t1"]).contains("learned of lab/glm-5"), "{}", run(&["explain", "t1"]));
    assert!(run(&["endpoints", "forget", "lab"]).contains("forgot 1 lessons"));
    // The proxy looks at the file once a second at the most.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    harness.post(ask, "");
    assert!(harness.requests()[3].body.get("stream_options").is_some(), "forgotten by the running proxy too");
}
