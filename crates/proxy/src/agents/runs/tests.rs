//! Runs with a model that answers at once, and everything that may happen in that instant.

use bytes::Bytes;
use hyper::Response;
use serde_json::Value;

use super::*;
use crate::agents::door::{Began, DoorState, RunAnswer, RunDoor};
use crate::agents::message::NewMessage;
use crate::agents::profile::AgentProfile;
use crate::agents::run::RunMode;
use crate::http::reply::{Reply, json};

/// A model that says back what it was told last; or fails, where that says so.
#[derive(Default)]
struct Echo {
    told: Mutex<Vec<String>>,
}

impl Echo {
    fn was_told(&self, words: &str) -> bool {
        lock(&self.told).iter().any(|told| told.contains(words))
    }
}

impl RunDoor for Echo {
    fn ask<'d>(&'d self, _: &'d RunId, body: Bytes, _: Began<'d>) -> RunAnswer<'d> {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let text = body["input"][0]["content"][0]["text"].as_str().expect("text").to_owned();
        lock(&self.told).push(text.clone());
        Box::pin(async move {
            if text.contains("FAIL") {
                return json(429, r#"{"error":{"code":"rate_limit_exceeded","message":"later"}}"#);
            }
            let message = serde_json::json!([{ "type": "message", "content": [{ "text": text }] }]);
            let events = format!(
                "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\"}}}}\n\ndata: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"output\":{message}}}}}\n\n"
            );
            Response::new(Reply::Whole(Some(events.into())))
        })
    }

    fn state(&self) -> DoorState {
        DoorState::Open
    }
}

/// Has this done while runs are carried.
async fn with_work(profile: &str, check: impl AsyncFnOnce(&Arc<Runs>, &Echo)) {
    let dir = tempfile::tempdir().expect("a directory");
    let (runs, door) = (Runs::new(Some(dir.path())), Echo::default());
    let profile: AgentProfile = serde_json::from_str(profile).expect("a profile");
    runs.put_profile(profile).await.expect("kept");
    tokio::select! {
        () = runs.work(&door) => panic!("the work never ends"),
        () = check(&runs, &door) => {}
    }
}

async fn begin(runs: &Arc<Runs>, input: &str) -> RunId {
    runs.start(NewRun::new("lab", input, RunMode::Detached)).await.expect("started")
}

async fn end_of(runs: &Arc<Runs>, id: &RunId) -> AgentRun {
    runs.wait(id).await.expect("read").expect("there")
}

#[tokio::test]
async fn what_is_pushed_in_the_instant_in_which_a_run_ends_is_said_or_refused() {
    let check = async |runs: &Arc<Runs>, door: &Echo| {
        let (mut said, mut refused) = (0, 0);
        for number in 0..300 {
            let id = begin(runs, "first").await;
            for _ in 0..number % 9 {
                tokio::task::yield_now().await;
            }
            let words = format!("MORE {number} ");
            let pushed = runs.push(&id, &words).await.expect("asked");
            let run = end_of(runs, &id).await;
            assert_eq!(run.status, RunStatus::Completed);
            match pushed {
                PushedInput::Waits(_) => {
                    assert!(door.was_told(&words) && run.result.expect("an answer").contains(&words));
                    said += 1;
                }
                PushedInput::Over => {
                    assert!(!door.was_told(&words));
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(said + refused, 300);
    };
    with_work(r#"{"id":"lab","model":"m"}"#, check).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_in_the_instant_in_which_it_ends_ends_once() {
    let check = async |runs: &Arc<Runs>, _: &Echo| {
        let mut ends = runs.ends();
        for number in 0..100 {
            let id = begin(runs, "first").await;
            for _ in 0..number % 9 {
                tokio::task::yield_now().await;
            }
            let cancelled = runs.cancel(&id).await.expect("asked").expect("there");
            let run = end_of(runs, &id).await;
            assert_eq!(cancelled.status, run.status);
            assert!(matches!(run.status, RunStatus::Cancelled | RunStatus::Completed));
            let end = ends.recv().await.expect("told");
            assert_eq!((&end.id, end.status), (&id, run.status));
            assert!(ends.try_recv().is_err(), "it ends once");
            let events = runs.with_store(move |store| store.events(&id)).await.expect("read").expect("kept");
            assert!(String::from_utf8(events).expect("text").contains(run.status.name()));
        }
        assert_eq!(runs.live_count(), 0);
    };
    with_work(r#"{"id":"lab","model":"m"}"#, check).await;
}

#[tokio::test]
async fn messages_are_delivered_only_by_a_run_whose_model_began_to_answer() {
    let check = async |runs: &Arc<Runs>, door: &Echo| {
        let message = NewMessage { from: "anna".to_owned(), to: "lab".to_owned(), body: "RED".to_owned() };
        runs.with_store(move |store| store.send(&message, 9, 1)).await.expect("kept");
        let unread = async || runs.with_store(|store| store.unread()).await.expect("read").len();
        let id = begin(runs, "FAIL").await;
        let failed = end_of(runs, &id).await;
        assert_eq!(failed.error.expect("an error").code, "rate_limit_exceeded");
        assert!(door.was_told("RED") && unread().await == 1);
        let id = begin(runs, "again").await;
        assert_eq!(end_of(runs, &id).await.result.as_deref(), Some("Message 1 from anna:\nRED\n\nagain"));
        assert_eq!(unread().await, 0);
        assert_eq!(runs.cleanup_expired(u64::MAX).await.expect("cleaned"), 3, "two runs and a message");
        assert!(runs.run(&id).await.expect("read").is_none());
    };
    with_work(r#"{"id":"lab","model":"m","inbox":true,"archive":true}"#, check).await;
}
