//! `cargo xtask bench`: what the proxy costs, beside nginx copying the same provider's bytes in the same run.
//!
//! Absolute times drift with the machine; the ratios are what counts. CPU is read from the scheduler's own counters.

mod compare;
mod growth;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::load::{self, Client};
use crate::{cargo, root, say, sh};

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Fewer repetitions
    #[arg(long)]
    quick: bool,
    /// Another binary of latimer, such as one built from an earlier commit: both are measured in turns, and nothing else is
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
    /// Only how the cost grows: with connections, bodies, endpoints and rows
    #[arg(long)]
    growth: bool,
}

/// A process that is ended when the bench is.
struct Guard {
    child: Child,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Asked first: nginx's worker outlives a master that is killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(2) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server under test: where it listens, and the processes whose CPU counts.
struct Subject {
    name: &'static str,
    address: String,
    path: &'static str,
    pids: Vec<u32>,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    sh(&mut cargo(&["build", "--release", "--bin", "latimer"]))?;
    sh(&mut cargo(&["build", "--release", "--package", "latimer-adapters", "--example", "floor"]))?;
    let dir = root().join("target/bench");
    std::fs::create_dir_all(&dir)?;
    let repeat = if args.quick { 1 } else { 4 };
    if let Some(before) = &args.against {
        return compare::run(&dir, before, repeat);
    }
    if args.growth {
        return growth::run(&dir, !args.quick);
    }
    let deltas = Bench::new(&dir, "deltas", r#"{"type":"text","text":"TEXT","pieces":256}"#, 256 * 16)?;
    deltas.report("256 deltas of 16 bytes without gaps", 256.0, "delta", 150 * repeat)?;
    drop(deltas);
    let small = Bench::new(&dir, "small", r#"{"type":"text","text":"TEXT","pieces":1}"#, 5)?;
    small.report("small requests", 1.0, "request", 1000 * repeat)?;
    small.throughput(500 * repeat)?;
    small.history(20 * repeat)?;
    drop(small);
    for count in [500, 2000] {
        let slow =
            Bench::new(&dir, "slow", r#"{"type":"text","text":"TEXT","pieces":40,"gap_us":100000}"#, 640)?;
        slow.streams(count, Duration::from_secs(4))?;
    }
    start(&dir)
}

/// The client protocols, by the names that are printed.
const FRONTS: [(&str, &str); 3] =
    [("latimer", "/v1/responses"), ("chat", "/v1/chat/completions"), ("messages", "/v1/messages")];

/// Starts the far side with this step, whose text has this length; its base URL.
fn provider(dir: &Path, name: &str, step: &str, length: usize) -> anyhow::Result<(Guard, String)> {
    let text: String = "sixteen bytes..\u{20}".chars().cycle().take(length).collect();
    let scenario = format!(
        r#"{{"record":false,"answers":[{{"steps":[{},{{"type":"finish","reason":"stop"}},{{"type":"usage","input":9,"output":9}},{{"type":"done"}}]}}]}}"#,
        step.replace("TEXT", &text)
    );
    let path = dir.join(format!("{name}.json"));
    std::fs::write(&path, scenario)?;
    let (far, line) = first_line(&program(), &["scripted", "--scenario", &path.to_string_lossy()])?;
    Ok((far, line.trim_start_matches("scripted provider listening on ").to_owned()))
}

struct Bench {
    subjects: Vec<Subject>,
    _guards: Vec<Guard>,
}

impl Bench {
    /// The far side with this step, and both subjects before it.
    fn new(dir: &Path, name: &str, step: &str, length: usize) -> anyhow::Result<Self> {
        let (far, far_url) = provider(dir, name, step, length)?;
        let mut guards = vec![far];
        let (proxy, address) = proxy(&program(), dir, &far_url)?;
        let pids = vec![proxy.child.id()];
        let subject = |(name, path)| Subject { name, address: address.clone(), path, pids: pids.clone() };
        let mut subjects: Vec<Subject> = FRONTS.into_iter().map(subject).collect();
        guards.push(proxy);
        let far_address = far_url.trim_start_matches("http://").trim_end_matches("/v1");
        let (guard, line) = first_line(&root().join("target/release/examples/floor"), &[far_address])?;
        subjects.push(Subject {
            name: "floor",
            address: line.trim_start_matches("floor listening on http://").to_owned(),
            path: "/v1/chat/completions",
            pids: vec![guard.child.id()],
        });
        guards.push(guard);
        match nginx(dir, far_address)? {
            Some((guard, subject)) => {
                guards.push(guard);
                subjects.push(subject);
            }
            None => say("nginx is not installed (`apt-get install nginx`): there is nothing to compare with"),
        }
        Ok(Self { subjects, _guards: guards })
    }

    fn request(subject: &Subject, history: usize) -> Vec<u8> {
        let body = if subject.path.ends_with("responses") {
            let filler = "x".repeat(history);
            format!(
                r#"{{"model":"m","stream":true,"store":false,"tool_choice":"auto","parallel_tool_calls":true,"include":["reasoning.encrypted_content"],"input":[{{"type":"message","role":"developer","content":[{{"type":"input_text","text":"You are a coding agent.{filler}"}}]}},{{"type":"message","role":"user","content":[{{"type":"input_text","text":"go"}}]}}],"tools":[{{"type":"function","name":"exec_command","description":"Runs.","strict":false,"parameters":{{"type":"object","properties":{{"cmd":{{"type":"string"}}}}}}}}]}}"#
            )
        } else if subject.path.ends_with("messages") {
            format!(
                r#"{{"model":"m","stream":true,"max_tokens":4000,"messages":[{{"role":"user","content":"go{}"}}]}}"#,
                "x".repeat(history)
            )
        } else {
            format!(
                r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"go{}"}}]}}"#,
                "x".repeat(history)
            )
        };
        load::post(subject.path, &body)
    }

    fn report(&self, title: &str, units: f64, unit: &str, count: usize) -> anyhow::Result<()> {
        say(&format!("\n{title}, {count} times on one connection"));
        let mut bases: Vec<(&str, f64)> = Vec::new();
        for subject in self.subjects.iter().rev() {
            let request = Self::request(subject, 0);
            load::many(&subject.address, &request, 1, 20)?;
            let before = cpu(&subject.pids);
            let took = load::many(&subject.address, &request, 1, count)?;
            let each = micros(cpu(&subject.pids).saturating_sub(before)) / (units * to_f64(count));
            let first = load::median(took.iter().map(|took| took.first).collect());
            let ratio = |(name, base): &(&str, f64)| format!("  {:.2} x {name}", each / base);
            let ratios = bases.iter().map(ratio).collect::<Vec<_>>().concat();
            if matches!(subject.name, "nginx" | "floor") {
                bases.push((subject.name, each));
            }
            say(&format!(
                "  {:8} {each:7.2} µs CPU per {unit}  first event after {:6.0} µs (median){ratios}",
                subject.name,
                micros(first)
            ));
        }
        Ok(())
    }

    fn throughput(&self, count: usize) -> anyhow::Result<()> {
        say(&format!("\nsmall requests on 16 connections, {count} on each"));
        for subject in self.subjects.iter().rev() {
            let request = Self::request(subject, 0);
            let begun = Instant::now();
            let took = load::many(&subject.address, &request, 16, count)?;
            say(&format!(
                "  {:8} {:7.0} requests/s",
                subject.name,
                to_f64(took.len()) / begun.elapsed().as_secs_f64()
            ));
        }
        Ok(())
    }

    fn history(&self, count: usize) -> anyhow::Result<()> {
        say(&format!("\na history of 1 MB, {count} times"));
        for subject in self.subjects.iter().rev() {
            let request = Self::request(subject, 1 << 20);
            let before = cpu(&subject.pids);
            let took = load::many(&subject.address, &request, 1, count)?;
            let each = micros(cpu(&subject.pids).saturating_sub(before)) / to_f64(count) / 1000.0;
            let median = load::median(took.iter().map(|took| took.all).collect());
            say(&format!(
                "  {:8} {each:7.2} ms CPU  {:7.2} ms in all (median)",
                subject.name,
                micros(median) / 1000.0
            ));
        }
        Ok(())
    }

    fn streams(&self, count: usize, ideal: Duration) -> anyhow::Result<()> {
        say(&format!("\n{count} slow streams at once, 40 deltas of 16 bytes 100 ms apart"));
        // The protocols in front differ in what a delta costs, which was measured above.
        for subject in
            self.subjects.iter().filter(|subject| !matches!(subject.name, "chat" | "messages")).rev()
        {
            let request = Self::request(subject, 0);
            Client::connect(&subject.address)?.ask(&request)?;
            let (memory, before) = (resident(&subject.pids), cpu(&subject.pids));
            let mut held = 0;
            let times = load::streams(&subject.address, &request, count, || held = resident(&subject.pids))?;
            let used = micros(cpu(&subject.pids).saturating_sub(before)) / 1000.0;
            let slowest = times.iter().max().copied().unwrap_or_default();
            say(&format!(
                "  {:8} {used:7.0} ms CPU  {:6.1} kB a stream  slowest {:.2} s (ideal {:.2} s)",
                subject.name,
                to_f64(held.saturating_sub(memory)) / to_f64(count) / 1000.0,
                slowest.as_secs_f64(),
                ideal.as_secs_f64()
            ));
        }
        Ok(())
    }
}

