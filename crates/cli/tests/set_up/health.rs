//! `latimer doctor`, `latimer` alone, and how a browser is received.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};

use super::asking::{provider, well};
use super::support::{Harness, latimer_in, output};
use super::{home, newcomer, run, script, serving};

/// The findings of a doctor.
fn examine(command: &mut Command) -> (i32, Value) {
    let output = output(command);
    let document = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap_or(-1), document.unwrap_or_else(|_| panic!("{output:?}")))
}

/// The findings of this code.
fn of<'d>(document: &'d Value, code: &str) -> Vec<&'d Value> {
    let all = document["findings"].as_array().expect("findings");
    all.iter().filter(|finding| finding["code"] == code).collect()
}

#[test]
fn an_empty_machine_is_told_what_to_do_first() {
    let home = home("empty");
    let (code, text) = run(&home, &["doctor", "--offline"]);
    assert!(code == 7 && text.contains("✗") && text.contains("→ latimer init"), "{text}");
    let (code, text) = run(&home, &[]);
    assert!(code == 0 && text.contains("latimer init") && text.contains("latimer launch codex"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn what_is_well_and_what_is_not_stands_in_one_report_within_five_seconds() {
    let home = home("doctor");
    let provider = provider(well(), &["m"]);
    let url = provider.provider.base_url();
    run(&home, &["endpoints", "add", "lab", "--base-url", &url, "--model", "m"]);
    run(&home, &["endpoints", "add", "other", "--base-url", &url, "--model", "gone"]);
    run(&home, &["endpoints", "add", "dead", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    run(&home, &["endpoints", "add", "--preset", "deepseek"]);
    let bin = home.join("bin");
    script(&bin, "codex", "echo codex-cli 9.9.9");
    script(&bin, "claude", "sleep 60");
    std::fs::create_dir_all(home.join(".claude")).expect("made");
    std::fs::write(home.join(".claude/settings.json"), r#"{"env":{"ANTHROPIC_BASE_URL":"http://x"}}"#)
        .expect("written");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let begun = Instant::now();
    let mut doctor = newcomer(&home, &["doctor", "--json"]);
    let (code, document) = examine(
        doctor.env("PATH", &path).env("HTTPS_PROXY", "http://proxy.test:1").env("NO_PROXY", "127.0.0.1"),
    );
    let took = begun.elapsed();
    assert_eq!((code, &document["ok"]), (7, &json!(false)), "{document}");
    let marks =
        |code: &str| of(&document, code).iter().map(|finding| finding["mark"].clone()).collect::<Vec<_>>();
    assert_eq!(marks("endpoint"), ["fine", "problem"], "lab answers, dead does not: {document}");
    assert_eq!(marks("model_unlisted"), ["remark"], "{document}");
    assert_eq!(marks("no_key"), ["problem"], "{document}");
    assert_eq!(marks("claude_env"), ["problem"], "{document}");
    assert_eq!(marks("client_version"), ["remark"], "a client that hangs is not waited for: {document}");
    assert_eq!(marks("network_proxy"), ["fine"], "{document}");
    assert!(
        of(&document, "client").iter().any(|client| client["what"].to_string().contains("9.9.9")),
        "{document}"
    );
    assert_eq!(provider.provider.request_count(), 0, "no token is spent");
    // Three seconds for the slowest client, and a machine that does ten other things.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let (code, only) =
        examine(newcomer(&home, &["doctor", "--json", "--client", "codex", "--offline"]).env("PATH", &path));
    assert!(code == 7 && of(&only, "claude_env").is_empty() && of(&only, "endpoint").is_empty(), "{only}");
}

#[test]
fn what_is_safe_to_mend_is_mended_and_only_when_asked() {
    let home = home("fix");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    let path = dir.join("config.toml");
    let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-numbat-0123456789\"\nmodels = [\"m\"]\n";
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
    let mode = || std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
    let (_, said) = run(&home, &["doctor", "--offline"]);
    assert!(
        said.contains("can be read by others") && said.contains("latimer doctor --fix") && mode() == 0o644,
        "{said}"
    );
    let (_, document) = examine(&mut newcomer(&home, &["doctor", "--offline", "--fix", "--json"]));
    assert_eq!(mode(), 0o600);
    assert_eq!(of(&document, "open_to_others")[0]["remedy"], "mended", "{document}");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    let report = home.join("report.json");
    let (_, said) = run(&home, &["doctor", "--offline", "--bundle", &report.to_string_lossy()]);
    assert!(said.contains("read it before you send it"), "{said}");
    let bundle = std::fs::read_to_string(&report).expect("a report");
    assert!(bundle.contains("\"configuration\"") && !bundle.contains("numbat"), "{bundle}");
    assert!(!bundle.contains(&*home.to_string_lossy()), "the home is `~`: {bundle}");
    assert_eq!(std::fs::metadata(&report).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_running_proxy_and_a_file_that_broke_under_it_are_seen() {
    let harness = Harness::new("broken", [ScriptedAnswer::text("")]);
    let doctor = || examine(&mut latimer_in(&harness.dir, &["doctor", "--offline", "--json"]));
    let (_, document) = doctor();
    assert_eq!(of(&document, "proxy")[0]["mark"], "fine", "{document}");
    assert_eq!(of(&document, "unwatched").len(), 1, "{document}");
    let (_, text) = super::said(&output(&mut latimer_in(&harness.dir, &[])));
    assert!(text.contains(&harness.url), "{text}");
    std::fs::write(harness.dir.join("latimer.toml"), "[server\n").expect("written");
    super::support::wait_until("the broken file is seen", || !of(&doctor().1, "config_refused").is_empty());
    let (code, text) = super::said(&output(&mut latimer_in(&harness.dir, &["status"])));
    assert!(code == 0 && text.contains("✗") && text.contains("latimer check"), "{text}");
}

#[test]
fn a_browser_is_sent_to_the_page_and_a_client_gets_the_document() {
    let home = home("browser");
    let (mut child, url) = serving(&home);
    let get = |accept: &str| {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("connected");
        let head =
            format!("GET / HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let browser = get("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").to_lowercase();
    assert!(browser.starts_with("http/1.1 303") && browser.contains("location: /ui/"), "{browser}");
    for other in ["*/*", "application/json"] {
        assert!(get(other).contains("{\"name\":\"latimer\"}"), "{}", get(other));
    }
    assert_eq!(run(&home, &["down"]).0, 0);
    assert!(child.wait().expect("ended").success());
}

#[test]
fn json_may_stand_before_the_command() {
    let home = home("order");
    for args in [&["--json", "status"][..], &["status", "--json"]] {
        assert_eq!(run(&home, args), (3, "null\n".to_owned()), "{args:?}");
    }
}

/// A `systemctl` that does this for `enable --now`, and nothing for the rest.
fn service_manager(home: &Path, on_start: &str) -> String {
    let bin = home.join("managed");
    let text =
        format!("case \"$*\" in *enable*) {on_start};; *disable*) exec \"$LATIMER\" down;; esac\nexit 0");
    script(&bin, "systemctl", &text);
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_that_cannot_be_started_leaves_nothing_and_one_that_serves_says_what_ends_it() {
    let home = home("service");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n";
    std::fs::write(dir.join("config.toml"), text).expect("written");
    let unit = home.join(".config/systemd/user/latimer.service");
    let install = |path: &str| {
        let mut install = newcomer(&home, &["service", "install"]);
        install.env("PATH", path).env("LATIMER", env!("CARGO_BIN_EXE_latimer"));
        super::said(&output(&mut install))
    };
    let (code, said) = install(&service_manager(&home, "echo no manager >&2; exit 1"));
    assert!(code == 1 && said.contains("no manager") && said.contains("as it was before"), "{said}");
    assert!(!unit.exists());
    let (code, said) = install(&service_manager(&home, "\"$LATIMER\" up >/dev/null"));
    assert!(code == 0 && said.contains("it serves") && said.contains("loginctl enable-linger"), "{said}");
    assert!(unit.exists());
    assert_eq!(run(&home, &["down"]).0, 0);
}

#[test]
fn nothing_can_be_accepted_that_was_not_offered_and_a_watchdog_works_on_what_its_proxy_is_told() {
    let home = home("accept");
    std::fs::create_dir_all(&home).expect("made");
    let config = home.join("x.toml");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"only-in-x\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n";
    std::fs::write(&config, text).expect("written");
    let watchdog = Path::new(env!("CARGO_BIN_EXE_latimer-watchdog"));
    let mut child = Command::new(watchdog)
        .args(["run", "--", env!("CARGO_BIN_EXE_latimer"), "serve", "--log", "json", "--config"])
        .arg(&config)
        .env_clear()
        .env("HOME", &home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the watchdog runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.contains("http://127.0.0.1:"), "{line}");
    let (_, text) = run(&home, &["--json", "status", "--config", &config.to_string_lossy()]);
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["health"]["endpoints"][0]["name"], "only-in-x", "{text}");
    let accept =
        Command::new(watchdog).args(["accept", "1"]).env_clear().env("HOME", &home).output().expect("runs");
    let (code, text) = super::said(&accept);
    assert!(code == 1 && text.contains("nothing is offered under the number 1"), "{text}");
    assert_eq!(run(&home, &["down"]).0, 0);
    assert!(child.wait().expect("ended").success());
}
