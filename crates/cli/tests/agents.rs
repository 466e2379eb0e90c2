//! Agents as providers, through the real proxy. The real programs run where `cargo xtask e2e` has installed them; a scripted model stands
//! behind them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "agents/real.rs"]
mod real;
#[path = "agents/stand_ins.rs"]
mod stand_ins;
mod support;

use latimer_adapters::scripted::{Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, RunningProvider, folder, program, serve, wait_until};

const CODEX: &str = "LATIMER_CODEX";

/// A proxy whose endpoint `agent` is a program, and behind that another proxy, which speaks every protocol to a scripted model.
struct Agent {
    outer: Harness,
    inner: Harness,
}

impl std::ops::Deref for Agent {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.outer
    }
}

fn agent(
    name: &str,
    protocol: &str,
    command: &str,
    answers: impl IntoIterator<Item = ScriptedAnswer>,
    keys: &str,
    more: &str,
) -> Agent {
    let inner = Harness::new(&format!("{name}-model"), answers);
    let (url, key) = (inner.url.clone(), inner.token());
    let outer = outer(
        name,
        protocol,
        command,
        &format!("provider = {{ base_url = \"{url}/v1\", key = \"{key}\" }}\n{keys}"),
        more,
    );
    Agent { outer, inner }
}

/// The same with all of the agent's keys given, and no model of ours behind it.
fn outer(name: &str, protocol: &str, command: &str, keys: &str, more: &str) -> Harness {
    let dir = folder(name);
    let RunningProvider { provider, runtime } =
        RunningProvider::start(Scenario::new([ScriptedAnswer::text("from elsewhere")]));
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ngrace = \"2s\"\n[[endpoint]]\nname = \"agent\"\nprotocol = \"{protocol}\"\nmodels = [\"gpt-5.5\"]\n\
         [endpoint.agent]\ncommand = \"{command}\"\n{keys}\n{}\n",
        more.replace("ELSEWHERE", &provider.base_url()),
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    let (proxy, url) = serve(&dir, &[]);
    let login = login_file(&dir);
    std::fs::create_dir_all(login.parent().expect("a folder")).expect("made");
    std::fs::write(login, "{}").expect("written");
    Harness { dir, proxy, url, provider, runtime, spare_runtime: None }
}

/// What Codex keeps of a login; without it nothing is asked of it.
fn login_file(dir: &std::path::Path) -> std::path::PathBuf {
    dir.join("state/agents/agent/home/auth.json")
}

/// The JSON of an answer that is not streamed.
fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let json = &body
        [body.find('{').unwrap_or_else(|| panic!("no JSON: {answer}"))..=body.rfind('}').expect("an end")];
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The text of a Responses answer.
fn text(answer: &str) -> String {
    let body = body(answer);
    let items = body["output"].as_array().unwrap_or_else(|| panic!("no output: {answer}"));
    let texts = items.iter().filter_map(|item| item["content"][0]["text"].as_str());
    texts.collect::<Vec<_>>().join("|")
}

/// What the model was asked, as one text.
fn asked(agent: &Agent, number: usize) -> String {
    let requests = agent.inner.requests();
    requests.get(number).unwrap_or_else(|| panic!("request {number} of {}", requests.len())).body.to_string()
}

/// Processes whose environment holds the mark of this test's state directory, or that were started for its endpoint.
fn agents_alive(harness: &Harness) -> Vec<String> {
    let mark = format!("LATIMER_AGENT=agent-{}-", harness.proxy.id());
    marked(&mark)
}

fn marked(mark: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("a list");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_marked = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes())))
    };
    let command = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(is_marked).map(|pid| format!("{pid} {}", command(pid).replace('\0', " "))).collect()
}

