//! What a stream notices when its database is started anew, or when another node dies; and two who make the tables at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use latimer_adapters::scripted::{ScriptedAnswer, Step};

use crate::support::{self, latimer_in, wait_until};
use crate::{Fleet, Node, Postgres, name_of, postgres, prepared, said};

/// Begins a streaming turn and reads until its first text has come.
fn open_stream(node: &Node) -> TcpStream {
    let token = std::fs::read_to_string(node.dir.join("state/token")).expect("a token");
    let mut stream = TcpStream::connect(node.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(support::WAIT_TIMEOUT)).expect("set");
    let body = r#"{"model":"glm-5","stream":true,"input":"go"}"#;
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let (mut received, mut buffer) = (String::new(), [0; 4096]);
    while !received.contains("Before.") {
        let read = stream.read(&mut buffer).expect("read");
        assert!(read > 0, "the stream ended early: {received}");
        received.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream
}

fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

/// Answers that stand still for a while between two texts.
fn slow(count: usize) -> Vec<ScriptedAnswer> {
    let steps = || [Step::text("Before."), Step::sleep(6000), Step::text("After.")];
    (0..count).map(|_| ScriptedAnswer::turn(steps())).collect()
}

#[test]
fn a_stream_goes_on_through_a_restart_of_the_database_and_the_death_of_another_node() {
    let Some(server) = Postgres::start() else { return };
    server.sql("postgres", "CREATE DATABASE shared");
    let url = server.url("shared");
    let mut fleet = Fleet::new("restart", &[url.clone(), url], slow(2));
    let dying = open_stream(&fleet.nodes[1]);
    let stream = open_stream(&fleet.nodes[0]);
    server.stop();
    fleet.nodes[1].process.kill().expect("killed");
    server.run();
    let (died, whole) = (rest(dying), rest(stream));
    assert!(!died.contains("response.completed"), "{died}");
    assert!(whole.contains("After.") && whole.contains("response.completed"), "{whole}");
    let node = &fleet.nodes[0];
    wait_until("its row arrived, and only its", || node.turns() == 1);
    assert_eq!(node.health()["usage_lost"], 0);
}

#[test]
fn two_who_make_the_tables_at_once_make_them_once() {
    let Some(url) = postgres::database() else { return };
    let dirs = [(); 4].map(|()| prepared("migrate", &url, "http://127.0.0.1:1"));
    let outputs = std::thread::scope(|scope| {
        let runs = dirs.each_ref().map(|dir| {
            scope.spawn(|| latimer_in(dir, &["store", "migrate"]).output().expect("latimer runs"))
        });
        runs.map(|run| run.join().expect("no panic"))
    });
    for output in &outputs {
        assert!(output.status.success(), "{}", said(output));
    }
    let versions = postgres::shared()
        .expect("it runs")
        .sql(name_of(&url), "SELECT count(*), max(version) FROM latimer_schema");
    assert_eq!(versions, "1|1");
}
