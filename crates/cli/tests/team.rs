//! One latimer for many people: keys with limits, figures for others' tools, connections from other machines. The real binary over
//! real sockets.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod support;

#[path = "team/exposure.rs"]
mod exposure;
#[path = "team/keys.rs"]
mod keys;
#[path = "team/metrics.rs"]
mod metrics;
#[path = "team/nginx.rs"]
mod nginx;

use serde_json::Value;

use crate::support::{Harness, latimer_in};

/// Runs `latimer keys …` on the state of a proxy; what it printed, and whether it worked.
fn keys_command(harness: &Harness, args: &[&str]) -> (bool, String) {
    let mut all = vec!["keys"];
    all.extend(args);
    let output = latimer_in(&harness.dir, &all).output().expect("latimer runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

/// Makes a key; the whole document.
fn make(harness: &Harness, args: &[&str]) -> Value {
    let mut all = vec!["create", "--json", "--name"];
    all.extend(args);
    let (worked, text) = keys_command(harness, &all);
    assert!(worked, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A request with this key: the status, the header lines, the body.
fn ask(harness: &Harness, key: &str, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = harness.http(&head, body.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}