/// Cold start and memory at rest.
fn start(dir: &Path) -> anyhow::Result<()> {
    let mut times = Vec::new();
    let mut memory = 0;
    for _ in 0..10 {
        let begun = Instant::now();
        let (guard, _) = proxy(&program(), dir, "http://127.0.0.1:9/v1")?;
        times.push(begun.elapsed());
        memory = resident(&[guard.child.id()]);
    }
    say(&format!(
        "\ncold start {:.1} ms (median), at rest {:.1} MB",
        micros(load::median(times)) / 1000.0,
        to_f64(memory) / 1e6
    ));
    Ok(())
}

fn program() -> PathBuf {
    root().join("target/release/latimer")
}

/// Starts the binary and waits for its first line.
fn first_line(program: &Path, args: &[&str]) -> anyhow::Result<(Guard, String)> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let stdout = child.stdout.take().context("its stdout")?;
    let guard = Guard { child };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        bail!("{} {args:?} ended at once", program.display());
    }
    Ok((guard, line.trim().to_owned()))
}

/// A proxy before this far side; its address.
fn proxy(program: &Path, dir: &Path, far_url: &str) -> anyhow::Result<(Guard, String)> {
    serve(program, dir, far_url, "state", "")
}

/// The same of the binary under test, with a state of its own, and a configuration that goes on with this text.
fn proxy_with(dir: &Path, far_url: &str, state: &str, more: &str) -> anyhow::Result<(Guard, String)> {
    serve(&program(), dir, far_url, state, more)
}

