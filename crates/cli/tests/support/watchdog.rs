//! A watchdog and its proxy as real processes, and clients that count what happens to them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use latimer_adapters::scripted::{Scenario, ScriptedAnswer};
use serde_json::Value;

use super::{POLL_INTERVAL, RunningProvider, WAIT_TIMEOUT, folder, status};

/// How long a watchdog may take to end by its own way after a test; then it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A folder with a configuration, a scripted provider, and a watchdog that keeps a proxy alive.
pub(crate) struct WatchdogHarness {
    pub(crate) dir: PathBuf,
    pub(crate) watchdog: Child,
    pub(crate) url: String,
    upstream: Option<RunningProvider>,
}

/// A `latimer-watchdog` command with nothing of the person's environment.
pub(crate) fn watchdog_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer-watchdog"));
    command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
    command
}

/// The same command on a folder.
pub(crate) fn on(dir: &Path, command: &str) -> Command {
    let mut ask = watchdog_command();
    ask.arg(command).arg("--config").arg(dir.join("latimer.toml")).arg("--state-dir").arg(dir.join("state"));
    ask
}

/// A folder with a configuration for this provider; more lines go under `[server]`.
pub(crate) fn configured(name: &str, base_url: &str, server: &str) -> PathBuf {
    let dir = folder(name);
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{base_url}\"\napi_key = \"upstream-key\"\nmodels = [\"glm-5\"]\n"
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    dir
}

/// Starts `latimer-watchdog run` with more arguments; its log goes to `watchdog.log` in the folder.
pub(crate) fn start(dir: &Path, args: &[&str]) -> Child {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(dir.join("watchdog.log")).expect("a log");
    on(dir, "run")
        .args(["--log", "json"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("it runs")
}

/// The address in the first line of a watchdog.
pub(crate) fn url_of(child: &mut Child, dir: &Path) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("latimer listening on ");
    url.unwrap_or_else(|| panic!("first line {line:?}\n{}", logs(dir))).to_owned()
}

/// What both processes wrote.
pub(crate) fn logs(dir: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    format!("watchdog:\n{}\nproxy:\n{}", read("watchdog.log"), read("state/proxy.log"))
}

impl WatchdogHarness {
    pub(crate) fn new(name: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::configured(name, answers, "", &[])
    }

    pub(crate) fn configured(
        name: &str,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
        server: &str,
        args: &[&str],
    ) -> Self {
        let upstream = RunningProvider::start(Scenario::new(answers).without_record());
        let dir = configured(name, &upstream.provider.base_url(), server);
        let mut watchdog = start(&dir, args);
        let url = url_of(&mut watchdog, &dir);
        Self { dir, watchdog, url, upstream: Some(upstream) }
    }

    /// The document of `latimer-watchdog status --json`.
    pub(crate) fn status(&self) -> Value {
        self.ask("status").expect("the watchdog answers")
    }

    /// What a command with `--json` printed; `None` when it failed.
    pub(crate) fn ask(&self, command: &str) -> Option<Value> {
        let run = on(&self.dir, command).arg("--json").output().expect("it runs");
        if run.status.success() { serde_json::from_slice(&run.stdout).ok() } else { None }
    }

    /// The process id of the proxy that serves.
    pub(crate) fn proxy(&self) -> Option<u32> {
        let status = self.status();
        status["proxy"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// Waits until this holds, and says how long it took.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let started_at = Instant::now();
        while !holds(self) {
            assert!(started_at.elapsed() < WAIT_TIMEOUT, "waited in vain for: {what}\n{}", logs(&self.dir));
            std::thread::sleep(POLL_INTERVAL);
        }
        started_at.elapsed()
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            address: self.url.trim_start_matches("http://").to_owned(),
            token: std::fs::read_to_string(self.dir.join("state/token")).expect("a token"),
        }
    }

    /// Asks the watchdog to end and waits for it; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        kill("TERM", self.watchdog.id());
        wait(&mut self.watchdog)
    }
}

