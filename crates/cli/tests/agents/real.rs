//! The real programs: what all of them do, and what each does its own way.

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

use super::support::{Harness, folder, program, serve, wait_until};
use super::{Agent, CODEX, agent, agents_alive, answers, ask, asked, body, marked, outer, text};

/// Each protocol, and the variable through which its program is found.
const PROTOCOLS: [(&str, &str); 4] = [
    ("codex-exec", CODEX),
    ("codex-app-server", CODEX),
    ("claude-code", "LATIMER_CLAUDE"),
    ("opencode", "LATIMER_OPENCODE"),
];
/// Longer than a start takes on a machine that does ten other things.
const PATIENT: &str = "limits = { start = \"120s\", call = \"60s\", idle = \"120s\", turn = \"120s\" }";
/// A picture of one point.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// An agent of each protocol whose program is there.
fn of_each(
    name: &str,
    keys: &str,
    answers: impl Fn() -> Vec<ScriptedAnswer>,
) -> impl Iterator<Item = (&'static str, Agent)> {
    PROTOCOLS.into_iter().filter_map(move |(protocol, variable)| {
        let command = program(variable)?;
        let keys = format!("{PATIENT}\n{keys}");
        Some((protocol, agent(&format!("{name}-{protocol}"), protocol, &command, answers(), &keys, "")))
    })
}

/// A request of one message with more beside it.
fn request(content: &Value, more: &Value) -> String {
    let mut request = json!({
        "model": "agent/gpt-5.5",
        "input": [{ "type": "message", "role": "user", "content": content }],
    });
    let more = more.as_object().expect("an object").clone();
    request.as_object_mut().expect("an object").extend(more);
    request.to_string()
}

#[test]
fn a_wrong_key_behind_every_agent_is_told_as_one_and_asked_with_once() {
    let refusal = || {
        let body = json!({ "error": { "message": "wrong key", "type": "authentication_error" } });
        (0..8).map(|_| ScriptedAnswer::error(401, body.clone())).collect()
    };
    for (protocol, agent) in of_each("refused", "", refusal) {
        let answer = ask(&agent, &["hi"]);
        assert!(
            answer.starts_with("HTTP/1.1 502") && answer.contains("upstream_auth"),
            "{protocol}: {answer}"
        );
        assert!(answer.contains("wrong key") && answer.contains("latimer login"), "{protocol}: {answer}");
        assert_eq!(agent.inner.provider.request_count(), 1, "{protocol}");
    }
}

#[test]
fn a_long_prompt_and_a_picture_arrive_whole_at_every_agent() {
    let long = "wörd ".repeat(40_000);
    let content = json!([
        { "type": "input_text", "text": long.trim() },
        { "type": "input_image", "image_url": PICTURE },
    ]);
    for (protocol, agent) in of_each("long", "", || answers(2)) {
        let answer = agent.post(&request(&content, &json!({})), "");
        assert_eq!(text(&answer), "Answer 0.", "{protocol}: {answer}");
        let request = asked(&agent, 0);
        assert!(request.contains(long.trim()), "{protocol}: all words arrived");
        assert!(request.contains("data:image/png;base64,"), "{protocol}: the picture arrived");
    }
}