#[test]
fn codex_exec_answers_at_every_door() {
    let Some(codex) = program(CODEX) else { return };
    let answers = (0..4).map(|number| {
        ScriptedAnswer::turn([Step::reasoning("Hm."), Step::text(format!("Answer {number}."))])
    });
    let harness = agent("exec-doors", "codex-exec", &codex, answers, "", "");
    let input = r#"{"model":"agent/gpt-5.5","instructions":"BE BRIEF","input":"QUESTION"}"#;
    let answer = harness.post(input, "");
    assert_eq!(text(&answer), "Answer 0.", "{answer}");
    assert!(body(&answer)["usage"]["output_tokens"].as_u64() > Some(0), "{answer}");
    let request = asked(&harness, 0);
    assert!(request.contains("BE BRIEF") && request.contains("QUESTION"), "{request}");
    for foreign in ["shell", "AGENTS.md", "skills", harness.dir.to_str().expect("UTF-8")] {
        assert!(!request.contains(foreign), "{foreign}: {request}");
    }
    let chat = r#"{"model":"agent/gpt-5.5","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = harness.post_to("/v1/chat/completions", chat, "");
    assert!(answer.contains("Answer 1.") && answer.contains("[DONE]"), "{answer}");
    let messages = r#"{"model":"agent/gpt-5.5","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = harness.post_to("/v1/messages", messages, "");
    assert!(answer.contains("\"text\":\"Answer 2.\""), "{answer}");
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let answer = harness.post_to("/v1beta/models/agent/gpt-5.5:generateContent", gemini, "");
    assert!(answer.contains("Answer 3."), "{answer}");
    wait_until("no process is left", || agents_alive(&harness).is_empty());
    let turns = harness.dir.join("state/agents/agent/turns");
    assert_eq!(std::fs::read_dir(turns).expect("there").count(), 0, "no file of a turn stays");
}

#[test]
fn codex_exec_takes_a_long_prompt_and_tells_its_failures() {
    let Some(codex) = program(CODEX) else { return };
    let refusal = json!({ "error": { "message": "wrong key", "type": "invalid_request_error" } });
    let answers = [
        ScriptedAnswer::text("Long."),
        ScriptedAnswer::error(401, refusal.clone()),
        ScriptedAnswer::error(401, refusal),
    ];
    let harness = agent("exec-long", "codex-exec", &codex, answers, "", "");
    let long = "wörd ".repeat(40_000);
    let ask =
        |input: &str| harness.post(&json!({ "model": "agent/gpt-5.5", "input": input }).to_string(), "");
    assert_eq!(text(&ask(&long)), "Long.");
    assert!(asked(&harness, 0).contains(long.trim()), "all of it arrived");
    let refused = ask("hi");
    // The proxy behind the agent tells Codex of its own wrong key in words, of which no status is left.
    assert!(refused.starts_with("HTTP/1.1 502") && refused.contains("upstream_auth"), "{refused}");
    assert!(refused.contains("wrong key") && refused.contains("latimer login codex"), "{refused}");
    assert_eq!(harness.inner.provider.request_count(), 2, "a wrong key is asked with once");
    let started = harness.inner.provider.request_count();
    let too_long = ask(&"x".repeat((1 << 20) + 1));
    assert!(too_long.starts_with("HTTP/1.1 4") && too_long.contains("1048576"), "{too_long}");
    let tools =
        r#"{"model":"agent/gpt-5.5","input":"x","tools":[{"type":"function","name":"f","parameters":{}}]}"#;
    let refused = harness.post(tools, "");
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("client_tools"), "{refused}");
    assert_eq!(harness.inner.provider.request_count(), started, "what was refused has started nothing");
}

/// A Responses request whose history is these texts, said in turns by the person and the agent.
fn conversation(texts: &[&str]) -> String {
    let role = |place: usize| if place.is_multiple_of(2) { "user" } else { "assistant" };
    let kind = |place: usize| if place.is_multiple_of(2) { "input_text" } else { "output_text" };
    let item = |(place, text): (usize, &&str)| json!({ "type": "message", "role": role(place), "content": [{ "type": kind(place), "text": text }] });
    let items: Vec<Value> = texts.iter().enumerate().map(item).collect();
    json!({ "model": "agent/gpt-5.5", "input": items }).to_string()
}

fn ask(harness: &Harness, texts: &[&str]) -> String {
    harness.post(&conversation(texts), "")
}

fn answers(count: usize) -> Vec<ScriptedAnswer> {
    (0..count).map(|number| ScriptedAnswer::text(format!("Answer {number}."))).collect()
}

