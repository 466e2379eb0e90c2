//! A scripted provider, the real `latimer` binary and a folder of their own, for one test.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

pub(crate) mod calls;
pub(crate) mod faults;
pub(crate) mod field_report;
pub(crate) mod newcomer;
pub(crate) mod transcript;
pub(crate) mod upstream_scripts;
pub(crate) mod watchdog;
pub(crate) mod websocket_client;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use latimer_adapters::scripted::{Provider, RecordedRequest, Scenario, ScriptedAnswer};

/// The longest a test waits for anything: long enough for a machine that does ten other things.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest a client may take before the test ends it.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(180);
/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until something is so; how long it took.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let started_at = Instant::now();
    while !is_so() {
        assert!(started_at.elapsed() < WAIT_TIMEOUT, "waited in vain until {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
    started_at.elapsed()
}

/// A scripted provider on a runtime of its own.
pub(crate) struct RunningProvider {
    pub(crate) provider: Provider,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl RunningProvider {
    pub(crate) fn start(scenario: Scenario) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let provider = runtime.block_on(Provider::start(scenario)).expect("a provider");
        Self { provider, runtime }
    }
}

pub(crate) struct Harness {
    pub(crate) dir: PathBuf,
    pub(crate) proxy: Child,
    pub(crate) url: String,
    pub(crate) provider: Provider,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// Of a second provider.
    pub(crate) spare_runtime: Option<tokio::runtime::Runtime>,
}

/// A folder of the test's own, not below the system's temp folder: Codex refuses to put its helpers there.
pub(crate) fn folder(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(dir.join("home/.codex")).expect("a folder");
    std::fs::create_dir_all(dir.join("project")).expect("a folder");
    dir
}

impl Harness {
    pub(crate) fn new(name: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::configured(name, answers, "", "")
    }

    /// A proxy whose configuration has more lines under `[server]` and under `[[endpoint]]`.
    pub(crate) fn configured(
        name: &str,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
        server: &str,
        endpoint: &str,
    ) -> Self {
        Self::inside(folder(name), answers, server, endpoint)
    }

    /// The same in a folder of the test's choice, with `home/.codex` and `project` in it.
    pub(crate) fn inside(
        dir: PathBuf,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
        server: &str,
        endpoint: &str,
    ) -> Self {
        let RunningProvider { provider, runtime } = RunningProvider::start(Scenario::new(answers));
        let has_models =
            endpoint.starts_with("models") || (endpoint.contains("models") && !endpoint.contains("[["));
        let models = if has_models { "" } else { "models = [{ id = \"glm-5\", reasoning = true }]" };
        let key = if endpoint.contains("api_key") && !endpoint.contains("[[") {
            ""
        } else {
            "api_key = \"upstream-key\""
        };
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\n{key}\n{models}\n{endpoint}\n",
            provider.base_url()
        );
        std::fs::write(dir.join("latimer.toml"), config).expect("written");
        let (proxy, url) = serve(&dir, &[]);
        Self { dir, proxy, url, provider, runtime, spare_runtime: None }
    }

    /// Stops the proxy and starts another one on the same state.
    pub(crate) fn restart(&mut self) {
        self.signal("TERM");
        self.proxy.wait().expect("stopped");
        let (proxy, url) = serve(&self.dir, &[]);
        self.proxy = proxy;
        self.url = url;
    }

    /// The head of a `GET` with the token.
    pub(crate) fn get(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            self.token()
        )
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.provider.requests()
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.dir.join("state/token")).expect("a token")
    }

    /// The lines of the proxy's log that tell of this event.
    pub(crate) fn log_events(&self, event: &str) -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(self.dir.join("proxy.log")).expect("a log");
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// How many turns there were, and what the log says of each WebSocket that is over; waits until there is one.
    pub(crate) fn settled_sockets(&self) -> (u64, Vec<serde_json::Value>) {
        wait_until("a WebSocket is over", || !self.log_events("websocket.closed").is_empty());
        (self.log_events("turn.done").len() as u64, self.log_events("websocket.closed"))
    }

    /// Sends a signal to the proxy.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.proxy.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// Runs the real Codex through `latimer launch`, to its end.
    pub(crate) fn codex(&self, program: &str, args: &[&str]) -> Run {
        finish(self.codex_command(program, args).spawn().expect("latimer runs"))
    }

    pub(crate) fn codex_command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = latimer_in(&self.dir, &["launch", "codex", "--program", program]);
        command
            .arg("--")
            .args(["exec", "--skip-git-repo-check", "--json", "-s", "danger-full-access"])
            .args(args);
        command
            .current_dir(self.dir.join("project"))
            .env("HOME", self.dir.join("home"))
            .env("CODEX_HOME", self.dir.join("home/.codex"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs another client through `latimer launch`, to its end, with these variables beside what it is told.
    pub(crate) fn client(&self, client: &str, program: &str, args: &[&str], env: &[(&str, &str)]) -> Run {
        let mut command = latimer_in(&self.dir, &["launch", client, "--program", program]);
        command.arg("--").args(args);
        command
            .current_dir(self.dir.join("project"))
            .env("HOME", self.dir.join("home"))
            .envs(env.iter().copied())
            // As a shell would: some clients believe it more than the system.
            .env("PWD", self.dir.join("project"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("latimer runs"))
    }

    /// One HTTP request by hand; the whole answer as text.
    pub(crate) fn http(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `POST /v1/responses` with the token; extra header lines end with `\r\n`.
    pub(crate) fn post(&self, body: &str, extra: &str) -> String {
        self.post_to("/v1/responses", body, extra)
    }

    /// The same to another path.
    pub(crate) fn post_to(&self, path: &str, body: &str, extra: &str) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\n{extra}content-length: {}\r\n\r\n",
            self.token(),
            body.len()
        );
        self.http(&head, body.as_bytes())
    }

    /// Sends a streaming turn and reads until this text has come; the open stream, and what was read.
    pub(crate) fn open_stream(&self, text: &str) -> (TcpStream, String) {
        self.open_stream_of(r#"{"model":"glm-5","stream":true,"input":"go"}"#, text)
    }

    /// The same with a request of the test's choice.
    pub(crate) fn open_stream_of(&self, body: &str, text: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.token(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body.as_bytes()).expect("sent");
        let mut received = String::new();
        let mut buffer = [0; 4096];
        while !received.contains(text) {
            let read = stream.read(&mut buffer).expect("read");
            assert!(read > 0, "the stream ended early: {received}");
            received.push_str(std::str::from_utf8(&buffer[..read]).expect("UTF-8"));
        }
        (stream, received)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
        if self.dir.join("state/agents").is_dir() {
            end_agents_of(self.proxy.id());
        }
    }
}

/// Ends the agents of a proxy that was killed: it could not, and no other one starts on its state. They carry its id in their environment.
fn end_agents_of(proxy: u32) {
    let mark = format!("LATIMER_AGENT=agent-{proxy}-");
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one.starts_with(mark.as_bytes())) {
            let _ = Command::new("kill").arg("-9").arg(entry.file_name()).status();
        }
    }
}

