//! Schedules through the real proxy and the real command, with a scripted model behind them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Stdio};

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};
use support::{Harness, latimer_in, output, serve, status, wait_until};

/// A proxy with the profile `lab`, whose model answers often enough.
fn harness(name: &str) -> Harness {
    let harness = Harness::new(name, (0..500).map(|_| ScriptedAnswer::text("Looked.")));
    let (status, profile) = ask(&harness, "POST", "profiles", &json!({ "id": "lab", "model": "glm-5" }));
    assert_eq!(status, 201, "{profile}");
    harness
}

/// Status and document of an answer below `/v1/agents`.
fn ask(harness: &Harness, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} /v1/agents/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        harness.token(),
        body.len()
    );
    let answer = harness.http(&head, body.as_bytes());
    let document = serde_json::from_str(support::body(&answer));
    (status(&answer), document.unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn get(harness: &Harness, path: &str) -> Value {
    let (status, document) = ask(harness, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{document}");
    document
}

fn schedule(harness: &Harness, id: &str) -> Value {
    get(harness, &format!("schedules/{id}"))
}

fn run_count(harness: &Harness, id: &str) -> u64 {
    schedule(harness, id)["run_count"].as_u64().expect("a number")
}

/// Runs that this schedule began.
fn runs_of(harness: &Harness, id: &str) -> Vec<Value> {
    let runs = get(harness, "runs?limit=500");
    let runs = runs["data"].as_array().expect("a list").clone();
    runs.into_iter().filter(|run| run["schedule"] == id).collect()
}

/// How often this proxy has looked what is due.
fn looks(harness: &Harness) -> u64 {
    let jobs = get(harness, "schedules?system=true");
    let jobs = jobs["data"].as_array().expect("a list").clone();
    let job = jobs.into_iter().find(|job| job["id"] == "agent-schedules").expect("a job");
    job["run_count"].as_u64().expect("a number")
}

/// Lets the proxy look so often what is due.
fn let_it_look(harness: &Harness, times: u64) {
    let before = looks(harness);
    wait_until("it has looked", || looks(harness) >= before + times);
}

/// What the command prints, where it ends well.
fn latimer(harness: &Harness, args: &[&str]) -> String {
    let out = output(&mut latimer_in(&harness.dir, args));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {text}");
    text
}

/// Makes a schedule with the command; its name.
fn add(harness: &Harness, args: &[&str]) -> String {
    let said = latimer(harness, &[&["agents", "cron", "add", "lab", "LOOK AROUND"], args].concat());
    let id = said.split_whitespace().next().expect("a name").to_owned();
    assert!(id.starts_with("sch_"), "{said}");
    id
}

#[test]
fn a_schedule_runs_is_paused_survives_a_restart_and_ends_with_its_deletion() {
    let mut harness = harness("schedules-life");
    let id = add(&harness, &["--every", "1s"]);
    wait_until("it ran twice", || run_count(&harness, &id) >= 2);
    assert!(harness.requests()[0].body.to_string().contains("LOOK AROUND"));
    // Of a schedule with so short a step, the next run has begun when the end of the last one is noticed.
    let over = || runs_of(&harness, &id).into_iter().find(|run| run["status"] == "completed");
    wait_until("a run of it is over", || over().is_some());
    let run = over().expect("a run");
    assert_eq!((&run["mode"], &run["profile"]), (&json!("scheduled"), &json!("lab")), "{run}");
    let listed = latimer(&harness, &["agents", "cron", "list"]);
    assert!(
        listed.contains(&id) && listed.contains("every 1s") && listed.contains("LOOK AROUND"),
        "{listed}"
    );

    latimer(&harness, &["agents", "cron", "pause", &id]);
    let paused = run_count(&harness, &id);
    let_it_look(&harness, 3);
    let kept = schedule(&harness, &id);
    assert_eq!((kept["run_count"].as_u64(), &kept["next_run_at"]), (Some(paused), &Value::Null), "{kept}");
    assert!(latimer(&harness, &["agents", "cron", "list"]).contains("paused"));

    harness.restart();
    let_it_look(&harness, 3);
    assert_eq!(run_count(&harness, &id), paused, "a restart resumes nothing");
    latimer(&harness, &["agents", "cron", "resume", &id]);
    wait_until("it goes on", || run_count(&harness, &id) > paused);
    harness.restart();
    let before = run_count(&harness, &id);
    wait_until("it goes on after a restart", || run_count(&harness, &id) > before);

    latimer(&harness, &["agents", "cron", "rm", &id]);
    let deleted = runs_of(&harness, &id).len();
    let_it_look(&harness, 3);
    assert_eq!(runs_of(&harness, &id).len(), deleted, "it never begins again, and its runs stay");
    assert_eq!(ask(&harness, "GET", &format!("schedules/{id}"), &Value::Null).0, 404);
}

#[test]
fn a_run_can_be_begun_by_hand_and_what_makes_no_sense_is_refused() {
    let harness = harness("schedules-hand");
    let id = add(&harness, &["--cron", "0 9 1 1 *", "--zone", "Europe/Vienna", "--overlap", "queue"]);
    let made = schedule(&harness, &id);
    assert_eq!(
        (&made["zone"], &made["overlap"], &made["run_count"]),
        (&json!("Europe/Vienna"), &json!("queue"), &json!(0))
    );
    latimer(&harness, &["agents", "cron", "pause", &id]);
    let run = latimer(&harness, &["agents", "cron", "run", &id]);
    assert!(run.starts_with("run_"), "{run}");
    wait_until("its run is over", || schedule(&harness, &id)["last_status"] == "completed");
    let after = schedule(&harness, &id);
    assert_eq!((&after["run_count"], &after["last_run"]), (&json!(1), &json!(run.trim())), "{after}");

    for (fields, wanted, words) in [
        (json!({ "every": "0s" }), 400, "too short"),
        (json!({ "every": "4000d" }), 400, "ten years"),
        (json!({ "cron": "every day" }), 400, "`0 9 * * 1-5`"),
        (json!({ "cron": "0 0 30 2 *" }), 400, "never comes due"),
        (json!({ "at": "2001-01-01T00:00:00Z" }), 400, "has passed"),
        (json!({ "cron": "@daily", "zone": "Wien" }), 400, "time zone"),
        (json!({ "every": "1h", "cron": "@daily" }), 400, "exactly one"),
        (json!({ "every": "1h", "evry": 1 }), 400, "evry"),
        (json!({ "every": "1h", "profile": "nobody" }), 404, "latimer agents profiles"),
        (json!({ "every": "1h", "input": "" }), 400, "input"),
    ] {
        let mut body = json!({ "profile": "lab", "input": "x" });
        body.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        let (status, answer) = ask(&harness, "POST", "schedules", &body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == wanted && message.contains(words), "{body}: {status} {answer}");
    }
    for (method, path) in
        [("GET", "schedules/sch_0000000000000000"), ("DELETE", "schedules/x"), ("POST", "schedules/x/run")]
    {
        assert_eq!(ask(&harness, method, path, &Value::Null).0, 404, "{method} {path}");
    }
    assert_eq!(ask(&harness, "PATCH", &format!("schedules/{id}"), &json!({ "enabled": 1 })).0, 400);
    let out = output(&mut latimer_in(&harness.dir, &["agents", "cron", "add", "lab", "x"]));
    assert!(!out.status.success(), "without a time");
}

/// Has the proxy stopped while so much time passes, and starts it again.
fn sleep_through(harness: &mut Harness, seconds: i64) {
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    let file = rusqlite::Connection::open(harness.dir.join("state/agents.db")).expect("the file");
    // The same as a clock that went on: everything lies so much farther back.
    let moved = "UPDATE agent_schedules SET next_run_at = next_run_at - ?1, created = created - ?1, last_run_at = last_run_at - ?1";
    file.execute(moved, [seconds]).expect("moved");
    drop(file);
    (harness.proxy, harness.url) = serve(&harness.dir, &[]);
}

#[test]
fn times_that_were_missed_are_one_or_none() {
    let mut harness = harness("schedules-missed");
    let one = add(&harness, &["--every", "1d"]);
    let none = add(&harness, &["--every", "1d", "--catch-up", "none"]);
    let month = add(&harness, &["--every", "30d"]);
    let dues = [&one, &none].map(|id| schedule(&harness, id)["next_run_at"].as_u64().expect("due"));
    let half = 43_200;
    sleep_through(&mut harness, 10 * 86_400 + half);
    wait_until("the newest is made up for", || {
        runs_of(&harness, &one).iter().any(|run| run["status"] == "completed")
    });
    let_it_look(&harness, 3);
    assert_eq!(schedule(&harness, &one)["last_status"], "completed", "{}", schedule(&harness, &one));
    let counts = [&one, &none, &month].map(|id| runs_of(&harness, id).len());
    assert_eq!(counts, [1, 0, 0], "ten times were missed, and thirty days are not over");
    assert_eq!(schedule(&harness, &none)["last_status"], "missed");
    // The step stays: half a day is left until the next one.
    let half = u64::try_from(half).expect("a number");
    for (id, due) in [&one, &none].into_iter().zip(dues) {
        assert_eq!(schedule(&harness, id)["next_run_at"].as_u64(), Some(due - half), "{id}");
    }
}

/// A second proxy on the same state directory.
fn second(harness: &Harness) -> Child {
    let log = std::fs::File::create(harness.dir.join("second.log")).expect("a log");
    let mut command = latimer_in(&harness.dir, &["serve", "--log", "json"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("latimer runs")
}

#[test]
fn two_processes_begin_each_due_time_once() {
    let mut harness = harness("schedules-two");
    let ids: Vec<String> = (0..4).map(|_| add(&harness, &["--every", "1s", "--overlap", "queue"])).collect();
    let mut other = second(&harness);
    let began_there = || {
        let log = std::fs::read_to_string(harness.dir.join("second.log")).unwrap_or_default();
        log.matches("agents.schedule_began").count()
    };
    let total = || ids.iter().map(|id| run_count(&harness, id)).sum::<u64>();
    wait_until("they have begun some", || total() >= 8);
    // Which of two gets a due time is chance: alone, each must.
    harness.signal("TERM");
    wait_until("the second one goes on alone", || began_there() >= 4);
    harness.proxy.wait().expect("stopped");
    (harness.proxy, harness.url) = serve(&harness.dir, &[]);
    let total = || ids.iter().map(|id| run_count(&harness, id)).sum::<u64>();
    let before = total();
    wait_until("both go on", || total() >= before + 8);
    for id in &ids {
        let (status, paused) =
            ask(&harness, "PATCH", &format!("schedules/{id}"), &json!({ "enabled": false }));
        assert_eq!(status, 200, "{paused}");
    }
    let_it_look(&harness, 2);
    for id in &ids {
        let kept = schedule(&harness, id);
        let number = |field: &str| kept[field].as_u64().expect("a number");
        let runs = runs_of(&harness, id).len() as u64;
        assert_eq!(runs, number("run_count"), "each claim began one run: {kept}");
        let seconds = number("last_run_at") - number("created");
        assert!(runs <= seconds, "{runs} runs in {seconds} due times: {kept}");
    }
    other.kill().expect("killed");
    other.wait().expect("gone");
}

#[test]
fn what_the_proxy_does_by_itself_is_listed() {
    let harness = harness("schedules-system");
    let_it_look(&harness, 1);
    let jobs = get(&harness, "schedules?system=true");
    let jobs = jobs["data"].as_array().expect("a list");
    for name in [
        "memory-save",
        "key-exchange",
        "token-refresh",
        "quota-refresh",
        "answers-cleanup",
        "reports-cleanup",
        "runs-cleanup",
        "agent-schedules",
        "config-watch",
        "token-watch",
    ] {
        let job = jobs.iter().find(|job| job["id"] == name).unwrap_or_else(|| panic!("{name} is missing"));
        let period = job["every_ms"].as_u64().expect("a period");
        assert!(period >= 500 && job["next_run_at"].is_u64(), "{job}");
    }
    wait_until("the keys were exchanged", || {
        let jobs = get(&harness, "schedules?system=true");
        let job =
            jobs["data"].as_array().expect("a list").iter().find(|job| job["id"] == "key-exchange").cloned();
        job.is_some_and(|job| job["last_status"] == "completed" && job["run_count"].as_u64() > Some(2))
    });
    let listed = latimer(&harness, &["agents", "cron", "list", "--system"]);
    assert!(listed.contains("key-exchange") && listed.contains("every 500 ms"), "{listed}");
}