#[test]
fn an_app_server_keeps_a_conversation_in_one_thread() {
    let Some(codex) = program(CODEX) else { return };
    let agent = agent("server-thread", "codex-app-server", &codex, answers(5), "", "");
    let first = agent.post(&conversation(&["ONE"]), "");
    assert_eq!(text(&first), "Answer 0.", "{first}");
    assert_eq!(text(&agent.post(&conversation(&["ONE", "Answer 0.", "TWO"]), "")), "Answer 1.");
    let request = asked(&agent, 1);
    assert_eq!(request.matches("ONE").count(), 1, "nothing is said twice: {request}");
    assert!(request.contains("Answer 0.") && request.contains("TWO"), "{request}");
    for foreign in ["\"shell", "AGENTS.md", "skills", "environment_context"] {
        assert!(!request.contains(foreign), "{foreign}: {request}");
    }
    // By name: the proxy itself knows what was said before.
    let id = body(&first)["id"].as_str().expect("an id").to_owned();
    let branch =
        json!({ "model": "agent/gpt-5.5", "previous_response_id": id, "input": "OTHER" }).to_string();
    assert_eq!(text(&agent.post(&branch, "")), "Answer 2.");
    let request = asked(&agent, 2);
    assert!(
        request.contains("OTHER") && !request.contains("TWO"),
        "an older turn is branched off: {request}"
    );
    // A history that no thread has is told to a new one.
    assert_eq!(text(&agent.post(&conversation(&["X", "Y", "Z"]), "")), "Answer 3.");
    let request = asked(&agent, 3);
    assert!(["X", "Y", "Z"].iter().all(|word| request.contains(&format!("\"{word}\""))), "{request}");
    let usage = body(&agent.post(&conversation(&["X", "Y", "Z", "Answer 3.", "W"]), ""))["usage"].clone();
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(10), &json!(5)),
        "of this turn alone"
    );
    assert_eq!(
        agents_alive(&agent).iter().filter(|line| line.contains("app-server")).count(),
        2,
        "each new conversation in the next process, a branch beside its trunk"
    );
}

#[test]
fn an_app_server_runs_several_turns_at_once_and_survives_its_death() {
    let Some(codex) = program(CODEX) else { return };
    let slow = |number: usize| {
        ScriptedAnswer::turn([Step::text(format!("Slow {number}.")), Step::sleep(700), Step::text(" Done.")])
    };
    let script = [slow(0), slow(1)].into_iter().chain(answers(4));
    let agent = agent("server-many", "codex-app-server", &codex, script, "pool = 1", "");
    std::thread::scope(|scope| {
        let turns =
            ["A", "B"].map(|name| scope.spawn(|| text(&agent.outer.post(&conversation(&[name]), ""))));
        let mut texts = turns.map(|turn| turn.join().expect("answered"));
        texts.sort();
        assert_eq!(texts, ["Slow 0. Done.", "Slow 1. Done."]);
    });
    assert_eq!(text(&agent.post(&conversation(&["ONE"]), "")), "Answer 0.");
    let pid = agents_alive(&agent)
        .iter()
        .find_map(|line| {
            line.contains("app-server").then(|| line.split(' ').next().expect("a pid").to_owned())
        })
        .expect("one runs");
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill runs");
    assert!(killed.success());
    wait_until("its death was seen", || !agent.log_events("agent.died").is_empty());
    assert_eq!(
        text(&agent.post(&conversation(&["ONE", "Answer 0.", "TWO"]), "")),
        "Answer 1.",
        "another process took it up"
    );
    let request = asked(&agent, 3);
    assert!(
        request.contains("ONE") && !request.contains("\"shell"),
        "its own tools are still off: {request}"
    );
}

