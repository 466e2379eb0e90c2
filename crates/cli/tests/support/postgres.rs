//! A real `PostgreSQL` in a folder of its own, for tests: started as somebody who is not root, gone with the process that started it.
//!
//! Where none is installed the tests that need one are skipped with a printed reason; never where `CI` is set.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The longest that a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The password of everybody: no error and no log may show it.
pub(crate) const PASSWORD: &str = "hunter2-Zq8vKw";
/// Who the server runs as where the tests are root.
const SERVER_USER: &str = "postgres";

/// A running server.
pub(crate) struct Postgres {
    dir: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    server: Mutex<Option<Child>>,
}

/// The server that all tests of a process share, each with a database of its own; `None` where there is none, which is said.
pub(crate) fn shared() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

/// A new database on the shared server: its URL.
pub(crate) fn database() -> Option<String> {
    shared().map(Postgres::database)
}

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

impl Postgres {
    /// Makes and starts a server.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "the tests of the shared store need the package `postgresql`"
            );
            eprintln!(
                "skipped: no PostgreSQL below /usr/lib/postgresql; `apt-get install postgresql` brings one"
            );
            return None;
        };
        let dir = tempfile::Builder::new().prefix("latimer-pg-").tempdir_in("/tmp").expect("a folder");
        std::fs::write(dir.path().join("password"), PASSWORD).expect("written");
        if is_root() {
            let owner = Command::new("chown").args(["-R", SERVER_USER]).arg(dir.path()).status();
            assert!(owner.expect("chown runs").success());
        }
        let port = free_port();
        let server = Self { dir, programs, port, server: Mutex::new(None) };
        let made = server
            .command("initdb")
            .args([
                "-U",
                "latimer",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
                "--pwfile",
            ])
            .arg(server.dir.path().join("password"))
            .arg("-D")
            .arg(server.data())
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A program of the server's, as who runs it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if is_root() {
            command.args(["--reuid", SERVER_USER, "--regid", SERVER_USER, "--clear-groups"]);
        }
        command.arg(self.programs.join(program)).current_dir(self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    /// Starts the server, and waits until it takes connections.
    pub(crate) fn run(&self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-F"]);
        command.arg("-k").arg(self.dir.path()).args([
            "-c",
            "max_connections=200",
            "-c",
            "log_min_messages=fatal",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // What dies with its parent dies with the thread that started it: this one stays.
        let (sender, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(command.spawn().expect("postgres runs"));
            loop {
                std::thread::park();
            }
        });
        *self.server.lock().expect("no panic") = Some(started.recv().expect("started"));
        let begun = Instant::now();
        while !self.try_sql("postgres", "SELECT 1").status.success() {
            assert!(begun.elapsed() < START_TIMEOUT, "postgres did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server at once, as a crash does: connections break.
    pub(crate) fn stop(&self) {
        let Some(mut server) = self.server.lock().expect("no panic").take() else { return };
        let _ = Command::new("kill").arg("-QUIT").arg(server.id().to_string()).status();
        let _ = server.wait();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new database: its URL.
    pub(crate) fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        url_at(self.port, database)
    }

    /// What a statement says, rows as lines, columns apart by `|`.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let output = self.try_sql(database, statement);
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn try_sql(&self, database: &str, statement: &str) -> Output {
        Command::new(self.programs.join("psql"))
            .args(["-XAtq", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "latimer", "-d", database])
            .args(["-v", "ON_ERROR_STOP=1", "-c", statement])
            .env("PGPASSWORD", PASSWORD)
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .expect("psql runs")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The URL of a database behind this port.
pub(crate) fn url_at(port: u16, database: &str) -> String {
    format!("postgres://latimer:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// The name of a database in its URL.
pub(crate) fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Stands between a node and the database: lets everything through, slowly or not at all.
pub(crate) struct Relay {
    port: u16,
    delay_ms: Arc<AtomicU64>,
    is_silent: Arc<AtomicBool>,
}

impl Relay {
    /// A relay to this port.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Self {
            port: listener.local_addr().expect("bound").port(),
            delay_ms: Arc::default(),
            is_silent: Arc::default(),
        };
        let (delay, silent) = (Arc::clone(&relay.delay_ms), Arc::clone(&relay.is_silent));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (back_client, back_server) = (client.try_clone(), server.try_clone());
                let of = (Arc::clone(&delay), Arc::clone(&silent));
                std::thread::spawn(move || carry(client, server, &of.0, &of.1));
                if let (Ok(client), Ok(server)) = (back_client, back_server) {
                    let silent = Arc::clone(&silent);
                    std::thread::spawn(move || carry(server, client, &AtomicU64::new(0), &silent));
                }
            }
        });
        relay
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on, what is sent to the database takes so much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).expect("short"), Ordering::Relaxed);
    }

    /// From now on, nothing arrives, and nothing is closed; or it does again.
    pub(crate) fn silence(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay_ms: &AtomicU64, is_silent: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        while is_silent.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

/// Whether any file below a folder holds this text.
pub(crate) fn holds(dir: &Path, text: &str) -> bool {
    let holds_it = |path: &Path| {
        if path.is_dir() {
            return holds(path, text);
        }
        std::fs::read(path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| holds_it(&entry.path()))
}
