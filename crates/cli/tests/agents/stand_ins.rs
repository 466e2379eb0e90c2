//! Agents that fail in every way: shell scripts in the place of the real programs.

use super::support::{self, Harness, folder, wait_until};
use super::{agents_alive, ask, body, login_file, outer, text};

/// A program that is a shell script.
fn stand_in(name: &str, script: &str) -> String {
    let path = folder(name).join("codex");
    std::fs::write(&path, script).expect("written");
    let made = std::process::Command::new("chmod").arg("+x").arg(&path).status();
    assert!(made.expect("chmod runs").success());
    path.to_str().expect("UTF-8").to_owned()
}

/// A proxy in front of a stand-in for an app-server that does this.
fn server_that(mode: &str, keys: &str, endpoints: &str) -> Harness {
    let script = include_str!("../support/app_server.sh").replace("@MODE@", mode);
    let command = stand_in(&format!("stand-in-{mode}"), &script);
    outer(&format!("server-{mode}"), "codex-app-server", &command, keys, endpoints)
}

/// What the stand-in of a proxy was told.
fn told(harness: &Harness) -> String {
    let config = std::fs::read_to_string(harness.dir.join("latimer.toml")).expect("a configuration");
    let command =
        config.split("command = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a command");
    std::fs::read_to_string(format!("{command}.log")).unwrap_or_default()
}