/// A `latimer` command with nothing of the person's configuration.
pub(crate) fn latimer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
    command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
    command
}

/// The same command on the configuration and the state of a folder.
pub(crate) fn latimer_in(dir: &Path, args: &[&str]) -> Command {
    let mut command = latimer();
    command.args(args).arg("--config").arg(dir.join("latimer.toml"));
    command.arg("--state-dir").arg(dir.join("state"));
    command
}

/// Starts the proxy and waits for its first line.
pub(crate) fn serve(dir: &Path, args: &[&str]) -> (Child, String) {
    let log = std::fs::File::create(dir.join("proxy.log")).expect("a log");
    let mut child = latimer_in(dir, &["serve"])
        .args(["--log", "json"])
        .args(args)
        // The profile of whoever runs the tests is not that of an agent's commands.
        .env("HOME", dir.join("home"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("latimer listening on ");
    let url = url.unwrap_or_else(|| {
        panic!(
            "first line {line:?}; log: {}",
            std::fs::read_to_string(dir.join("proxy.log")).unwrap_or_default()
        )
    });
    let url = url.to_owned();
    (child, url)
}

/// What a client printed, and how it ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn all(&self) -> String {
        format!("exit {:?}\n{}\n{}", self.code, self.stdout, self.stderr)
    }

    /// The JSON events of `codex exec --json`.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The texts of the agent's messages.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter(|event| event["type"] == "item.completed" && event["item"]["type"] == "agent_message")
            .map(|event| event["item"]["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// Waits for a client, and ends it when it takes too long.
pub(crate) fn finish(mut child: Child) -> Run {
    let started_at = Instant::now();
    let mut stdout = child.stdout.take().expect("piped");
    let mut stderr = child.stderr.take().expect("piped");
    let out = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_to_string(&mut text);
        text
    });
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break Some(status);
        }
        if started_at.elapsed() > CLIENT_TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let (stdout, stderr) = (out.join().expect("read"), err.join().expect("read"));
    Run { code: status.and_then(|status| status.code()), stdout, stderr }
}

/// The program named by a variable; without it the test says why it does nothing, or fails where it must not skip.
pub(crate) fn program(variable: &str) -> Option<String> {
    let program = std::env::var(variable).ok();
    if program.is_none() {
        assert!(
            std::env::var_os("LATIMER_REQUIRE_E2E").is_none(),
            "{variable} is not set, and nothing may be skipped here"
        );
        // Not `eprintln!`: what passing tests print is captured, and this must be seen.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {variable} is not set; `cargo xtask e2e` installs the client and runs this test"
        );
    }
    program
}

/// Runs a short command.
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the command runs")
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// What follows the head.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The body of a chunked answer.
pub(crate) fn dechunk(answer: &str) -> String {
    let mut rest = body(answer);
    let mut whole = String::new();
    while let Some((size, data)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let (Some(data), Some(next)) = (data.get(..size), data.get(size + 2..)) else { break };
        whole.push_str(data);
        rest = next;
    }
    whole
}
