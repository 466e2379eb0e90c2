//! Profiles, runs and messages through the real proxy and the real command, with a scripted model behind them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use latimer_adapters::scripted::{Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, RunningProvider, latimer_in, output, serve, status, wait_until};

/// The JSON of an answer.
fn document(answer: &str) -> Value {
    serde_json::from_str(support::body(answer)).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn post(harness: &Harness, path: &str, body: &Value) -> (u16, Value) {
    let answer = harness.post_to(&format!("/v1/agents/{path}"), &body.to_string(), "");
    (status(&answer), document(&answer))
}

fn get(harness: &Harness, path: &str) -> Value {
    document(&harness.http(&harness.get(path), b""))
}

fn run_of(harness: &Harness, id: &str) -> Value {
    get(harness, &format!("/v1/agents/runs/{id}"))
}

/// A profile `lab`, with these fields more.
fn keep_profile(harness: &Harness, more: &Value) {
    let mut profile = json!({ "id": "lab", "model": "glm-5", "instructions": "BE A LAB" });
    for (field, value) in more.as_object().expect("fields") {
        profile[field] = value.clone();
    }
    assert_eq!(post(harness, "profiles", &profile).0, 201);
}

/// Begins a run; its name.
fn start(harness: &Harness, body: &Value) -> String {
    let (status, started) = post(harness, "runs", body);
    assert_eq!((status, &started["status"]), (202, &json!("queued")), "{started}");
    started["id"].as_str().expect("a name").to_owned()
}

fn wait_for(harness: &Harness, id: &str, wanted: &str) {
    wait_until(&format!("{id} is {wanted}"), || run_of(harness, id)["status"] == wanted);
}

/// Listens to a run until this is told.
fn hear(harness: &Harness, id: &str, text: &str) {
    let mut stream = TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(support::WAIT_TIMEOUT)).expect("set");
    stream.write_all(harness.get(&format!("/v1/agents/runs/{id}/events")).as_bytes()).expect("sent");
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    while !heard.contains(text) {
        let read = stream.read(&mut buffer).expect("read");
        assert!(read > 0, "the events ended early: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// What the command prints.
fn latimer(harness: &Harness, args: &[&str]) -> (Option<i32>, String) {
    let out = output(&mut latimer_in(&harness.dir, args));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), text)
}

#[test]
fn a_profile_runs_from_the_command_line_and_is_a_model_at_every_door() {
    let answers = (0..5).map(|number| ScriptedAnswer::text(format!("Answer {number}.")));
    let harness = Harness::new("agents-doors", answers);
    let file = harness.dir.join("lab.toml");
    std::fs::write(
        &file,
        "id = \"lab\"\nmodel = \"glm-5\"\ninstructions = \"BE A LAB\"\neffort = \"low\"\ntimeout = \"5m\"\n",
    )
    .expect("written");
    let (code, said) = latimer(&harness, &["agents", "profiles", "add", file.to_str().expect("UTF-8")]);
    assert!(code == Some(0) && said.contains("agent:lab"), "{said}");
    assert!(latimer(&harness, &["agents", "profiles"]).1.contains("lab  glm-5, effort low"));
    let (code, said) = latimer(&harness, &["agents", "run", "lab", "--wait", "QUESTION"]);
    assert!(code == Some(0) && said.contains("Answer 0."), "{said}");
    let request = harness.requests()[0].body.to_string();
    assert!(request.contains("BE A LAB") && request.contains("QUESTION"), "{request}");
    let runs = get(&harness, "/v1/agents/runs");
    let run = &runs["data"][0];
    assert_eq!(
        (&run["status"], &run["result"], &run["timeout"]),
        (&json!("completed"), &json!("Answer 0."), &json!(300)),
        "{runs}"
    );
    assert_eq!(run["usage"]["turns"], 1, "{runs}");
    let listed = latimer(&harness, &["agents", "runs"]).1;
    assert!(listed.contains("completed") && listed.contains("QUESTION"), "{listed}");

    let said = r#"[{"role":"user","content":"hi"}]"#;
    let doors = [
        ("/v1/responses", r#"{"model":"agent:lab","input":"hi"}"#.to_owned()),
        ("/v1/chat/completions", format!("{{\"model\":\"agent:lab\",\"messages\":{said}}}")),
        ("/v1/messages", format!("{{\"model\":\"agent:lab\",\"max_tokens\":99,\"messages\":{said}}}")),
        (
            "/v1beta/models/agent:lab:generateContent",
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#.to_owned(),
        ),
    ];
    for (number, (path, body)) in doors.iter().enumerate() {
        let answer = harness.post_to(path, body, "");
        assert!(answer.contains(&format!("Answer {}.", number + 1)), "{path}: {answer}");
        let request = harness.requests()[number + 1].body.to_string();
        assert!(request.contains("BE A LAB") && request.contains("\"glm-5\""), "{path}: {request}");
    }
    for path in ["/v1/models", "/v1/models/agent:lab", "/v1beta/models"] {
        assert!(harness.http(&harness.get(path), b"").contains("agent:lab"), "{path}");
    }
    let unknown = harness.post(r#"{"model":"agent:nobody","input":"hi"}"#, "");
    assert!(status(&unknown) == 404 && unknown.contains("latimer agents profiles"), "{unknown}");
    let (code, said) = latimer(&harness, &["agents", "profiles", "rm", "lab"]);
    assert!(code == Some(0) && latimer(&harness, &["agents", "run", "lab", "x"]).0 != Some(0), "{said}");
    assert_eq!(harness.requests().len(), 5, "what was refused asked nobody");
}

#[test]
fn what_cannot_be_meant_is_refused_and_only_the_owner_gets_in() {
    let harness = Harness::new("agents-refused", [ScriptedAnswer::text("x")]);
    for (profile, words) in [
        (json!({ "id": "a b", "model": "glm-5" }), "`id`"),
        (json!({ "id": "a", "model": "agent:a" }), "lead back"),
        (json!({ "id": "a", "model": "glm-5", "effort": "nonsense" }), "`effort`"),
        (json!({ "id": "a", "model": "glm-5", "timeout": "soon" }), "30s"),
        (json!({ "id": "a", "model": "glm-5", "modle": "x" }), "modle"),
    ] {
        let (status, answer) = post(&harness, "profiles", &profile);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{profile}: {answer}");
    }
    assert_eq!(post(&harness, "runs", &json!({ "profile": "a", "input": "x" })).0, 404);
    keep_profile(&harness, &json!({}));
    assert_eq!(post(&harness, "runs", &json!({ "profile": "lab", "input": " " })).0, 400);
    assert_eq!(post(&harness, "runs", &json!({ "profile": "lab", "input": "x", "timeout": 0 })).0, 400);
    assert_eq!(post(&harness, "messages", &json!({ "from": "a", "to": "b b", "body": "x" })).0, 400);
    assert_eq!(
        post(&harness, "messages", &json!({ "from": "a", "to": "b", "body": "x".repeat((1 << 20) + 1) })).0,
        413
    );
    let none = "run_0000000000000000";
    assert_eq!(post(&harness, &format!("runs/{none}/input"), &json!({ "text": "x" })).0, 404);
    assert_eq!(post(&harness, &format!("runs/{none}/cancel"), &json!({})).0, 404);
    let key = latimer(&harness, &["keys", "create", "--name", "anna", "--json"]).1;
    let key: Value = serde_json::from_str(&key).expect("JSON");
    let key = key["key"].as_str().expect("a key");
    for (credentials, wanted) in [("x".to_owned(), 401), (key.to_owned(), 403)] {
        let head = format!(
            "GET /v1/agents/runs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {credentials}\r\nconnection: close\r\n\r\n"
        );
        wait_until("the key is known", || status(&harness.http(&head, b"")) == wanted);
    }
}

#[test]
fn a_run_is_told_more_cancelled_and_timed_out() {
    let answers = [
        ScriptedAnswer::turn([Step::text("One."), Step::sleep(5000)]).when("FIRST"),
        ScriptedAnswer::text("Two.").when("MORE"),
        ScriptedAnswer::silence().when("SLOW"),
        ScriptedAnswer::silence().when("LATE"),
    ];
    let harness = Harness::new("agents-more", answers);
    keep_profile(&harness, &json!({}));
    let id = start(&harness, &json!({ "profile": "lab", "input": "FIRST" }));
    wait_until("it has been asked", || harness.requests().len() == 1);
    assert_eq!(post(&harness, &format!("runs/{id}/input"), &json!({ "text": "MORE of it" })).0, 202);
    wait_for(&harness, &id, "completed");
    let run = run_of(&harness, &id);
    assert_eq!((&run["result"], &run["usage"]["turns"]), (&json!("Two."), &json!(2)), "{run}");
    let second = harness.requests()[1].body.to_string();
    assert!(second.contains("FIRST") && second.contains("One.") && second.contains("MORE of it"), "{second}");
    let events = harness.http(&harness.get(&format!("/v1/agents/runs/{id}/events")), b"");
    let places = [
        "\"queued\"",
        "\"running\"",
        "event: init",
        "One.",
        "push_seen",
        "MORE of it",
        "Two.",
        "event: result",
        "\"completed\"",
    ];
    let mut rest = events.as_str();
    for place in places {
        let at = rest.find(place).unwrap_or_else(|| panic!("{place} is missing in its place: {events}"));
        rest = &rest[at..];
    }
    let (over, answer) = post(&harness, &format!("runs/{id}/input"), &json!({ "text": "x" }));
    assert_eq!((over, &answer["error"]["code"]), (409, &json!("run_is_over")), "{answer}");
    assert!(latimer(&harness, &["agents", "push", &id, "x"]).1.contains("is over"));

    let slow = start(&harness, &json!({ "profile": "lab", "input": "SLOW" }));
    wait_until("it has been asked", || harness.requests().len() == 3);
    assert!(latimer(&harness, &["agents"]).1.contains("1 run(s) at work"));
    assert_eq!(latimer(&harness, &["agents", "cancel", &slow]).0, Some(0));
    assert_eq!(run_of(&harness, &slow)["status"], "cancelled");
    wait_until("the model's connection is gone", || harness.provider.disconnects() == 1);
    let ends = harness.log_events("turn.done");
    assert_eq!(ends.last().expect("a turn")["finish"], "client_left", "{ends:?}");

    let (code, said) = latimer(&harness, &["agents", "run", "lab", "--wait", "--timeout", "1s", "LATE"]);
    assert!(code == Some(124) && said.contains("timed_out"), "{code:?} {said}");
    wait_until("the model's connection is gone", || harness.provider.disconnects() == 2);
}

#[test]
fn messages_go_to_one_taker_and_into_the_runs_of_their_profile() {
    let harness = Harness::new(
        "agents-messages",
        [ScriptedAnswer::error(400, json!({ "error": { "message": "no" } })), ScriptedAnswer::text("Read.")],
    );
    keep_profile(&harness, &json!({ "inbox": true }));
    for number in 0..40 {
        let sent = json!({ "from": "anna", "to": "many", "body": format!("message {number}") });
        assert_eq!(post(&harness, "messages", &sent).0, 201);
    }
    let taken: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let (_, taken) =
                            post(&harness, "messages/take", &json!({ "to": "many", "limit": 3 }));
                        let some = taken["data"].as_array().expect("a list").clone();
                        if some.is_empty() {
                            return mine;
                        }
                        mine.extend(some.iter().map(|message| message["id"].as_u64().expect("a number")));
                    }
                })
            })
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().expect("no panic")).collect()
    });
    let mut once = taken.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((taken.len(), once.len()), (40, 40), "each went to one taker");

    assert_eq!(latimer(&harness, &["agents", "send", "lab", "THE BUILD IS RED"]).0, Some(0));
    let first = start(&harness, &json!({ "profile": "lab", "input": "What is new?" }));
    wait_for(&harness, &first, "failed");
    let unread =
        || get(&harness, "/v1/agents/messages?to=lab&state=unread")["data"].as_array().expect("a list").len();
    assert_eq!(unread(), 1, "the model has not been told");
    let second = start(&harness, &json!({ "profile": "lab", "input": "What is new?" }));
    wait_for(&harness, &second, "completed");
    let asked = harness.requests()[1].body.to_string();
    assert!(asked.contains("THE BUILD IS RED") && asked.contains("What is new?"), "{asked}");
    assert_eq!(unread(), 0);
    assert!(latimer(&harness, &["agents", "inbox", "lab", "--take"]).1.contains("no unread message"));
}