impl Drop for WatchdogHarness {
    fn drop(&mut self) {
        // By its own way out first, so that the proxy ends too.
        if let Ok(None) = self.watchdog.try_wait() {
            for _ in 0..2 {
                kill("TERM", self.watchdog.id());
            }
            let asked_at = Instant::now();
            while asked_at.elapsed() < STOP_TIMEOUT && matches!(self.watchdog.try_wait(), Ok(None)) {
                std::thread::sleep(POLL_INTERVAL);
            }
            let _ = self.watchdog.kill();
            let _ = self.watchdog.wait();
        }
        if let Some(RunningProvider { provider, runtime }) = self.upstream.take() {
            drop(provider);
            runtime.shutdown_background();
        }
    }
}

/// Waits for a process to end.
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    let started_at = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("waited") {
            return status.code();
        }
        assert!(started_at.elapsed() < WAIT_TIMEOUT, "process {} does not end", child.id());
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Sends a signal to a process that the test started, directly or through the watchdog.
pub(crate) fn kill(signal: &str, pid: u32) {
    let _ = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
}

/// Whether a process lives.
pub(crate) fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with(['Z', 'X'])))
        .unwrap_or(false)
}

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer that says it is complete.
    Complete,
    /// An answer that says it failed, or a refusal in HTTP.
    Failed,
    /// Cut: the process that answered died.
    Cut,
    /// Nobody accepted the connection.
    Refused,
}

/// Sends requests by hand.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned() }
    }

    /// One request for a stream, on a connection of its own.
    pub(crate) fn turn(&self) -> (End, String) {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return (End::Refused, String::new()) };
        let body = r#"{"model":"glm-5","stream":true,"input":"go"}"#;
        let head = self.head("POST /v1/responses", body.len());
        let mut answer = Vec::new();
        let _ = stream.set_read_timeout(Some(WAIT_TIMEOUT));
        let sent = stream.write_all(format!("{head}{body}").as_bytes());
        let read = sent.and_then(|()| stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let end = if answer.contains("response.completed") {
            End::Complete
        } else if read.is_err()
            || answer.is_empty()
            || !answer.ends_with("\r\n\r\n") && answer.contains(" 200 ")
        {
            End::Cut
        } else {
            End::Failed
        };
        (end, answer)
    }

    /// A `GET` with the token; status and body.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        self.send(&format!("GET {path}"), "")
    }

    /// Any request with a JSON body.
    pub(crate) fn send(&self, line: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
        stream.write_all(format!("{}{body}", self.head(line, body.len())).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        Ok((status(&answer), body))
    }

    fn head(&self, line: &str, length: usize) -> String {
        format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n",
            self.token
        )
    }
}

/// Clients that send one turn after the other until they are told to stop.
pub(crate) struct Load {
    running: Arc<AtomicBool>,
    pub(crate) counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// How turns ended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) complete: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Load {
    pub(crate) fn begin(client: &Client, threads: usize) -> Self {
        let (running, counts) = (Arc::new(AtomicBool::new(true)), Arc::<Counts>::default());
        let threads = (0..threads)
            .map(|_| {
                let (client, running, counts) = (client.clone(), Arc::clone(&running), Arc::clone(&counts));
                std::thread::spawn(move || {
                    while running.load(Ordering::Relaxed) {
                        let count = match client.turn().0 {
                            End::Complete => &counts.complete,
                            End::Failed => &counts.failed,
                            End::Cut => &counts.cut,
                            End::Refused => &counts.refused,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { running, counts, threads }
    }

    pub(crate) fn complete(&self) -> u64 {
        self.counts.complete.load(Ordering::Relaxed)
    }

    /// Lets every client finish its turn; complete, failed, cut, refused.
    pub(crate) fn end(self) -> [u64; 4] {
        self.running.store(false, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client panicked");
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        [read(&counts.complete), read(&counts.failed), read(&counts.cut), read(&counts.refused)]
    }
}