fn serve(
    program: &Path,
    dir: &Path,
    far_url: &str,
    state: &str,
    more: &str,
) -> anyhow::Result<(Guard, String)> {
    let config = dir.join("latimer.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n[[endpoint]]\nname = \"far\"\nbase_url = \"{far_url}\"\nmodels = [\"m\"]\n{more}"
    );
    std::fs::write(&config, text)?;
    let (config, state) = (config.to_string_lossy(), dir.join(state));
    let (guard, line) =
        first_line(program, &["serve", "--config", &config, "--state-dir", &state.to_string_lossy()])?;
    Ok((guard, line.trim_start_matches("latimer listening on http://").to_owned()))
}

/// nginx as a plain reverse proxy, one worker, nothing buffered.
fn nginx(dir: &Path, far: &str) -> anyhow::Result<Option<(Guard, Subject)>> {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    // A port that was free a moment ago; nginx cannot choose one itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let text = format!(
        "daemon off; worker_processes 1; worker_rlimit_nofile 65535; pid {0}/nginx.pid; error_log /dev/null;\nevents {{ worker_connections 16384; }}\nhttp {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; client_max_body_size 64m; client_body_buffer_size 2m; tcp_nodelay on; keepalive_requests 1000000;\nupstream far {{ server {far}; keepalive 64; }}\nserver {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://far; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; proxy_request_buffering on; }} }} }}\n",
        dir.display()
    );
    let config = dir.join("nginx.conf");
    std::fs::write(&config, text)?;
    let child = Command::new("nginx")
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let guard = Guard { child };
    let address = format!("127.0.0.1:{port}");
    let master = guard.child.id();
    let begun = Instant::now();
    // The master listens before it has a worker.
    let pids = loop {
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let pids: Vec<u32> =
            children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if !pids.is_empty() && Client::connect(&address).is_ok() {
            break pids;
        }
        if begun.elapsed() > Duration::from_secs(5) {
            bail!("nginx does not answer");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Ok(Some((guard, Subject { name: "nginx", address, path: "/v1/chat/completions", pids })))
}

/// CPU time of all threads of these processes, user and system.
fn cpu(pids: &[u32]) -> Duration {
    let nanos = |pid: &u32| -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    Duration::from_nanos(pids.iter().map(nanos).sum())
}

/// Resident bytes of these processes.
fn resident(pids: &[u32]) -> usize {
    let pages = |pid: &u32| -> usize {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
    };
    pids.iter().map(pages).sum::<usize>() * 4096
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