#[test]
fn what_is_kept_survives_a_kill_and_a_broken_off_run_is_told_or_begins_again() {
    let answers = [
        ScriptedAnswer::silence().when("FAILS"),
        ScriptedAnswer::silence(),
        ScriptedAnswer::text("At last."),
    ];
    let mut harness = Harness::new("agents-restart", answers);
    keep_profile(&harness, &json!({}));
    assert_eq!(post(&harness, "profiles", &json!({ "id": "again", "model": "glm-5", "retry": true })).0, 201);
    let fails = start(&harness, &json!({ "profile": "lab", "input": "FAILS" }));
    wait_until("it has been asked", || harness.requests().len() == 1);
    let again = start(&harness, &json!({ "profile": "again", "input": "AGAIN" }));
    wait_until("it has been asked", || harness.requests().len() == 2);
    let mut sender = latimer_in(&harness.dir, &["agents", "send", "lab", "-"]);
    let mut sender = sender.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("latimer runs");
    sender.stdin.take().expect("piped").write_all(b"KEPT").expect("written");
    assert!(sender.wait().expect("ended").success());
    harness.proxy.kill().expect("killed");
    harness.proxy.wait().expect("gone");
    (harness.proxy, harness.url) = serve(&harness.dir, &[]);
    wait_for(&harness, &fails, "failed");
    assert_eq!(run_of(&harness, &fails)["error"]["message"], "the proxy was restarted");
    wait_for(&harness, &again, "completed");
    assert_eq!(run_of(&harness, &again)["result"], "At last.");
    assert_eq!(get(&harness, "/v1/agents/profiles")["data"].as_array().expect("a list").len(), 2);
    assert!(latimer(&harness, &["agents", "inbox", "lab"]).1.contains("KEPT"));
}

