//! The watchdog where things are in its way.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::Value;
use support::WAIT_TIMEOUT;
use support::watchdog::{
    self, Client, End, WatchdogHarness, configured, kill, lives, logs, on, wait, watchdog_command,
};

#[test]
fn a_proxy_that_hangs_is_replaced_and_its_state_is_noted() {
    let harness = WatchdogHarness::configured("hang", [ScriptedAnswer::text("Hi.")], "", &[]);
    let old = harness.proxy().expect("it serves");
    kill("STOP", old);
    harness.until("another proxy serves", |harness| {
        let status = harness.status();
        status["phase"] == "serving" && status["proxy"]["pid"].as_u64() != Some(u64::from(old))
    });
    assert!(!lives(old), "a hung proxy is ended, not left");
    assert_eq!(harness.client().turn().0, End::Complete);
    let noted = std::fs::read_dir(harness.dir.join("state")).expect("listed").flatten();
    let noted: Vec<_> =
        noted.filter(|file| file.file_name().to_string_lossy().starts_with("hung-")).collect();
    assert_eq!(noted.len(), 1, "{noted:?}");
}

#[test]
fn a_proxy_that_cannot_start_leaves_an_answer_on_the_port() {
    // With every back-off it takes a minute and a half until the watchdog gives up; without restarts it does so at once.
    let (more, starts) = if std::env::var_os("LATIMER_LONG").is_some() {
        ("", 5..15)
    } else {
        ("[watchdog]\nauto_restart = false\n", 1..2)
    };
    let dir = configured("crash", "http://127.0.0.1:9", "");
    let path = dir.join("latimer.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, format!("{text}{more}")).expect("written");
    let script = "echo 'no luck today' >&2; exit 3";
    let port = free_port();
    let mut child =
        watchdog::start(&dir, &["--listen", &format!("127.0.0.1:{port}"), "--", "/bin/sh", "-c", script]);
    let client = Client::new(&format!("127.0.0.1:{port}"), "unknown");
    let started_at = Instant::now();
    let status = loop {
        let status = ask(&dir, "status").filter(|status| status["phase"] == "holding");
        if let Some(status) = status {
            break status;
        }
        assert!(started_at.elapsed() < 2 * WAIT_TIMEOUT, "the port is not held\n{}", logs(&dir));
        std::thread::sleep(Duration::from_millis(100));
    };
    let (code, body) = client.send("POST /v1/responses", "{}").expect("answered");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &body["error"]["code"]), (503, &Value::from("proxy_down")), "{body}");
    assert!(
        body["error"]["message"].as_str().is_some_and(|words| words.contains("latimer-watchdog")),
        "{body}"
    );
    assert!(status["starts"].as_u64().is_some_and(|count| starts.contains(&count)), "{status}");
    assert!(!status["alerts"].as_array().expect("a list").is_empty(), "the person was told: {status}");
    assert!(logs(&dir).contains("no luck today"), "its last words are in the log");
    kill("TERM", child.id());
    assert_eq!(wait(&mut child), Some(0));
}

#[test]
fn a_port_that_is_somebody_elses_is_named_and_left_alone() {
    let dir = configured("taken", "http://127.0.0.1:9", "");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let run = on(&dir, "run").args(["--listen", &address]).stdin(Stdio::null()).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("{address} is already in use")), "{stderr}");
    if cfg!(target_os = "linux") {
        assert!(stderr.contains(&format!("process {}", std::process::id())), "{stderr}");
    }
}

#[test]
fn a_second_watchdog_refuses_and_harms_nobody() {
    let harness = WatchdogHarness::new("second", [ScriptedAnswer::text("Hi.")]);
    let proxy = harness.proxy();
    let run = on(&harness.dir, "run").stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(run.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(stderr.contains("another watchdog already keeps"), "{stderr}");
    assert_eq!(harness.proxy(), proxy, "the first one and its proxy go on");
    assert_eq!(harness.client().turn().0, End::Complete);
}

#[test]
fn a_state_that_cannot_be_written_is_no_reason_not_to_serve() {
    let dir = configured("readonly", "http://127.0.0.1:9", "auth = \"none\"");
    let state = dir.join("state");
    // Directories in the places of files: like a read-only disk, and root cannot write there either.
    for name in ["watchdog.lock", "watchdog.sock/x", "proxy.log", "proxy.json/x", "incidents.json/x", "token"]
    {
        std::fs::create_dir_all(state.join(name)).expect("made");
    }
    std::fs::write(state.join("running"), "a file where a directory should be").expect("written");
    let mut child = watchdog::start(&dir, &[]);
    let url = watchdog::url_of(&mut child, &dir);
    let client = Client::new(url.trim_start_matches("http://"), "none");
    let pid = |client: &Client| -> u64 {
        let (_, body) = client.get("/health").expect("answered");
        serde_json::from_str::<Value>(&body).expect("JSON")["pid"].as_u64().expect("a pid")
    };
    let old = pid(&client);
    kill("KILL", u32::try_from(old).expect("a pid"));
    assert_ne!(pid(&client), old, "and it still restarts");
    kill("TERM", child.id());
    assert_eq!(wait(&mut child), Some(0), "{}", logs(&dir));
}

#[test]
fn a_proxy_that_outlives_its_watchdog_is_adopted() {
    let mut harness = WatchdogHarness::new("orphan", [ScriptedAnswer::text("Hi.")]);
    let (proxy, address) =
        (harness.proxy().expect("it serves"), harness.url.trim_start_matches("http://").to_owned());
    harness.watchdog.kill().expect("killed");
    harness.watchdog.wait().expect("buried");
    assert_eq!(harness.client().turn().0, End::Complete, "the proxy goes on alone");
    harness.watchdog = watchdog::start(&harness.dir, &["--listen", &address]);
    assert_eq!(watchdog::url_of(&mut harness.watchdog, &harness.dir), harness.url);
    assert_eq!(harness.proxy(), Some(proxy), "{}", logs(&harness.dir));
    kill("KILL", proxy);
    harness.until("another proxy serves", |harness| {
        let status = harness.status();
        status["phase"] == "serving" && status["proxy"]["pid"].as_u64() != Some(u64::from(proxy))
    });
    assert_eq!(harness.client().turn().0, End::Complete);
    let last = harness.proxy().expect("it serves");
    assert_eq!(harness.stop(), Some(0));
    assert!(!lives(last));
}

#[test]
fn nothing_secret_stands_where_others_can_read() {
    let harness = WatchdogHarness::new("secrets", [ScriptedAnswer::turn([Step::text("Hi.")])]);
    let token = std::fs::read_to_string(harness.dir.join("state/token")).expect("a token");
    assert_eq!(harness.client().turn().0, End::Complete);
    let proxy = harness.proxy().expect("it serves");
    for pid in [proxy, harness.watchdog.id()] {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        for name in ["cmdline", "environ"] {
            let text = String::from_utf8_lossy(&read(name)).into_owned();
            assert!(!text.contains(&token), "{name} of {pid}");
        }
    }
    let environment = std::fs::read(format!("/proc/{proxy}/environ")).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO_"), "a proxy gets only what it needs");
    assert!(!logs(&harness.dir).contains(&token));
    for file in walk(&harness.dir.join("state")) {
        let mode = std::fs::metadata(&file).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(walk(&path));
        }
        all.push(path);
    }
    all
}