#[test]
fn an_answer_of_a_shape_is_held_to_it() {
    let schema = json!({
        "type": "object", "properties": { "wanted_name": { "type": "string" } },
        "required": ["wanted_name"], "additionalProperties": false,
    });
    let format = json!({ "text": { "format": { "type": "json_schema", "name": "s", "schema": schema, "strict": true } } });
    let content = json!([{ "type": "input_text", "text": "hi" }]);
    for (protocol, agent) in of_each("shape", "", || {
        vec![ScriptedAnswer::text("{\"wanted_name\":\"x\"}"), ScriptedAnswer::text("Done.")]
    }) {
        let answer = match protocol {
            // It has the model call a tool for it.
            "claude-code" => continue,
            _ => agent.post(&request(&content, &format), ""),
        };
        if protocol == "opencode" {
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("JSON schema"), "{answer}");
            continue;
        }
        assert_eq!(text(&answer), "{\"wanted_name\":\"x\"}", "{protocol}: {answer}");
        assert!(asked(&agent, 0).contains("wanted_name"), "{protocol}: the model is told");
    }
    let Some(claude) = program("LATIMER_CLAUDE") else { return };
    let call = ScriptedAnswer::turn([Step::call("call_1", "StructuredOutput", "{\"wanted_name\":\"x\"}")]);
    let agent =
        agent("shape-claude", "claude-code", &claude, [call, ScriptedAnswer::text("Done.")], PATIENT, "");
    let answer = agent.post(&request(&content, &format), "");
    let object: Value = serde_json::from_str(&text(&answer)).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!(object, json!({ "wanted_name": "x" }), "{answer}");
}

/// The call by which a model has this command run, at each agent.
fn command(protocol: &str, line: &str) -> Step {
    match protocol {
        "claude-code" => {
            Step::call("call_1", "Bash", json!({ "command": line, "description": "x" }).to_string())
        }
        "opencode" => {
            Step::call("call_1", "bash", json!({ "command": line, "description": "x" }).to_string())
        }
        _ => Step::call("call_1", "exec_command", json!({ "cmd": line }).to_string()),
    }
}

const OWN_TOOLS: &str =
    "own_tools = true\nsandbox = \"danger-full-access\"\noutside_sandbox = true\nask = \"untrusted\"";

#[test]
fn what_an_agent_asks_for_is_declined_or_accepted_as_the_endpoint_says() {
    for (protocol, variable) in PROTOCOLS {
        // `codex exec` asks nobody.
        let Some(command_path) = program(variable).filter(|_| protocol != "codex-exec") else { continue };
        for approvals in ["decline", "accept"] {
            let file = folder("approvals").join("made");
            let script = [
                ScriptedAnswer::turn([command(protocol, &format!("touch {}", file.display()))]),
                ScriptedAnswer::text("Done."),
            ];
            let keys = format!("{PATIENT}\n{OWN_TOOLS}\napprovals = \"{approvals}\"");
            let name = format!("approvals-{protocol}-{approvals}");
            let agent = agent(&name, protocol, &command_path, script, &keys, "");
            let answer = ask(&agent, &["make it"]);
            assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
            let requests = agent.inner.requests().len();
            let last = asked(&agent, requests - 1);
            assert_eq!(file.exists(), approvals == "accept", "{name}: {answer}\n{last}");
            if approvals == "decline" && protocol != "opencode" {
                let is_told = ["rejected", "not allowed here"].iter().any(|word| last.contains(word));
                assert!(is_told, "{name}: the model is told: {last}");
            }
            // opencode ends the turn at once when it is told no.
            if protocol != "opencode" || approvals == "accept" {
                assert_eq!(text(&answer), "Done.", "{name}");
            }
        }
    }
}

#[test]
fn a_client_that_leaves_interrupts_every_agent_and_the_next_one_is_answered() {
    let script = || {
        let begun = ScriptedAnswer::turn([Step::text("Begun."), Step::sleep(60_000)]);
        std::iter::once(begun).chain(answers(4)).collect()
    };
    for (protocol, agent) in of_each("leaves", "", script) {
        // Of `codex exec` a client sees nothing before the end.
        if protocol == "codex-exec" {
            continue;
        }
        let go = r#"{"model":"agent/gpt-5.5","stream":true,"input":"go"}"#;
        drop(agent.outer.open_stream_of(go, "Begun."));
        wait_until("the model was left", || agent.inner.provider.disconnects() >= 1);
        let answer = ask(&agent, &["ONE"]);
        assert!(text(&answer).starts_with("Answer "), "{protocol}: {answer}");
    }
}