/// A proxy in front of a stand-in for an app-server whose turns end only when they are told more, or interrupted.
fn patient_agent(name: &str) -> (Harness, std::path::PathBuf) {
    let dir = support::folder(name);
    let command = dir.join("codex");
    std::fs::write(&command, include_str!("support/app_server.sh").replace("@MODE@", "silent"))
        .expect("written");
    assert!(output(std::process::Command::new("chmod").arg("+x").arg(&command)).status.success());
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ngrace = \"2s\"\n[[endpoint]]\nname = \"agent\"\nprotocol = \"codex-app-server\"\nmodels = [\"gpt-5.5\"]\n\
         [endpoint.agent]\ncommand = \"{}\"\npool = 1\nsteer = \"steer\"\n",
        command.display()
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    // Logged in.
    let home = dir.join("state/agents/agent/home");
    std::fs::create_dir_all(&home).expect("made");
    std::fs::write(home.join("auth.json"), r#"{"auth_mode":"chatgpt"}"#).expect("written");
    let (proxy, url) = serve(&dir, &[]);
    let RunningProvider { provider, runtime } =
        RunningProvider::start(Scenario::new([ScriptedAnswer::text("elsewhere")]));
    (Harness { dir, proxy, url, provider, runtime, spare_runtime: None }, command)
}

#[test]
fn an_agent_is_steered_interrupted_and_restarted() {
    let (harness, command) = patient_agent("agents-steered");
    let told = || std::fs::read_to_string(format!("{}.log", command.display())).unwrap_or_default();
    let profile = json!({ "id": "lab", "model": "agent/gpt-5.5", "instructions": "BE A LAB" });
    assert_eq!(post(&harness, "profiles", &profile).0, 201);
    let id = start(&harness, &json!({ "profile": "lab", "input": "FIRST" }));
    let events = || harness.log_events("agents.run_started").len();
    wait_until("the turn runs", || events() == 1 && told().contains("turn/start"));
    let busy = || get(&harness, "/v1/agents/pools")["data"][0].clone();
    wait_until("the agent is busy", || busy()["running"] == 1);
    assert!(busy()["processes"][0]["pid"].is_u64(), "{}", busy());
    hear(&harness, &id, "Turn 1");
    assert_eq!(post(&harness, &format!("runs/{id}/input"), &json!({ "text": "MORE" })).0, 202);
    wait_for(&harness, &id, "completed");
    let run = run_of(&harness, &id);
    assert_eq!((&run["result"], &run["usage"]["turns"]), (&json!("Turn 1\n\nSteered."), &json!(1)), "{run}");
    assert!(told().contains("turn/steer") && told().contains("BE A LAB"), "{}", told());

    let id = start(&harness, &json!({ "profile": "lab", "input": "SECOND" }));
    wait_until("the turn runs", || told().matches("turn/start\"").count() == 2);
    assert_eq!(post(&harness, &format!("runs/{id}/cancel"), &json!({})).1["status"], "cancelled");
    wait_until("the agent was interrupted", || told().contains("turn/interrupt"));
    let (code, said) = latimer(&harness, &["agents", "restart", "agent"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(busy()["processes"][0]["pid"].is_null(), "{}", busy());
    assert!(latimer(&harness, &["agents", "check"]).1.contains("agent  codex-app-server  "), "it is found");
}
