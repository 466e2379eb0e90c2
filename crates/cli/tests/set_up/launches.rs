//! Clients, launched: found first, told the right model, ended by nobody but themselves.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use latimer_adapters::scripted::ScriptedAnswer;

use super::support::{Harness, latimer_in, output, wait_until};
use super::{home, run};

/// A client that is a script.
fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("client.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    path
}

fn launch(harness: &Harness, program: &Path, args: &[&str]) -> Command {
    let mut command = latimer_in(&harness.dir, &["--quiet"]);
    command.args(["launch", "codex", "--program"]).arg(program).args(args);
    command
}

#[test]
fn what_stands_behind_the_client_goes_to_it_and_its_exit_code_comes_back() {
    let harness = Harness::new("args", [ScriptedAnswer::text("")]);
    let program = script(&harness.dir, "echo \"$@\"; exit 7");
    for args in [&["exec", "--json", "hi"][..], &["--", "exec", "--json", "hi"]] {
        let run = output(&mut launch(&harness, &program, args));
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(text.trim_end().ends_with("exec --json hi"), "{text}");
        assert_eq!(run.status.code(), Some(7));
    }
}

#[test]
fn a_signal_reaches_the_client_and_launch_waits_for_its_end() {
    for (signal, name) in [("TERM", "term"), ("INT", "int"), ("HUP", "hup")] {
        let harness = Harness::new(name, [ScriptedAnswer::text("")]);
        let begun = harness.dir.join("begun");
        let text = format!(
            "trap 'echo goodbye; exit 9' {signal}\ntouch {}\nwhile :; do sleep 0.05; done",
            begun.display()
        );
        let program = script(&harness.dir, &text);
        let mut command = launch(&harness, &program, &[]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("latimer runs");
        wait_until("the client runs", || begun.exists());
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
        let ended = child.wait_with_output().expect("ended");
        assert_eq!(ended.status.code(), Some(9), "{signal}");
        assert!(String::from_utf8_lossy(&ended.stdout).contains("goodbye"), "{signal}");
    }
}

#[test]
fn a_client_that_is_missing_is_said_before_anything_is_started() {
    let home = home("missing");
    run(&home, &["endpoints", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    let (code, text) = run(&home, &["launch", "codex", "--program", "no-such-client"]);
    assert!(code == 1 && text.contains("npm install -g @openai/codex"), "{text}");
    assert!(!home.join(".local/state/latimer/proxy.log").exists(), "no proxy was started");
}

#[test]
fn a_missing_key_stops_a_launch_with_the_name_of_its_variable() {
    let home = home("no-key");
    let program = script(&home, "exit 0");
    run(&home, &["endpoints", "add", "--preset", "deepseek"]);
    let (code, text) = run(&home, &["launch", "codex", "--program", &program.to_string_lossy()]);
    assert!(code == 5 && text.contains("export DEEPSEEK_API_KEY=…"), "{text}");
}

#[test]
fn a_route_can_be_launched_and_what_was_chosen_is_asked_for() {
    let route = "[[route]]\nname = \"coder\"\ntargets = [\"lab/glm-5\"]\n[launch.codex]\nmodel = \"coder\"\n";
    let harness = Harness::configured("route", [ScriptedAnswer::text("")], "", route);
    let (_, listed) = super::said(&output(&mut latimer_in(&harness.dir, &["models"])));
    assert!(listed.contains("coder") && listed.contains("glm-5"), "a route is in the list: {listed}");
    assert!(harness.http(&harness.get("/v1/models"), b"").contains("\"id\":\"coder\""));
    let program = script(&harness.dir, "echo \"$@\"");
    for args in [&[][..], &["--model", "coder"]] {
        let run = output(&mut launch(&harness, &program, args));
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(text.contains("model=\"coder\""), "{text} {}", String::from_utf8_lossy(&run.stderr));
    }
}

#[test]
fn a_refused_key_that_was_never_there_is_named() {
    let answer = ScriptedAnswer::error(401, serde_json::json!({"error": {"message": "no auth"}}));
    let harness =
        Harness::configured("named", [answer], "", "api_key_env = \"NUMBAT_KEY_OF_NOBODY\"\nretries = 0");
    let text = harness.post(r#"{"model":"glm-5","input":"hi"}"#, "");
    assert!(text.contains("NUMBAT_KEY_OF_NOBODY") && text.contains("latimer up"), "{text}");
}

#[test]
fn a_port_that_somebody_else_holds_is_passed_over_by_a_launch_and_named_by_up() {
    let home = home("held");
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let held = holder.local_addr().expect("an address");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    let text = format!(
        "[server]\nlisten = \"{held}\"\n[watchdog]\nenabled = false\n[[endpoint]]\nname = \"lab\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n"
    );
    std::fs::write(dir.join("config.toml"), text).expect("written");
    // Whoever holds it answers nothing that latimer would.
    drop(std::thread::spawn(move || holder.incoming().for_each(drop)));
    let (code, said) = run(&home, &["up"]);
    assert!(code == 1 && said.contains(&held.to_string()) && said.contains("server.listen"), "{said}");
    let program = script(&home, "echo \"$@\"");
    let (code, said) = run(&home, &["launch", "codex", "--program", &program.to_string_lossy()]);
    assert!(code == 0 && said.contains("This launch goes by 127.0.0.1:"), "{said}");
    let url = said.split("base_url=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a URL");
    assert!(!url.contains(&held.to_string()), "{url}");
    let (code, said) = run(&home, &["status"]);
    assert!(code == 0 && said.contains(url.trim_end_matches("/v1")), "{said}");
    assert_eq!(run(&home, &["down"]).0, 0);
}
