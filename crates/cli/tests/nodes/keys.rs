//! Client keys on several real nodes: made once, known to all, with limits that hold over all of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

use crate::support::{body, status, wait_until};
use crate::{Fleet, Node, PASSWORD, Postgres, Relay, name_of, postgres, said, texts, url_at};

const TURN: &str = r#"{"model":"glm-5","input":"hi"}"#;

/// Runs `latimer keys …` beside a node.
fn keys(node: &Node, args: &[&str]) -> Value {
    let mut all = vec!["keys"];
    all.extend(args);
    all.push("--json");
    let output = node.command(&all);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn make(node: &Node, name: &str, args: &[&str]) -> String {
    let mut all = vec!["create", "--name", name];
    all.extend(args);
    keys(node, &all)["key"].as_str().expect("a key").to_owned()
}

fn turn(node: &Node, key: &str) -> u16 {
    status(&node.http_as(key, "POST", "/v1/responses", TURN))
}

fn limits(node: &Node) -> Value {
    node.health()["store"].clone()
}

fn wait_until_global(nodes: &[Node]) {
    let all = nodes.len() as u64;
    wait_until("the nodes count together", || {
        nodes.iter().map(limits).all(|store| store["limits_global"] == true && store["nodes"] == all)
    });
}

#[test]
fn a_key_is_made_once_and_every_node_follows() {
    let Some(url) = postgres::database() else { return };
    let fleet = Fleet::new("keys", &[url.clone(), url.clone(), url.clone()], texts(20));
    let [a, b, c] = &fleet.nodes[..] else { panic!("three nodes") };
    let key = make(a, "anna", &["--models", "glm-5"]);
    for node in [a, b, c] {
        assert_eq!(turn(node, &key), 200, "{}", node.log());
    }
    let again = b.command(&["keys", "create", "--name", "anna"]);
    assert!(!again.status.success() && said(&again).contains("named `anna` already"), "{}", said(&again));
    let answer = c.http_as(&key, "POST", "/v1/responses", r#"{"model":"other","input":"hi"}"#);
    assert!(status(&answer) == 403 && answer.contains("other"), "{answer}");
    // What one key kept opens for it on every node, and for nobody else.
    let kept: Value =
        serde_json::from_str(body(&a.http_as(&key, "POST", "/v1/responses", TURN))).expect("JSON");
    let path = format!("/v1/responses/{}", kept["id"].as_str().expect("an id"));
    let other = make(b, "bert", &[]);
    assert_eq!(status(&b.http_as(&key, "GET", &path, "")), 200);
    assert_eq!(status(&b.http_as(&other, "GET", &path, "")), 404);

    let next = keys(b, &["rotate", "anna"])["key"].as_str().expect("a key").to_owned();
    for node in [a, b, c] {
        wait_until("the new secret opens", || turn(node, &next) == 200);
        wait_until("the old one does not", || turn(node, &key) == 401);
    }
    keys(c, &["revoke", "anna"]);
    for node in [a, b, c] {
        wait_until("it is revoked", || {
            let answer = node.http_as(&next, "POST", "/v1/responses", TURN);
            status(&answer) == 401 && answer.contains("revoked")
        });
    }
    wait_until("every node reports the turns of the key on all", || {
        [a, b, c].iter().all(|node| {
            let output = node.command(&["usage", "--by", "key", "--json"]);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let lines = report["lines"].as_array().cloned().unwrap_or_default();
            // Three, one that was kept, and one with the new secret on each.
            lines.iter().any(|line| line["name"] == "anna" && line["turns"].as_u64() >= Some(7))
        })
    });
    let used = keys(a, &["show", "anna"])["used"]["day"]["requests"].as_u64();
    assert!(used >= Some(7), "{used:?}");
    let server = postgres::shared().expect("it runs");
    for secret in [&key, &next].map(|key| &key[key.len() - 64..]) {
        let dump = server.sql(
            name_of(&url),
            "SELECT string_agg(k::text, '') || string_agg(encode(k.hash, 'hex'), '') FROM client_keys AS k",
        );
        assert!(!dump.contains(secret));
        for node in [a, b, c] {
            assert!(!postgres::holds(&node.dir, secret), "no file of a node holds it");
        }
    }
}

#[test]
fn a_limit_holds_over_all_nodes() {
    let Some(url) = postgres::database() else { return };
    let answers = (0..200).map(|_| ScriptedAnswer::turn([Step::text("Hello."), Step::usage(10, 5)]));
    let fleet = Fleet::new("limits", &[url.clone(), url.clone(), url], answers);
    wait_until_global(&fleet.nodes);
    let key = make(&fleet.nodes[0], "anna", &["--requests", "60/min"]);
    for node in &fleet.nodes {
        wait_until("the key is known", || status(&node.http_as(&key, "GET", "/v1/models", "")) == 200);
    }
    let passed = AtomicUsize::new(0);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for node in &fleet.nodes {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..15 {
                        if turn(node, &key) == 200 {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        }
    });
    // One more for each second that it took.
    let most = 63 + usize::try_from(begun.elapsed().as_secs()).expect("short") + 1;
    let passed = passed.load(Ordering::Relaxed);
    assert!((57..=most).contains(&passed), "{passed} in {:?}", begun.elapsed());
    let answer = fleet.nodes[1].http_as(&key, "POST", "/v1/responses", TURN);
    if status(&answer) != 200 {
        assert!(answer.contains("retry-after: ") && answer.contains("60 requests a minute"), "{answer}");
    }

    let poor = make(&fleet.nodes[1], "poor", &["--tokens", "60/day"]);
    let passed = (0..12).filter(|number| turn(&fleet.nodes[number % 3], &poor) == 200).count();
    assert!((4..=6).contains(&passed), "{passed} turns of fifteen tokens");
}

#[test]
fn with_a_slow_or_dead_database_known_keys_go_on_and_health_says_so() {
    let Some(server) = Postgres::start() else { return };
    server.sql("postgres", "CREATE DATABASE shared");
    let relay = Relay::to(server.port());
    let fleet = Fleet::new("keys-outage", &[url_at(relay.port(), "shared")], texts(60));
    let node = &fleet.nodes[0];
    wait_until_global(&fleet.nodes);
    let key = make(node, "anna", &["--requests", "600/min", "--parallel", "4"]);
    wait_until("it opens", || turn(node, &key) == 200);
    // Nothing comes back at all: what waited for it would not end.
    relay.silence(true);
    for _ in 0..5 {
        assert_eq!(turn(node, &key), 200, "{}", node.log());
    }
    wait_until("it is said", || {
        let store = limits(node);
        store["limits_global"] == false && store["limits_since"].as_u64() > Some(0)
    });
    relay.silence(false);
    server.stop();
    for _ in 0..3 {
        assert_eq!(turn(node, &key), 200, "{}", node.log());
    }
    wait_until("it is said that the database is away", || limits(node)["away_since"].as_u64() > Some(0));
    let away = limits(node);
    assert!(away["away"].as_str().is_some_and(|why| !why.contains(PASSWORD)), "{away}");
    assert_eq!(away["reachable"], false);
    server.run();
    wait_until_global(&fleet.nodes);
    wait_until("everything that was used is counted", || {
        let used = &keys(node, &["show", "anna"])["used"]["day"]["requests"];
        used.as_u64() == Some(9)
    });
    let refused = node.http_as(
        &format!("sk-latimer-00112233aabb-{}", "0".repeat(64)),
        "POST",
        "/v1/responses",
        &json!({}).to_string(),
    );
    assert_eq!(status(&refused), 401, "{refused}");
}