#[test]
fn a_conversation_goes_on_after_a_restart_and_after_an_idle_agent_was_closed() {
    for (protocol, mut agent) in of_each("restart", "idle_close = \"1s\"", || answers(4)) {
        assert_eq!(text(&ask(&agent, &["ONE"])), "Answer 0.", "{protocol}");
        if matches!(protocol, "claude-code" | "opencode") {
            wait_until("it was closed", || agents_alive(&agent).is_empty());
        }
        let second = ask(&agent, &["ONE", "Answer 0.", "TWO"]);
        assert_eq!(text(&second), "Answer 1.", "{protocol}: {second}");
        agent.outer.restart();
        let third = ask(&agent, &["ONE", "Answer 0.", "TWO", "Answer 1.", "THREE"]);
        assert_eq!(text(&third), "Answer 2.", "{protocol}: {third}");
        let request = asked(&agent, 2);
        for word in ["ONE", "TWO", "THREE"] {
            assert_eq!(request.matches(word).count(), 1, "{protocol}: {word} in {request}");
        }
        let is_told_anew = request.contains("The conversation so far");
        assert_eq!(is_told_anew, protocol == "codex-exec", "{protocol}: {request}");
    }
}

#[test]
fn a_turn_that_takes_too_long_takes_what_the_agent_has_started_along() {
    let Some(codex) = program(CODEX) else { return };
    for (protocol, kills) in [("codex-exec", false), ("codex-app-server", false), ("codex-app-server", true)]
    {
        let script = || {
            [
                ScriptedAnswer::turn([command(protocol, "setsid sleep 601 & sleep 602")]),
                // Codex goes on when a command takes long; its model does not then.
                ScriptedAnswer::turn([Step::sleep(600_000), Step::text("Done.")]),
            ]
        };
        let keys = format!(
            "{OWN_TOOLS}\napprovals = \"accept\"\nlimits = {{ turn = \"{}\" }}",
            if kills { "10m" } else { "25s" }
        );
        let name = format!("grandchildren-{protocol}-{kills}");
        let mut agent = agent(&name, protocol, &codex, script(), &keys, "");
        let mark = format!("LATIMER_AGENT=agent-{}-", agent.proxy.id());
        let runs = |what: &str| marked(&mark).iter().any(|line| line.contains(what));
        let go = r#"{"model":"agent/gpt-5.5","stream":true,"input":"go"}"#;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| agent.outer.post(go, ""));
            wait_until("both commands run", || runs("sleep 601") && runs("sleep 602"));
            if kills {
                agent.outer.signal("KILL");
            }
            let _ = asking.join();
        });
        if kills {
            agent.outer.proxy.wait().expect("killed");
            let (proxy, url) = serve(&agent.outer.dir, &[]);
            (agent.outer.proxy, agent.outer.url) = (proxy, url);
        } else if protocol == "codex-app-server" {
            // The process goes on and its command does not. What that has put into a session of its own ends with the process.
            wait_until("the command is gone", || !runs("sleep 602"));
            agent.outer.signal("TERM");
            agent.outer.proxy.wait().expect("stopped");
        }
        wait_until("nothing is left", || marked(&mark).is_empty());
    }
}

#[test]
fn an_agent_whose_model_is_an_agent_is_told_so_and_goes_no_further() {
    for (protocol, variable) in PROTOCOLS {
        let Some(command) = program(variable) else { continue };
        let inner: Harness = outer(&format!("loop-inner-{protocol}"), "codex-exec", "/bin/false", "", "");
        let (url, key) = (inner.url.clone(), inner.token());
        let keys = format!(
            "model = \"agent/gpt-5.5\"\nprovider = {{ base_url = \"{url}/v1\", key = \"{key}\" }}\n{PATIENT}"
        );
        let outer = outer(&format!("loop-{protocol}"), protocol, &command, &keys, "");
        let answer = ask(&outer, &["hi"]);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{protocol}: {answer}");
        assert!(answer.contains("leads back to an agent"), "{protocol}: {answer}");
        assert!(!inner.log_events("agent.loop").is_empty(), "{protocol}");
        assert_eq!(body(&answer)["error"]["type"], "invalid_request_error", "{protocol}: {answer}");
    }
}
