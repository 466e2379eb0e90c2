//! Calls that a model wrote as text, end to end: through the whole proxy, and with the real Codex doing what they say.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use latimer_protocol::responses::legality;
use serde_json::{Value, json};
use support::{Harness, dechunk, program};

const CODEX: &str = "LATIMER_CODEX";

/// A command as each dialect writes it.
fn dialects(command: &str) -> Vec<(&'static str, String)> {
    let object = json!({ "cmd": command }).to_string();
    let call = format!(r#"{{"name":"exec_command","arguments":{object}}}"#);
    vec![
        (
            "dsml",
            format!(
                "<｜｜DSML｜｜tool_calls>\n<｜｜DSML｜｜invoke name=\"exec_command\">\n<｜｜DSML｜｜parameter name=\"cmd\" string=\"true\">{command}</｜｜DSML｜｜parameter>\n</｜｜DSML｜｜invoke>\n</｜｜DSML｜｜tool_calls>"
            ),
        ),
        ("bash", format!("<bash>\n{command}\n</bash>")),
        ("hermes", format!("<tool_call>\n{call}\n</tool_call>")),
        (
            "qwen_coder",
            format!(
                "<tool_call>\n<function=exec_command>\n<parameter=cmd>\n{command}\n</parameter>\n</function>\n</tool_call>"
            ),
        ),
        (
            "kimi",
            format!(
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.exec_command:0<|tool_call_argument_begin|>{object}<|tool_call_end|><|tool_calls_section_end|>"
            ),
        ),
        (
            "glm",
            format!(
                "<tool_call>exec_command\n<arg_key>cmd</arg_key>\n<arg_value>{command}</arg_value>\n</tool_call>"
            ),
        ),
        (
            "harmony",
            format!(
                "<|channel|>commentary to=functions.exec_command <|constrain|>json<|message|>{object}<|call|>"
            ),
        ),
        ("raw_json", call),
    ]
}

/// The text as a stream of pieces of five bytes, or a little more where a character is longer.
fn in_pieces(text: &str) -> ScriptedAnswer {
    let mut steps = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        piece.push(c);
        if piece.len() >= 5 {
            steps.push(Step::text(std::mem::take(&mut piece)));
        }
    }
    steps.push(Step::text(piece));
    ScriptedAnswer::turn(steps)
}

fn ask(harness: &Harness) -> (String, Value) {
    ask_with(harness, &json!("go"))
}

fn ask_with(harness: &Harness, input: &Value) -> (String, Value) {
    let tools = json!([
        {"type": "function", "name": "exec_command", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}},
        {"type": "function", "name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}},
    ]);
    let body = json!({"model": "glm-5", "stream": true, "input": input, "tools": tools}).to_string();
    let stream = dechunk(&harness.post(&body, ""));
    assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
    let last = stream.lines().filter_map(|line| line.strip_prefix("data: {")).next_back().expect("an event");
    let response = serde_json::from_str::<Value>(&format!("{{{last}")).expect("JSON")["response"].clone();
    (stream, response)
}

/// Name and arguments of every call of a response.
fn calls(response: &Value) -> Vec<(String, Value)> {
    let output = response["output"].as_array().expect("a list");
    let calls = output.iter().filter(|item| item["type"] == "function_call");
    calls
        .map(|item| {
            assert_eq!(item["status"], "completed", "{item}");
            let arguments = serde_json::from_str(item["arguments"].as_str().expect("text")).expect("JSON");
            (item["name"].as_str().expect("a name").to_owned(), arguments)
        })
        .collect()
}

fn text(response: &Value) -> String {
    let output = response["output"].as_array().expect("a list");
    output.iter().filter_map(|item| item["content"][0]["text"].as_str()).collect()
}

#[test]
fn every_dialect_becomes_a_call() {
    for (dialect, markup) in dialects("ls -la") {
        let harness = Harness::new("dialect", [in_pieces(&format!("I will look.\n\n{markup}"))]);
        let (stream, response) = ask(&harness);
        assert_eq!(
            calls(&response),
            [("exec_command".to_owned(), json!({"cmd": "ls -la"}))],
            "{dialect}: {stream}"
        );
        assert_eq!(text(&response), "I will look.", "{dialect}");
        for markup in ["<tool", "DSML", "<function", "<bash", "<|", "arg_key"] {
            assert!(!stream.contains(markup), "{dialect} shows {markup}: {stream}");
        }
    }
}