fn ask(dir: &Path, command: &str) -> Option<Value> {
    let run = on(dir, command).arg("--json").output().expect("it runs");
    if run.status.success() { serde_json::from_slice(&run.stdout).ok() } else { None }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}

#[test]
fn without_a_watchdog_the_person_is_told_so() {
    let dir = configured("nobody", "http://127.0.0.1:9", "");
    let run = on(&dir, "status").output().expect("it runs");
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&run.stderr).contains("no watchdog runs on this state directory"));
    assert!(watchdog_command().arg("--version").output().expect("it runs").status.success());
}

/// A small file system of the test's own; gone when dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    /// `None` where the test may not mount.
    fn at(path: &std::path::Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("made");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_nobody() {
    let dir = configured("full", "http://127.0.0.1:9", "auth = \"none\"");
    let state = dir.join("state");
    let Some(_disk) = Disk::at(&state) else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: a file system cannot be mounted here, so none can be filled\n",
        );
        return;
    };
    let mut child = watchdog::start(&dir, &[]);
    let url = watchdog::url_of(&mut child, &dir);
    let client = Client::new(url.trim_start_matches("http://"), "none");
    let pid = || -> u64 {
        let (_, body) = client.get("/health").expect("answered");
        serde_json::from_str::<Value>(&body).expect("JSON")["pid"].as_u64().expect("a pid")
    };
    let old = pid();
    // Everything that is left.
    let full = std::fs::write(state.join("filler"), vec![b'x'; 2 << 20]).expect_err("it does not fit");
    assert_eq!(full.raw_os_error(), Some(28), "{full}");
    kill("KILL", u32::try_from(old).expect("a pid"));
    assert_ne!(pid(), old, "and it still restarts");
    let (code, _) =
        client.send("POST /v1/responses", r#"{"model":"latimer/probe","input":"go"}"#).expect("answered");
    assert_eq!(code, 200, "and turns go through");
    kill("TERM", child.id());
    assert_eq!(wait(&mut child), Some(0), "{}", logs(&dir));
}

#[test]
fn a_proxy_that_grows_is_replaced_and_its_turns_end_well() {
    // As long as nothing came of an answer, its request is kept to be sent again.
    let slow = ScriptedAnswer::turn([Step::sleep(9000), Step::text("B")]);
    // Rare checks: reading such requests keeps a slow machine's proxy from answering three quick ones, which is another fault.
    let settings = "[watchdog]\nmemory_limit = \"64MiB\"\nhealth_interval = \"5s\"";
    let harness = WatchdogHarness::configured("grows", [slow], settings, &[]);
    let old = harness.proxy().expect("it serves");
    let body = format!(r#"{{"model":"glm-5","stream":true,"input":"{}"}}"#, "x".repeat(12 << 20));
    let is_replaced = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // However long the watchdog takes, there are always four such requests.
        let ask = || {
            let client = harness.client();
            let mut answers = Vec::new();
            while !is_replaced.load(Ordering::Relaxed) {
                answers.push(client.send("POST /v1/responses", &body).expect("answered"));
            }
            answers
        };
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        harness.until("another proxy serves", |harness| harness.proxy().is_some_and(|pid| pid != old));
        is_replaced.store(true, Ordering::Relaxed);
        for (code, answer) in asking.into_iter().flat_map(|asking| asking.join().expect("joined")) {
            assert!(
                code == 200 && answer.contains("response.completed"),
                "{code} {answer:.300}\n{}",
                logs(&harness.dir)
            );
        }
    });
    harness.until("the old one is gone", |_| !lives(old));
}
