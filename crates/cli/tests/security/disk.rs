//! What stands on disk: whose it is, who may read it, and that it is gone when it should be.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Output;

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::Value;

use crate::support::watchdog::WatchdogHarness;
use crate::support::{Harness, body, folder, latimer_in, output, serve, status, wait_until};

const REQUEST: &str = r#"{"model":"glm-5","input":"canary-of-a-conversation"}"#;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

fn loosen(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("loosened");
}

fn configure(dir: &Path) {
    std::fs::write(dir.join("latimer.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").expect("written");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn wrong_modes_are_repaired_and_said() {
    let dir = folder("wrong-modes");
    configure(&dir);
    let state = dir.join("state");
    std::fs::create_dir(&state).expect("made");
    loosen(&state, 0o777);
    for name in ["token", "latimer.db", "learned.json", "routes.json"] {
        let text =
            if name == "token" { "9f3ac1d7e5b80264".repeat(2) + "c0ffee13579bdf02" } else { String::new() };
        std::fs::write(state.join(name), text).expect("written");
        loosen(&state.join(name), 0o666);
    }
    let (mut proxy, _) = serve(&dir, &[]);
    wait_until("the store has the file", || mode(&state.join("latimer.db")) == 0o600);
    proxy.kill().expect("ended");
    proxy.wait().expect("ended");
    assert_eq!((mode(&state), mode(&state.join("token"))), (0o700, 0o600));
    let log = std::fs::read_to_string(dir.join("proxy.log")).expect("a log");
    assert!(log.contains("state.mode_repaired") && log.contains("token.mode_repaired"), "{log}");
}

#[test]
fn a_directory_that_everybody_shares_or_that_is_somebody_elses_is_refused() {
    let dir = folder("shared");
    configure(&dir);
    let state = dir.join("state");
    std::fs::create_dir(&state).expect("made");
    loosen(&state, 0o1777);
    let refused = output(&mut latimer_in(&dir, &["serve"]));
    assert!(
        !refused.status.success() && said(&refused).contains("directory of its own"),
        "{}",
        said(&refused)
    );
    loosen(&state, 0o700);
    // Only an administrator can give a directory away.
    if std::os::unix::fs::chown(&state, Some(12_345), None).is_ok() {
        let refused = output(&mut latimer_in(&dir, &["serve"]));
        assert!(
            !refused.status.success() && said(&refused).contains("belongs to user 12345"),
            "{}",
            said(&refused)
        );
        std::os::unix::fs::chown(&state, Some(std::fs::metadata(&dir).expect("there").uid()), None)
            .expect("back");
        std::fs::write(state.join("token"), "9f3ac1d7e5b80264c0ffee13579bdf0211").expect("written");
        std::os::unix::fs::chown(state.join("token"), Some(12_345), None).expect("given away");
        let refused = output(&mut latimer_in(&dir, &["serve"]));
        assert!(
            !refused.status.success() && said(&refused).contains("belongs to user 12345"),
            "{}",
            said(&refused)
        );
    }
}

#[test]
fn links_in_the_state_directory_are_not_followed() {
    let dir = folder("links");
    let (state, elsewhere) = (dir.join("state"), dir.join("elsewhere"));
    std::fs::create_dir(&state).expect("made");
    std::fs::create_dir(&elsewhere).expect("made");
    loosen(&elsewhere, 0o755);
    let names = [
        "latimer.db",
        "latimer.db-wal",
        "latimer.db-shm",
        "learned.json",
        "learned.json.forgotten",
        "routes.json",
        "proxy.json",
        "codex-catalog.json",
        "proxy.log",
        "watchdog.log",
        "watchdog.lock",
        "watchdog.json",
        "signals.jsonl",
        "watchdog.sock",
    ];
    for name in names {
        std::fs::write(elsewhere.join(name), "theirs").expect("written");
        loosen(&elsewhere.join(name), 0o644);
        symlink(elsewhere.join(name), state.join(name)).expect("linked");
    }
    let dangling = elsewhere.join("dangling");
    symlink(&dangling, state.join("latimer.db.new")).expect("linked");
    symlink(&elsewhere, state.join("running")).expect("linked");
    let mut harness = Harness::inside(dir.clone(), [ScriptedAnswer::text("Whole.")], "", "");
    assert_eq!(status(&harness.post(REQUEST, "")), 200, "it serves all the same");
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    output(latimer_in(&dir, &["up"]).env("LATIMER_LOG", "info"));
    output(&mut latimer_in(&dir, &["down"]));
    let entries = std::fs::read_dir(&elsewhere).expect("listed").count();
    assert_eq!(entries, names.len(), "nothing was made through a link");
    for name in names {
        let path = elsewhere.join(name);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "theirs", "{name}");
        assert_eq!(mode(&path), 0o644, "{name}");
    }
    assert_eq!(mode(&elsewhere), 0o755);
}

#[test]
fn a_link_in_the_place_of_the_token_is_refused() {
    let dir = folder("token-link");
    configure(&dir);
    std::fs::create_dir(dir.join("state")).expect("made");
    std::fs::write(dir.join("mine"), "9f3ac1d7e5b80264c0ffee13579bdf0211").expect("written");
    symlink(dir.join("mine"), dir.join("state/token")).expect("linked");
    let refused = output(&mut latimer_in(&dir, &["serve"]));
    assert!(!refused.status.success() && said(&refused).contains("symbolic link"), "{}", said(&refused));
}

#[test]
fn sockets_are_private() {
    let harness = WatchdogHarness::new("private-socket", [ScriptedAnswer::text("Whole.")]);
    let sockets: Vec<_> = std::fs::read_dir(harness.dir.join("state"))
        .expect("listed")
        .filter_map(Result::ok)
        .filter(|entry| std::os::unix::fs::FileTypeExt::is_socket(&entry.file_type().expect("a type")))
        .collect();
    assert!(!sockets.is_empty());
    for socket in sockets {
        assert_eq!(mode(&socket.path()), 0o600, "{socket:?}");
    }
}

#[test]
fn a_configuration_with_keys_that_others_can_read_is_told() {
    let dir = folder("open-config");
    let config = dir.join("latimer.toml");
    let key_file = dir.join("key");
    std::fs::write(&key_file, "k").expect("written");
    loosen(&key_file, 0o644);
    let endpoint = |key: &str| {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\n{key}\n"
        )
    };
    let by_file = format!("api_key_file = \"{}\"", key_file.display());
    for (key, mode, told) in [
        ("api_key = \"a-key\"", 0o644, Some("latimer.toml` holds a key")),
        ("api_key = \"a-key\"", 0o600, None),
        ("api_key_env = \"HOME\"", 0o644, None),
        ("api_key_env = \"HOME\"", 0o666, Some("latimer.toml` can be changed by others")),
        (by_file.as_str(), 0o600, Some("key` holds a key")),
    ] {
        std::fs::write(&config, endpoint(key)).expect("written");
        loosen(&config, mode);
        let checked = output(&mut latimer_in(&dir, &["check"]));
        assert!(checked.status.success(), "{}", said(&checked));
        assert_eq!(said(&checked).contains("run `chmod 600"), told.is_some(), "{key}: {}", said(&checked));
        assert!(said(&checked).contains(told.unwrap_or_default()), "{key}: {}", said(&checked));
    }
    let (mut proxy, _) = serve(&dir, &[]);
    proxy.kill().expect("ended");
    proxy.wait().expect("ended");
    let log = std::fs::read_to_string(dir.join("proxy.log")).expect("a log");
    assert!(log.contains("config.open_to_others"), "{log}");
}