#[test]
fn native_calls_are_made_valid() {
    let cases = [
        ("an alias", "bash", json!({"command": "ls"}).to_string()),
        ("wrapped", "exec_command", json!({"cmd": json!({"cmd": "ls"}).to_string()}).to_string()),
        ("wrapped twice", "exec_command", json!({"arguments": {"cmd": "ls"}}).to_string()),
        ("as text", "exec_command", Value::from(json!({"cmd": "ls"}).to_string()).to_string()),
        ("Python", "exec_command", "{'cmd': 'ls',}".to_owned()),
    ];
    for (what, name, arguments) in cases {
        let harness = Harness::new("native", [ScriptedAnswer::turn([Step::call("call_1", name, arguments)])]);
        let (stream, response) = ask(&harness);
        assert_eq!(calls(&response), [("exec_command".to_owned(), json!({"cmd": "ls"}))], "{what}: {stream}");
    }
}

#[test]
fn a_call_without_a_command_is_said_and_not_made() {
    let harness = Harness::new(
        "empty",
        [ScriptedAnswer::turn([Step::call("call_1", "exec_command", "{\"cmd\":\" \"}")])],
    );
    let (stream, response) = ask(&harness);
    assert_eq!(calls(&response), [], "{stream}");
    assert!(text(&response).contains("no command to run"), "{stream}");
}

#[test]
fn text_and_native_calls_share_one_answer() {
    let markup = "<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>";
    let answer =
        ScriptedAnswer::turn([Step::text(markup), Step::call("call_1", "read_file", "{\"path\":\"b\"}")]);
    let harness = Harness::new("both", [answer]);
    let (_, response) = ask(&harness);
    let read = |path: &str| ("read_file".to_owned(), json!({ "path": path }));
    assert_eq!(calls(&response), [read("a"), read("b")]);
}

#[test]
fn what_is_no_call_is_shown_as_it_is() {
    let fenced = "A call looks so:\n```xml\n<tool_call>{\"name\":\"exec_command\",\"arguments\":{\"cmd\":\"rm -rf /\"}}</tool_call>\n```\nThat is all.";
    let undeclared = "<tool_call>{\"name\":\"launch\",\"arguments\":{}}</tool_call>";
    let cut = "<tool_call>{\"name\":\"exec_command\",\"arguments\":{\"cmd\":\"rm -r";
    for shown in
        [fenced, undeclared, cut, "a < b && c > d {x} [y] `z`\n\n", "<explore_agent>\nlook\n</explore_agent>"]
    {
        let harness = Harness::new("prose", [in_pieces(shown)]);
        let (stream, response) = ask(&harness);
        assert_eq!(calls(&response), [], "{stream}");
        assert_eq!(text(&response), shown);
    }
}

#[test]
fn a_model_that_meant_a_call_is_asked_again_and_the_client_does_not_see_it() {
    let broken = "I look.\n<tool_call>{\"name\": oops}</tool_call>";
    let second =
        ScriptedAnswer::turn([Step::text("Sorry."), Step::call("call_1", "read_file", "{\"path\":\"a\"}")]);
    let harness = Harness::new("again", [in_pieces(broken), second]);
    let (stream, response) = ask(&harness);
    assert_eq!(calls(&response), [("read_file".to_owned(), json!({"path": "a"}))], "{stream}");
    assert_eq!(text(&response).trim(), "I look.");
    assert!(!stream.contains("oops") && !stream.contains("Sorry"), "{stream}");
    assert_eq!(response["usage"]["total_tokens"], 30, "both answers were paid for");
    let requests = harness.requests();
    let messages = requests[1].body["messages"].as_array().expect("a list");
    let [.., said, asked] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((&said["role"], &said["content"]), (&json!("assistant"), &json!(broken)));
    let asked = asked["content"].as_str().expect("text");
    assert!(asked.contains("could not be read") && asked.contains("exec_command, read_file"), "{asked}");
    assert_eq!(requests[1].body["tools"], requests[0].body["tools"]);
}

