//! The real binary, attacked from outside: a test for each kind of attack, named after it.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

mod security {
    pub(crate) mod access;
    pub(crate) mod conversations;
    pub(crate) mod disk;
    pub(crate) mod echoed_keys;
    pub(crate) mod known_secrets;
    pub(crate) mod memory;
    pub(crate) mod process;
    pub(crate) mod terminals;
    pub(crate) mod watchdog_reports;

    /// Every file below the state directory of a test's folder, with what is in it.
    pub(crate) fn state_files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![dir.join("state")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() => {
                        files.push((path.display().to_string(), std::fs::read(&path).expect("read")));
                    }
                    _ => {}
                }
            }
        }
        files
    }
}

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use latimer_adapters::scripted::ScriptedAnswer;
use support::{Harness, WAIT_TIMEOUT, latimer_in, status};

const REQUEST: &str = r#"{"model":"glm-5","stream":true,"input":"go"}"#;

fn connect(harness: &Harness) -> TcpStream {
    let stream = TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
    stream
}

#[test]
fn a_flood_of_half_heads_shuts_nobody_out() {
    let harness = Harness::new("half-heads", [ScriptedAnswer::text("Whole.")]);
    let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-filler: {}", "x".repeat(32 << 10));
    let mut half_heads: Vec<TcpStream> = (0..400).map(|_| connect(&harness)).collect();
    for stream in &mut half_heads {
        // The other side may have closed it already.
        let _ = stream.write_all(head.as_bytes());
    }
    assert_eq!(status(&harness.post(REQUEST, "")), 200);
    // The oldest ones had to make room: they are closed without an answer, long before their heads' time is up.
    let mut rest = Vec::new();
    let _ = half_heads[0].read_to_end(&mut rest);
    assert_eq!(String::from_utf8_lossy(&rest), "");
    let newest = half_heads.last_mut().expect("one");
    newest.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    let error = newest.read(&mut [0; 1]).expect_err("it still waits");
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let harness = Harness::new("large-head", [ScriptedAnswer::text("Whole.")]);
    let large = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-filler: {}\r\n\r\n",
        "x".repeat(80 << 10)
    );
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x-line: 1\r\n".repeat(101));
    for head in [large, many] {
        assert_eq!(status(&harness.http(&head, b"")), 431, "{head:.60}");
    }
}

#[test]
fn a_request_that_could_be_read_in_two_ways_is_refused() {
    let harness = Harness::new("two-ways", [ScriptedAnswer::text("Whole.")]);
    let port = harness.url.rsplit(':').next().expect("a port").to_owned();
    let cases = [
        ("host: localhost\r\nhost: evil.example\r\n".to_owned(), 400, "invalid_host"),
        ("host: localhost:1\r\n".to_owned(), 400, "invalid_host"),
        ("host: evil.example\r\n".to_owned(), 403, "forbidden_host"),
        (
            "host: localhost\r\nsec-fetch-site: none\r\nsec-fetch-site: CROSS-SITE\r\n".to_owned(),
            403,
            "forbidden_origin",
        ),
        (
            "host: localhost\r\ntransfer-encoding: gzip, chunked\r\n".to_owned(),
            400,
            "invalid_transfer_encoding",
        ),
        (format!("host: 127.0.0.1:{port}\r\n"), 200, "latimer"),
    ];
    for (headers, wanted, words) in cases {
        let answer =
            harness.http(&format!("GET / HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"), b"0\r\n\r\n");
        assert_eq!(status(&answer), wanted, "{headers}: {answer}");
        assert!(answer.contains(words), "{headers}: {answer}");
    }
}

#[test]
fn a_stranger_learns_neither_version_nor_process_nor_count() {
    let harness = Harness::new("stranger", [ScriptedAnswer::text("Whole.")]);
    let ask = |path: &str| {
        harness.http(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"), b"")
    };
    let root = ask("/");
    assert!(root.contains("latimer") && !root.contains(env!("CARGO_PKG_VERSION")), "{root}");
    let names: Vec<String> = (0..2)
        .map(|_| {
            let refusal = ask("/v1/turns");
            assert_eq!(status(&refusal), 401);
            let line = refusal.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("a name");
            line.to_owned()
        })
        .collect();
    let pid = format!("{:x}", harness.proxy.id());
    assert!(names.iter().all(|name| !name.contains(&format!("_{pid}_"))), "{names:?}");
    assert_ne!(names[0].get(..names[0].len() - 2), names[1].get(..names[1].len() - 2), "they count");
}

#[test]
fn a_log_that_nobody_reads_blocks_no_turn() {
    let harness = Harness::new("unread-log", (0..200).map(|_| ScriptedAnswer::text("Whole.")));
    let mut child = latimer_in(&harness.dir, &["serve", "--listen", "127.0.0.1:0"])
        .env("LATIMER_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A pipe that is never read holds 64 KB.
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().trim_start_matches("latimer listening on http://").to_owned();
    let token = harness.token();
    for turn in 0..200 {
        let mut stream = TcpStream::connect(&address).expect("connected");
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{REQUEST}",
            REQUEST.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        assert!(String::from_utf8_lossy(&answer).contains("response.completed"), "turn {turn}");
    }
    child.kill().expect("ended");
    let mut log = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
    child.wait().expect("ended");
    assert!(log.len() > 30_000, "the pipe was full: {} bytes", log.len());
}