#[test]
fn whatever_an_agent_says_beside_its_answer_is_passed_over_and_every_question_is_answered() {
    let harness = server_that("garbage", "", "");
    let answer = ask(&harness, &["hi"]);
    assert_eq!(text(&answer), "Turn 1.", "{answer}");
    assert_eq!(body(&answer)["usage"]["output_tokens"], 7);
    let told = told(&harness);
    assert!(told.contains(r#"{"id":99,"result":{"decision":"decline"}}"#), "{told}");
    assert!(told.contains(r#"{"id":"odd","error":"#), "{told}");
}

#[test]
fn a_death_before_the_first_word_is_not_seen_and_one_behind_it_is_one_failure() {
    let harness = server_that("dies", "pool = 1", "");
    assert_eq!(text(&ask(&harness, &["hi"])), "Turn 1.");
    assert_eq!(harness.log_events("agent.died").len(), 1);
    let harness = server_that("dies-late", "pool = 1", "");
    let begun = std::time::Instant::now();
    let stream = harness.post(r#"{"model":"agent/gpt-5.5","stream":true,"input":"hi"}"#, "");
    assert!(stream.contains("Turn 1"), "{stream}");
    assert_eq!(stream.matches("event: response.failed").count(), 1, "{stream}");
    assert!(stream.contains("signal 9"), "{stream}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it is told at once");
}

#[test]
fn an_agent_that_answers_nothing_is_ended_and_the_next_one_answers() {
    let harness = server_that("deaf", "pool = 1\nlimits = { call = \"1s\" }", "");
    let first = ask(&harness, &["hi"]);
    assert!(first.starts_with("HTTP/1.1 504") && first.contains("limits.call"), "{first}");
    assert_eq!(text(&ask(&harness, &["hi"])), "Turn 1.");
    let harness = server_that("silent", "pool = 1\nlimits = { idle = \"1s\" }", "");
    let stream = harness.post(r#"{"model":"agent/gpt-5.5","stream":true,"input":"hi"}"#, "");
    assert!(stream.contains("Turn 1") && stream.contains("limits.idle"), "{stream}");
    wait_until("the turn was interrupted", || told(&harness).contains("turn/interrupt"));
}

#[test]
fn a_thread_that_is_gone_is_told_anew_with_all_that_was_said() {
    let harness = server_that("stale", "pool = 1", "");
    assert_eq!(text(&ask(&harness, &["ONE"])), "Turn 1.");
    let pid = agents_alive(&harness)[0].split(' ').next().expect("a pid").to_owned();
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("kill runs").success());
    wait_until("its death was seen", || !harness.log_events("agent.died").is_empty());
    assert_eq!(text(&ask(&harness, &["ONE", "Turn 1.", "TWO"])), "Turn 1.");
    let told = told(&harness);
    let seeded = told.lines().find(|line| line.contains("thread/inject_items")).expect("a history");
    assert!(seeded.contains("ONE") && seeded.contains("Turn 1."), "{seeded}");
    assert!(told.contains("thread/resume"), "{told}");
}

#[test]
fn a_full_queue_is_told_with_429_and_a_chain_goes_on_elsewhere() {
    let keys = "pool = 1\nper_process = 1\nqueue = { size = 0, wait = \"30s\" }";
    let more = "[[endpoint]]\nname = \"lab\"\nbase_url = \"ELSEWHERE\"\nmodels = [\"m\"]\n[[route]]\nname = \"chain\"\ntargets = [\"agent/gpt-5.5\", \"lab/m\"]";
    let harness = server_that("slow", keys, more);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| text(&ask(&harness, &["one"])));
        wait_until("the first one runs", || told(&harness).contains("turn/start"));
        let full = ask(&harness, &["two"]);
        assert!(full.starts_with("HTTP/1.1 429") && full.contains("agent.queue.size"), "{full}");
        assert!(full.to_lowercase().contains("\r\nretry-after: 5\r\n"), "{full}");
        let chain = harness.post(r#"{"model":"chain","input":"hi"}"#, "");
        assert_eq!(text(&chain), "from elsewhere", "{chain}");
        assert_eq!(first.join().expect("answered"), "Turn 1.");
    });
}

#[test]
fn a_program_that_is_missing_or_does_not_start_is_a_sentence_with_the_remedy() {
    let harness = outer("agent-missing", "codex-app-server", "no-such-agent", "", "");
    let answer = ask(&harness, &["hi"]);
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("npm install -g @openai/codex"),
        "{answer}"
    );
    let harness = server_that("no-start", "pool = 1", "");
    let answer = ask(&harness, &["hi"]);
    assert!(answer.starts_with("HTTP/1.1 50") && answer.contains("broken home"), "{answer}");
    std::fs::remove_file(login_file(&harness.dir)).expect("removed");
    let begun = told(&harness);
    let answer = ask(&harness, &["hi"]);
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("upstream_auth"), "{answer}");
    assert!(answer.contains("latimer login codex --endpoint agent"), "{answer}");
    assert_eq!(told(&harness), begun, "nothing is started without a login");
    let output = support::output(&mut support::latimer_in(&harness.dir, &["check"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("latimer login codex --endpoint agent"), "{said}");
}

#[test]
fn a_turn_that_takes_too_long_is_ended_with_its_commands() {
    let script = "#!/bin/sh\nsetsid sleep 600 &\necho '{\"type\":\"thread.started\",\"thread_id\":\"t\"}'\nsleep 600\n";
    let command = stand_in("exec-hangs", script);
    let harness = outer("exec-hangs", "codex-exec", &command, "limits = { turn = \"1s\" }", "");
    let answer = ask(&harness, &["hi"]);
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("agent.limits.turn"), "{answer}");
    wait_until("nothing is left", || agents_alive(&harness).is_empty());
    let children = harness.dir.join("state/agents/children");
    wait_until("nothing is written down", || std::fs::read_dir(&children).expect("there").count() == 0);
}

#[test]
fn a_login_is_made_in_a_folder_that_is_thrown_away() {
    let script = "#!/bin/sh\n[ \"$1\" = login ] || exit 2\n[ -e \"$0.fails\" ] && exit 1\necho '{\"auth_mode\":\"chatgpt\"}' > \"$CODEX_HOME/auth.json\"\n";
    let command = stand_in("agent-login", script);
    let harness = outer("agent-login", "codex-app-server", &command, "", "");
    std::fs::remove_file(login_file(&harness.dir)).expect("removed");
    let login = || support::output(&mut support::latimer_in(&harness.dir, &["login", "codex"]));
    let folder = harness.dir.join("state/agents/agent");
    let left = || {
        let names = std::fs::read_dir(&folder).expect("there").flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with("login-")).count()
    };
    std::fs::write(format!("{command}.fails"), "").expect("written");
    let failed = login();
    assert!(!failed.status.success(), "{failed:?}");
    assert!(!folder.join("home/auth.json").exists() && left() == 0);
    std::fs::remove_file(format!("{command}.fails")).expect("removed");
    let done = login();
    assert!(done.status.success(), "{done:?}");
    let kept = std::fs::read_to_string(folder.join("home/auth.json")).expect("kept");
    assert!(kept.contains("chatgpt") && left() == 0);
    let again = login();
    assert!(String::from_utf8_lossy(&again.stdout).contains("already"), "{again:?}");
}

#[test]
fn a_warm_turn_costs_one_call_and_a_restart_of_the_proxy_forgets_no_conversation() {
    let mut harness = server_that("plain", "pool = 1", "");
    assert_eq!(text(&ask(&harness, &["ONE"])), "Turn 1.");
    let before = told(&harness).lines().count();
    assert_eq!(text(&ask(&harness, &["ONE", "Turn 1.", "TWO"])), "Turn 2.");
    let told_then = told(&harness);
    let new: Vec<&str> = told_then.lines().skip(before).collect();
    let [line] = &new[..] else { panic!("one line was written for a warm turn: {new:?}") };
    assert!(line.contains("turn/start") && line.contains("TWO") && !line.contains("ONE"), "{line}");
    harness.restart();
    assert_eq!(text(&ask(&harness, &["ONE", "Turn 1.", "TWO", "Turn 2.", "THREE"])), "Turn 1.");
    let told = told(&harness);
    let after: Vec<&str> = told.lines().skip(before + 1).collect();
    assert!(after.iter().any(|line| line.contains("thread/fork")), "{after:?}");
    assert!(!after.iter().any(|line| line.contains("inject_items") || line.contains("\"ONE\"")), "{after:?}");
}

#[test]
fn a_request_of_an_agent_s_own_is_answered_by_no_agent() {
    let more = "[[endpoint]]\nname = \"lab\"\nbase_url = \"ELSEWHERE\"\nmodels = [\"m\"]\n[[route]]\nname = \"chain\"\ntargets = [\"agent/gpt-5.5\", \"lab/m\"]";
    let harness = server_that("plain", "", more);
    let marked = "x-latimer-agent: 1\r\n";
    let refused = harness.post(r#"{"model":"agent/gpt-5.5","input":"hi"}"#, marked);
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("agent_loop"), "{refused}");
    assert!(refused.contains("agent.model"), "with the remedy: {refused}");
    assert_eq!(text(&harness.post(r#"{"model":"chain","input":"hi"}"#, marked)), "from elsewhere");
    assert_eq!(told(&harness), "", "nothing was started");
}

#[test]
fn no_more_programs_run_than_may() {
    let hangs = stand_in("children", "#!/bin/sh\n: >\"$0.runs\"\nsleep 600\n");
    let more = format!(
        "[agents]\nchildren = 1\n[[endpoint]]\nname = \"second\"\nprotocol = \"codex-exec\"\nmodels = [\"m\"]\n[endpoint.agent]\ncommand = \"{hangs}\"\nprovider = {{ base_url = \"http://127.0.0.1:9/v1\" }}\n"
    );
    let harness = outer("children", "codex-exec", &hangs, "limits = { turn = \"10s\" }", &more);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask(&harness, &["hi"]));
        wait_until("it runs", || std::path::Path::new(&format!("{hangs}.runs")).exists());
        let full = harness.post(r#"{"model":"second/m","input":"hi"}"#, "");
        assert!(full.starts_with("HTTP/1.1 429") && full.contains("agents.children"), "{full}");
        assert!(full.to_lowercase().contains("\r\nretry-after: 10\r\n"), "{full}");
        assert!(first.join().expect("answered").starts_with("HTTP/1.1 504"));
    });
}

#[test]
fn words_that_nobody_knows_are_told_as_they_are_and_nothing_is_done_again_for_them() {
    let script = r#"#!/bin/sh
echo started >>"$0.log"
echo '{"type":"thread.started","thread_id":"t"}'
echo '{"type":"turn.started"}'
echo '{"type":"turn.failed","error":{"message":"the moon is full"}}'
exit 1
"#;
    let command = stand_in("unknown-words", script);
    let more = "[[endpoint]]\nname = \"lab\"\nbase_url = \"ELSEWHERE\"\nmodels = [\"m\"]\n[[route]]\nname = \"chain\"\ntargets = [\"agent/gpt-5.5\", \"lab/m\"]";
    let harness = outer("unknown-words", "codex-exec", &command, "", more);
    let answer = ask(&harness, &["hi"]);
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("the moon is full"), "{answer}");
    assert_eq!(told(&harness).lines().count(), 1, "it is asked once");
    let chain = harness.post(r#"{"model":"chain","input":"hi"}"#, "");
    assert_eq!(text(&chain), "from elsewhere", "a route goes on: {chain}");
}