#[test]
fn asking_again_never_makes_it_worse() {
    let explore = "<explore_agent>\nlook around\n</explore_agent>";
    let failed = ScriptedAnswer::error(500, json!({"error": {"message": "broke"}}));
    for second in [
        failed,
        ScriptedAnswer::text("I cannot."),
        in_pieces(explore),
        ScriptedAnswer::steps([Step::text("I"), Step::Cut]),
    ] {
        let harness = Harness::configured(
            "worse",
            [in_pieces(&format!("Well.\n{explore}")), second],
            "",
            "retries = 0",
        );
        let (stream, response) = ask(&harness);
        assert_eq!((calls(&response), response["status"].as_str()), (vec![], Some("completed")), "{stream}");
        assert_eq!(
            text(&response).replace('\n', ""),
            format!("Well.{explore}").replace('\n', ""),
            "{stream}"
        );
        assert_eq!(harness.requests().len(), 2, "once, and not again");
    }
}

fn cut(text: &str) -> ScriptedAnswer {
    ScriptedAnswer::steps([Step::text(text), Step::finish("length"), Step::usage(10, 5), Step::Done])
}

#[test]
fn an_answer_that_a_limit_cut_goes_on() {
    let begun = "The first part of a long answer ends in";
    let harness = Harness::new(
        "resume",
        [
            cut(begun),
            cut(&format!("{begun} the middle of it,")),
            in_pieces("Well: a long answer ends in the middle of it, and then it is over."),
        ],
    );
    let (stream, response) = ask(&harness);
    assert_eq!(text(&response), format!("{begun} the middle of it, and then it is over."), "{stream}");
    assert_eq!((&response["status"], &response["usage"]["total_tokens"]), (&json!("completed"), &json!(45)));
    let requests = harness.requests();
    let messages = requests[2].body["messages"].as_array().expect("a list");
    assert_eq!(messages[messages.len() - 2]["content"], format!("{begun} the middle of it,"));
}

#[test]
fn an_answer_is_joined_at_a_verified_seam_or_not_at_all() {
    let begun = "The first part of a long answer ends in";
    for second in [
        ScriptedAnswer::text("Something else."),
        ScriptedAnswer::error(500, json!({"error": {"message": "broke"}})),
    ] {
        let harness = Harness::configured("seam", [cut(begun), second], "", "retries = 0");
        let (stream, response) = ask(&harness);
        assert_eq!(
            (text(&response).as_str(), response["status"].as_str()),
            (begun, Some("incomplete")),
            "{stream}"
        );
        assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    }
    let harness = Harness::configured("no_resume", [cut(begun)], "", "resume = 0");
    assert_eq!((text(&ask(&harness).1).as_str(), harness.requests().len()), (begun, 1));
}

#[test]
fn a_call_that_a_limit_cut_is_made_anew_and_never_run_in_half() {
    let half = "I clean up.\n<tool_call>{\"name\":\"exec_command\",\"arguments\":{\"cmd\":\"rm -rf ";
    let whole = "<tool_call>{\"name\":\"exec_command\",\"arguments\":{\"cmd\":\"rm -rf build\"}}</tool_call>";
    let harness = Harness::new("half", [cut(half), in_pieces(whole)]);
    let (stream, response) = ask(&harness);
    assert_eq!(calls(&response), [("exec_command".to_owned(), json!({"cmd": "rm -rf build"}))], "{stream}");
    let asked = harness.requests()[1].body["messages"]
        .as_array()
        .and_then(|list| list.last().cloned())
        .expect("a message");
    assert!(
        asked["content"].as_str().is_some_and(|text| text.contains("cut off before it was whole")),
        "{asked}"
    );
}

#[test]
fn what_was_done_is_explained_and_counted() {
    let markup = "<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>";
    let harness = Harness::new("explain", [in_pieces(markup)]);
    ask(&harness);
    let explain = |args: &[&str]| {
        let mut command = support::latimer();
        command.arg("explain").args(args).arg("--config").arg(harness.dir.join("latimer.toml"));
        let output = support::output(command.arg("--state-dir").arg(harness.dir.join("state")));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let list = explain(&[]);
    assert!(list.starts_with("t1     lab/glm-5  tool_calls after") && list.contains("1 repairs"), "{list}");
    let one = explain(&["t1"]);
    for part in [
        "a hermes call was found in the text: exec_command (written in 55 bytes)",
        "call exec_command: renamed",
    ] {
        assert!(one.contains(part), "{one}");
    }
    assert!(explain(&["t9"]).contains("remembers no turn `t9`"));
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        harness.token()
    );
    let health: Value = serde_json::from_str(support::body(&harness.http(&head, b""))).expect("JSON");
    assert_eq!(health["endpoints"][0]["repairs"], json!({"glm-5": 1}));
}