/// Files of the state directory that hold this text.
fn holding(harness: &Harness, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(harness.dir.join("state")).expect("listed").filter_map(Result::ok);
    let holds =
        |path: &Path| std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text));
    files
        .filter(|file| holds(&file.path()))
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_deleted_answer_is_gone_from_every_file() {
    let mut harness = Harness::new("deleted", [ScriptedAnswer::text("One."), ScriptedAnswer::text("Two.")]);
    let answer: Value = serde_json::from_str(body(&harness.post(REQUEST, ""))).expect("JSON");
    wait_until("it is kept", || !holding(&harness, "canary-of-a").is_empty());
    let id = answer["id"].as_str().expect("an id");
    let delete = harness.get(&format!("/v1/responses/{id}")).replacen("GET", "DELETE", 1);
    assert_eq!(status(&harness.http(&delete, b"")), 200);
    assert_eq!(status(&harness.http(&harness.get(&format!("/v1/responses/{id}")), b"")), 404, "at once");
    wait_until("it is gone", || holding(&harness, "canary-of-a").is_empty());
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    assert_eq!(holding(&harness, "canary-of-a"), [""; 0]);
}

#[test]
fn nothing_of_a_conversation_stays_in_the_journal_after_a_stop() {
    let mut harness = Harness::new("journal", [ScriptedAnswer::text("One.")]);
    assert_eq!(status(&harness.post(REQUEST, "")), 200);
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    let journal = harness.dir.join("state/latimer.db-wal");
    let length = std::fs::metadata(&journal).map_or(0, |journal| journal.len());
    assert_eq!(length, 0, "what the file forgets later would stay here");
}

#[test]
fn a_state_directory_that_cannot_be_had_keeps_nobody_from_serving_without_it() {
    let dir = folder("no-state");
    std::fs::write(dir.join("latimer.toml"), "[server]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n")
        .expect("written");
    // A file in its place: an administrator could write to a directory that is only read.
    std::fs::write(dir.join("state"), "").expect("written");
    let (mut proxy, url) = serve(&dir, &[]);
    let head = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).expect("connected");
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sent");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("answered");
    assert_eq!(status(&answer), 200);
    proxy.kill().expect("ended");
    proxy.wait().expect("ended");
    let log = std::fs::read_to_string(dir.join("proxy.log")).expect("a log");
    assert!(log.contains("state.unavailable") && log.contains("latimer launch"), "{log}");
}
