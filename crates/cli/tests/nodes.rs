//! Several real nodes on one real `PostgreSQL`: what one of them kept, counted and learned, the others know; and no turn notices when the
//! database is slow, silent or gone.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "nodes/failures.rs"]
mod failures;
#[path = "nodes/keys.rs"]
mod keys;
#[path = "support/postgres.rs"]
mod postgres;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use latimer_adapters::scripted::{Scenario, ScriptedAnswer};
use postgres::{PASSWORD, Postgres, Relay, name_of, url_at};
use serde_json::{Value, json};
use support::{RunningProvider, body, dechunk, folder, latimer_in, serve, status, wait_until};

/// Real nodes in front of one scripted provider.
struct Fleet {
    nodes: Vec<Node>,
    provider: RunningProvider,
}

/// One node, with a state directory of its own and the token of all.
struct Node {
    dir: PathBuf,
    process: Child,
    url: String,
}

impl Fleet {
    /// Nodes on these databases, one each.
    fn new(name: &str, databases: &[String], answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        let provider = RunningProvider::start(Scenario::new(answers));
        let base_url = provider.provider.base_url();
        let nodes =
            databases.iter().map(|database| Node::start(&prepared(name, database, &base_url))).collect();
        Self { nodes, provider }
    }
}

/// A folder with the configuration and the token of a node.
fn prepared(name: &str, database: &str, base_url: &str) -> PathBuf {
    let dir = folder(name);
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"{database}\"\npool = 5\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{base_url}\"\napi_key = \"upstream-key\"\nmodels = [\"glm-5\"]\n"
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    std::fs::create_dir_all(dir.join("state")).expect("made");
    std::fs::write(
        dir.join("state/token"),
        "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d",
    )
    .expect("written");
    dir
}

impl Node {
    fn start(dir: &Path) -> Self {
        let (process, url) = serve(dir, &[]);
        Self { dir: dir.to_owned(), process, url }
    }

    fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        let _ = std::process::Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status();
        self.process.wait().expect("stopped");
        begun.elapsed()
    }

    fn http(&self, method: &str, path: &str, body: &str) -> String {
        let token = std::fs::read_to_string(self.dir.join("state/token")).expect("a token");
        self.http_as(token.trim(), method, path, body)
    }

    /// The same with another key.
    fn http_as(&self, key: &str, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(support::WAIT_TIMEOUT)).expect("set");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A turn; its answer.
    fn turn(&self, request: &Value) -> Value {
        let answer = self.http("POST", "/v1/responses", &request.to_string());
        assert_eq!(status(&answer), 200, "{answer}\n{}", self.log());
        serde_json::from_str(body(&answer)).expect("JSON")
    }

    fn ask(&self, text: &str) -> Value {
        self.turn(&json!({ "model": "glm-5", "input": text }))
    }

    fn health(&self) -> Value {
        serde_json::from_str(body(&self.http("GET", "/health", ""))).expect("JSON")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("proxy.log")).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Output {
        latimer_in(&self.dir, args).output().expect("latimer runs")
    }

    /// The turns that `latimer usage` counts.
    fn turns(&self) -> u64 {
        let output = self.command(&["usage", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        report["total"]["turns"].as_u64().unwrap_or(0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn texts(count: usize) -> Vec<ScriptedAnswer> {
    (0..count).map(|number| ScriptedAnswer::text(format!("answer {number}"))).collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_one_node_keeps_and_counts_all_of_them_have() {
    let Some(url) = postgres::database() else { return };
    let fleet = Fleet::new("nodes", &[url.clone(), url.clone(), url.clone()], texts(9));
    let [a, b, c] = &fleet.nodes[..] else { panic!("three nodes") };
    let first = a.ask("hello");
    // Streamed, too: the end of the stream says that the answer is everywhere.
    let next =
        json!({ "model": "glm-5", "input": "go on", "previous_response_id": first["id"], "stream": true });
    let streamed = dechunk(&b.http("POST", "/v1/responses", &next.to_string()));
    let last =
        streamed.lines().filter_map(|line| line.strip_prefix("data: {")).next_back().expect("a last event");
    let second: Value = serde_json::from_str(&format!("{{{last}")).expect("JSON");
    let third = c.turn(
        &json!({ "model": "glm-5", "input": "and on", "previous_response_id": second["response"]["id"] }),
    );
    assert_eq!(third["output"][0]["content"][0]["text"], "answer 2");
    let requests = fleet.provider.provider.requests();
    let messages = requests.last().expect("asked").body["messages"].as_array().expect("messages").len();
    assert_eq!(messages, 5, "everything that was said on all nodes");

    let gone = a.http("DELETE", &format!("/v1/responses/{}", third["id"].as_str().expect("an id")), "");
    assert_eq!(status(&gone), 200, "{gone}");
    let path = format!("/v1/responses/{}", third["id"].as_str().expect("an id"));
    let took = wait_until("the node that kept it forgot it", || status(&c.http("GET", &path, "")) == 404);
    assert!(took < Duration::from_secs(10), "{took:?}");

    let unkept = a.turn(&json!({ "model": "glm-5", "input": "canary-unkept", "store": false }));
    assert_eq!(
        status(&b.http("GET", &format!("/v1/responses/{}", unkept["id"].as_str().expect("an id")), "")),
        404
    );
    wait_until("every node reports the turns of all", || fleet.nodes.iter().all(|node| node.turns() == 4));
    let server = postgres::shared().expect("it runs");
    let held = server.sql(
        name_of(&url),
        "SELECT count(*) FROM responses WHERE encode(items, 'escape') LIKE '%canary-unkept%'",
    );
    assert_eq!(held, "0");
    for node in &fleet.nodes {
        assert!(!node.log().contains(PASSWORD), "{}", node.log());
    }
}

#[test]
fn what_one_node_learns_of_a_key_all_of_them_know() {
    let Some(url) = postgres::database() else { return };
    let limited = ScriptedAnswer::error(
        429,
        json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }),
    )
    .header("retry-after", "300");
    let fleet = Fleet::new("learns", &[url.clone(), url], std::iter::repeat_n(limited, 4));
    let [a, b] = &fleet.nodes[..] else { panic!("two nodes") };
    let refused = a.http("POST", "/v1/responses", &json!({ "model": "glm-5", "input": "hi" }).to_string());
    assert_eq!(status(&refused), 429, "{refused}");
    let rests = |node: &Node| {
        let health = node.health();
        health["endpoints"][0]["rests_until"].as_u64().is_some()
            || health["endpoints"][0]["keys_resting"].as_u64() > Some(0)
    };
    wait_until("the node that was refused knows it", || rests(a));
    let took = wait_until("the other node knows it", || rests(b));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_slow_database_delays_nothing_and_a_dead_one_loses_nothing() {
    let Some(server) = Postgres::start() else { return };
    server.sql("postgres", "CREATE DATABASE shared");
    let relay = Relay::to(server.port());
    let mut fleet = Fleet::new("outage", &[url_at(relay.port(), "shared")], texts(40));
    let node = &mut fleet.nodes[0];
    let mut asked = 0;
    let mut ask = |node: &Node| {
        asked += 1;
        node.ask("hello");
        asked
    };
    ask(node);
    relay.delay(Duration::from_millis(500));
    for _ in 0..3 {
        let begun = Instant::now();
        ask(node);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    relay.delay(Duration::ZERO);
    server.stop();
    for _ in 0..5 {
        ask(node);
    }
    wait_until("it is said", || node.log().contains("store.unavailable"));
    // An answer of this node can be gone on with all the same.
    let kept = node.ask("hello");
    let next = json!({ "model": "glm-5", "input": "go on", "previous_response_id": kept["id"] });
    node.turn(&next);
    ask(node);
    server.run();
    wait_until("the database is found again", || node.log().contains("store.back"));
    let all = ask(node) + 2;
    let count = || server.sql("shared", "SELECT count(*) FROM usage").parse::<u64>().expect("a number");
    wait_until("all rows arrived", || count() >= all);
    assert_eq!((count(), node.health()["usage_lost"].as_u64()), (all, Some(0)), "each once");
    assert_eq!(server.sql("shared", "SELECT count(DISTINCT id) FROM usage"), all.to_string());

    relay.silence(true);
    ask(node);
    let took = node.stop();
    assert!(took < Duration::from_secs(25), "a silent database holds nobody: {took:?}");
    relay.silence(false);
    *node = Node::start(&node.dir);
    wait_until("the rows of the process before arrived", || count() == all + 1);
    let log = node.log();
    assert!(!log.contains(PASSWORD), "{log}");
}

#[test]
fn without_a_database_at_the_start_turns_are_served() {
    let port = postgres::free_port();
    let Some(server) = postgres::shared() else { return };
    let mut fleet = Fleet::new("start", &[url_at(port, "nowhere")], texts(3));
    let node = &mut fleet.nodes[0];
    node.ask("hello");
    let log = node.log();
    assert!(log.contains("store.unavailable") && log.contains(&format!("127.0.0.1:{port}/nowhere")), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    let took = node.stop();
    assert!(took < Duration::from_secs(25), "{took:?}");
    // Rows of an address that was wrong go to the right one.
    let url = server.database();
    let config = std::fs::read_to_string(node.dir.join("latimer.toml")).expect("read");
    let config = config.replace(&url_at(port, "nowhere"), &url);
    std::fs::write(node.dir.join("latimer.toml"), config).expect("written");
    *node = Node::start(&node.dir);
    wait_until("the row arrived", || node.turns() == 1);
}

#[test]
fn what_somebody_has_to_put_right_ends_the_start_with_a_sentence() {
    let Some(server) = postgres::shared() else { return };
    let newer = server.database();
    let made = prepared("newer", &newer, "http://127.0.0.1:1");
    assert!(latimer_in(&made, &["store", "migrate"]).status().expect("runs").success());
    server.sql(name_of(&newer), "INSERT INTO latimer_schema (version) VALUES (99)");
    let changed = server.database();
    server.sql(name_of(&changed), "CREATE TABLE usage (mine INT)");
    let unwritable = server.database();
    server.sql("postgres", "DO $$ BEGIN CREATE ROLE stranger LOGIN PASSWORD 'hunter2-Zq8vKw'; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    let wrong = newer.replace(PASSWORD, "hunter2-wrong-one");
    let cases = [
        (newer, "newer"),
        (changed, "`usage` is not as latimer made it"),
        (unwritable.replace("latimer:", "stranger:"), "GRANT CREATE"),
        (wrong, "check user and password"),
        (server.url("no_such_database"), "createdb"),
    ];
    for (url, words) in cases {
        let dir = prepared("refused", &url, "http://127.0.0.1:1");
        let output = latimer_in(&dir, &["serve"]).output().expect("latimer runs");
        let said = said(&output);
        assert!(!output.status.success() && said.contains(words), "{words}: {said}");
        assert!(said.contains("the database 127.0.0.1:") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_file_is_copied_once_whole() {
    let Some(url) = postgres::database() else { return };
    let harness = support::Harness::new("copied", texts(3));
    let kept: Value =
        serde_json::from_str(body(&harness.post(r#"{"model":"glm-5","input":"hello"}"#, ""))).expect("JSON");
    for _ in 0..2 {
        harness.post(r#"{"model":"glm-5","input":"hello"}"#, "");
    }
    let file = harness.dir.join("state/latimer.db");
    wait_until("the rows are in the file", || {
        let output = latimer_in(&harness.dir, &["usage", "--json"]).output().expect("runs");
        String::from_utf8_lossy(&output.stdout).contains("\"turns\":3")
            || String::from_utf8_lossy(&output.stdout).contains("\"turns\": 3")
    });
    assert!(
        latimer_in(&harness.dir, &["keys", "create", "--name", "alice"]).status().expect("runs").success()
    );
    let before = std::fs::read(&file).expect("read");
    let of_keys =
        ["1 client keys copied, 0 were there already", "0 client keys copied, 1 were there already"];
    for (wanted, of_keys) in
        ["3 rows copied, 0 were there already; 3 kept answers", "0 rows copied, 3 were there already"]
            .into_iter()
            .zip(of_keys)
    {
        let output = latimer_in(&harness.dir, &["store", "copy", "--from", "sqlite", "--to", &url])
            .output()
            .expect("runs");
        let said = said(&output);
        assert!(output.status.success() && said.contains(wanted) && said.contains(of_keys), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    assert_eq!(std::fs::read(&file).expect("read"), before, "nothing in the file changed");
    let fleet = Fleet::new("copied-to", &[url], texts(1));
    let node = &fleet.nodes[0];
    assert_eq!(node.turns(), 3);
    node.turn(&json!({ "model": "glm-5", "input": "go on", "previous_response_id": kept["id"] }));
    let checked = node.command(&["store", "check"]);
    assert!(said(&checked).contains("usage: "), "{}", said(&checked));
    assert!(node.command(&["store", "vacuum"]).status.success());
}