#[test]
fn a_model_that_is_stuck_is_not_helped_on() {
    let markup = "<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>";
    let harness = Harness::new("stuck", [in_pieces(markup)]);
    let mut input = vec![json!({"type": "message", "role": "user", "content": "go"})];
    for number in 0..3 {
        let id = format!("call_{number}");
        input.push(json!({"type": "function_call", "call_id": id, "name": "read_file", "arguments": "{\"path\": \"a\"}"}));
        input.push(json!({"type": "function_call_output", "call_id": id, "output": "empty"}));
    }
    let (stream, response) = ask_with(&harness, &json!(input));
    assert_eq!((calls(&response), text(&response).as_str()), (vec![], markup), "{stream}");
}

#[test]
fn at_assist_a_plain_announcement_becomes_a_read_only_command() {
    for (said, command) in [
        ("I will read `src/main.rs`.", Some("head -n 200 -- 'src/main.rs'")),
        ("Let me explore the project.", Some("ls -la")),
        // No address is fetched, whoever named it, and no secret is read.
        ("<explore_agent>\nhttps://example.com/a\n</explore_agent>", None),
        ("Let me fetch https://example.com/a.", None),
        ("I will read `.env`.", None),
        ("I will read `/etc/passwd`.", None),
        ("He wrote that:\nI will read `src/main.rs`.", None),
        ("I will run `rm -rf /`.", None),
        ("<require_escalation>I need more rights.</require_escalation>", None),
        ("All done.", None),
    ] {
        for (level, made) in [("assist", command), ("parse", None)] {
            let harness = Harness::configured(
                level,
                [ScriptedAnswer::text(said)],
                "",
                &format!("repair = \"{level}\""),
            );
            let (stream, response) = ask(&harness);
            let want: Vec<_> = made
                .map(|command| ("exec_command".to_owned(), json!({ "cmd": command })))
                .into_iter()
                .collect();
            assert_eq!(calls(&response), want, "{level} {said}: {stream}");
            if made.is_none() {
                assert_eq!(text(&response), said, "{level}: {stream}");
            }
        }
    }
}

#[test]
fn nothing_is_touched_when_it_is_off() {
    let markup = "<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>";
    let harness = Harness::configured("off", [in_pieces(markup)], "", "repair = \"off\"");
    let (_, response) = ask(&harness);
    assert_eq!((calls(&response), text(&response).as_str()), (vec![], markup));
    let body = json!({"model": "glm-5", "input": "go", "tools": [{"type": "function", "name": "read_file", "parameters": {}}]});
    let answer = harness.post(&body.to_string(), "x-latimer-repair: parse\r\n");
    assert!(answer.contains("function_call") && !answer.contains("<tool_call>"), "{answer}");
    let answer = harness.post(&body.to_string(), "x-latimer-repair: much\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("`off`, `parse` or `assist`"), "{answer}");
}

#[test]
fn codex_runs_what_a_model_wrote_in_any_dialect() {
    let Some(codex) = program(CODEX) else { return };
    for (dialect, markup) in dialects("echo hello > made.txt") {
        let answers = [in_pieces(&format!("I will make it.\n\n{markup}")), ScriptedAnswer::text("Made it.")];
        let harness = Harness::new(dialect, answers);
        let run = harness.codex(&codex, &["Make a file."]);
        assert_eq!(run.code, Some(0), "{dialect}: {}", run.all());
        assert_eq!(run.messages(), ["I will make it.", "Made it."], "{dialect}: {}", run.all());
        let made = std::fs::read_to_string(harness.dir.join("project/made.txt"));
        assert_eq!(made.ok().as_deref(), Some("hello\n"), "{dialect}: {}", run.all());
    }
}

#[test]
fn codex_shows_an_example_and_runs_nothing() {
    let Some(codex) = program(CODEX) else { return };
    let shown = "A call looks so:\n```xml\n<tool_call>{\"name\":\"exec_command\",\"arguments\":{\"cmd\":\"touch made.txt\"}}</tool_call>\n```";
    let harness = Harness::new("example", [in_pieces(shown)]);
    let run = harness.codex(&codex, &["What does a call look like?"]);
    assert_eq!((run.code, run.messages()), (Some(0), vec![shown.to_owned()]), "{}", run.all());
    assert!(!harness.dir.join("project/made.txt").exists());
    assert_eq!(harness.requests().len(), 1);
}