#[test]
fn a_client_that_leaves_interrupts_the_agent_and_nothing_outlives_the_proxy() {
    let Some(codex) = program(CODEX) else { return };
    let script =
        [ScriptedAnswer::turn([Step::text("Begun."), Step::sleep(60_000)])].into_iter().chain(answers(2));
    let mut agent = agent("server-leaves", "codex-app-server", &codex, script, "pool = 1", "");
    let (stream, _) =
        agent.outer.open_stream_of(r#"{"model":"agent/gpt-5.5","stream":true,"input":"go"}"#, "Begun.");
    drop(stream);
    wait_until("the model was left", || agent.inner.provider.disconnects() == 1);
    assert_eq!(text(&agent.post(&conversation(&["ONE"]), "")), "Answer 0.", "the process goes on");
    let mark = format!("LATIMER_AGENT=agent-{}-", agent.proxy.id());
    agent.outer.signal("TERM");
    agent.outer.proxy.wait().expect("stopped");
    assert!(marked(&mark).is_empty(), "{:?}", marked(&mark));
}

#[test]
fn what_a_killed_proxy_left_is_ended_at_the_next_start() {
    let dir = folder("agent-left");
    let stub = dir.join("codex");
    // It ignores the end of its input, and its command stands in a session of its own.
    let script = "#!/bin/sh\ntrap '' INT TERM HUP\nsetsid sleep 600 &\nsleep 600\n";
    std::fs::write(&stub, script).expect("written");
    std::process::Command::new("chmod").arg("+x").arg(&stub).status().expect("chmod runs");
    let mut harness = outer("agent-left", "codex-exec", stub.to_str().expect("UTF-8"), "", "");
    let mark = format!("LATIMER_AGENT=agent-{}-", harness.proxy.id());
    let request = r#"{"model":"agent/gpt-5.5","stream":true,"input":"go"}"#;
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| harness.post(request, ""));
        wait_until("the agent and its command run", || marked(&mark).len() >= 3);
        let killed =
            std::process::Command::new("kill").args(["-9", &harness.proxy.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        drop(asking.join());
    });
    harness.proxy.wait().expect("killed");
    assert!(!marked(&mark).is_empty(), "they outlive a proxy that was killed");
    let (proxy, url) = serve(&harness.dir, &[]);
    (harness.proxy, harness.url) = (proxy, url);
    wait_until("they are gone", || marked(&mark).is_empty());
}

#[test]
fn claude_code_keeps_a_conversation_in_one_process() {
    let Some(claude) = program("LATIMER_CLAUDE") else { return };
    let agent = agent("claude", "claude-code", &claude, answers(4), "", "");
    let first = ask(&agent, &["ONE"]);
    assert_eq!(text(&first), "Answer 0.", "{first}");
    assert_eq!(text(&ask(&agent, &["ONE", "Answer 0.", "TWO"])), "Answer 1.");
    let request = asked(&agent, 1);
    assert!(request.matches("ONE").count() == 1 && request.contains("TWO"), "{request}");
    assert_eq!(agents_alive(&agent).len(), 1, "{:?}", agents_alive(&agent));
    for foreign in ["CLAUDE.md", agent.dir.to_str().expect("UTF-8")] {
        assert!(!request.contains(foreign), "{foreign}: {request}");
    }
    assert_eq!(text(&ask(&agent, &["X", "Y", "Z"])), "Answer 2.");
    let request = asked(&agent, 2);
    assert!(["X", "Y", "Z"].iter().all(|word| request.contains(word)), "{request}");
}

#[test]
fn opencode_keeps_a_conversation_in_one_session() {
    let Some(opencode) = program("LATIMER_OPENCODE") else { return };
    let mut agent = agent(
        "opencode",
        "opencode",
        &opencode,
        answers(3),
        "limits = { start = \"120s\", idle = \"120s\" }",
        "",
    );
    let first = ask(&agent, &["ONE"]);
    assert_eq!(text(&first), "Answer 0.", "{first}");
    assert_eq!(text(&ask(&agent, &["ONE", "Answer 0.", "TWO"])), "Answer 1.");
    let request = asked(&agent, 1);
    assert!(request.matches("ONE").count() == 1 && request.contains("TWO"), "{request}");
    let mark = format!("LATIMER_AGENT=agent-{}-", agent.proxy.id());
    agent.outer.signal("TERM");
    agent.outer.proxy.wait().expect("stopped");
    assert!(marked(&mark).is_empty(), "{:?}", marked(&mark));
}
