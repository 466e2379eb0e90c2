//! `/v1/agents/runs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use serde::Deserialize;
use serde_json::json;

use super::{bad, document, list as list_of, page, read, unavailable, unknown};
use crate::agents::names::{RunId, read_seconds};
use crate::agents::profile::{Cleanup, MAX_TIMEOUT};
use crate::agents::run::{AgentRun, MAX_INPUT, NewRun, RunMode, RunStatus};
use crate::agents::runs::{Runs, StartError};
use crate::agents::store::{PushedInput, RunQuery};
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::server::api::query::Query;

const REMEDY: &str = "GET /v1/agents/runs lists them";
/// The longest that a request for a run waits for its end, in seconds.
const MAX_WAIT: u64 = 60;
/// When to ask again where too many runs wait, in seconds.
const RETRY_AFTER: u64 = 10;

/// The body that begins a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    profile: String,
    input: String,
    #[serde(default)]
    timeout: Option<Time>,
    #[serde(default)]
    cleanup: Option<Cleanup>,
    #[serde(default)]
    parent: Option<RunId>,
    #[serde(default)]
    wait: bool,
}

/// A length of time.
#[derive(Deserialize)]
struct Time(#[serde(deserialize_with = "read_seconds")] u64);

impl Time {
    fn seconds(&self) -> Result<u64, Refusal> {
        if (1..=MAX_TIMEOUT).contains(&self.0) {
            return Ok(self.0);
        }
        Err(bad(
            "invalid_value",
            format!("`timeout` is 1 to {MAX_TIMEOUT} seconds, or such as `30s`, `10m`, `2h`"),
        ))
    }
}

/// More words for a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    text: String,
}

/// The run that a path names.
pub(super) fn named(id: &str) -> Result<RunId, Refusal> {
    RunId::read(id).ok_or_else(|| unknown("run", id, REMEDY))
}

pub(super) async fn start(agents: &Arc<Runs>, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let Start { profile, input, timeout, cleanup, parent, wait } = read(body)?;
    let timeout = timeout.map(|time| time.seconds()).transpose()?;
    let mode = if wait { RunMode::Waited } else { RunMode::Detached };
    let new = NewRun { timeout, cleanup, parent, ..NewRun::new(profile, input, mode) };
    let id = agents.start(new).await.map_err(not_started)?;
    if !wait {
        return Ok(document(202, &json!({ "id": id, "status": RunStatus::Queued })));
    }
    let run = agents.wait(&id).await.map_err(|error| unavailable(&error))?;
    shown(run, id.as_str())
}

pub(super) fn not_started(error: StartError) -> Refusal {
    let words = error.to_string();
    match error {
        StartError::UnknownProfile(_) => Refusal::invalid(404, "profile_not_found").message(words),
        StartError::Input(size) if size <= MAX_INPUT => bad("invalid_value", words),
        StartError::Input(_) => Refusal::invalid(413, "input_too_large").message(words),
        StartError::Full => Refusal {
            retry_after: Some(RETRY_AFTER),
            ..Refusal::new(429, "rate_limit_error", "concurrency_limited").message(words)
        },
        StartError::Store(error) => unavailable(&error),
    }
}

fn shown(run: Option<AgentRun>, id: &str) -> Result<Response<Reply>, Refusal> {
    run.map(|run| document(200, &json!(run))).ok_or_else(|| unknown("run", id, REMEDY))
}

pub(super) async fn list(agents: &Arc<Runs>, query: &Query<'_>) -> Result<Response<Reply>, Refusal> {
    let status = match query.get("status") {
        Some(word) => Some(RunStatus::of(word).ok_or_else(|| {
            let names: Vec<&str> = RunStatus::ALL.iter().map(|status| status.name()).collect();
            bad("invalid_value", format!("`status` is one of {}", names.join(", ")))
        })?),
        None => None,
    };
    let limit = page(query)?;
    let wanted = RunQuery {
        profile: query.get("profile").map(str::to_owned),
        status,
        schedule: query.get("schedule").map(str::to_owned),
        after: query.get("after").map(named).transpose()?,
        limit: limit + 1,
    };
    let runs = agents.with_store(move |store| store.runs(&wanted)).await;
    Ok(list_of(runs.map_err(|error| unavailable(&error))?, limit))
}

/// With `?wait=SECONDS` the answer comes when the run is over, or then.
pub(super) async fn show(
    agents: &Arc<Runs>,
    id: &str,
    query: &Query<'_>,
) -> Result<Response<Reply>, Refusal> {
    let name = named(id)?;
    let wait: Option<u64> = query.number("wait")?;
    if let Some(seconds) = wait {
        let limit = Duration::from_secs(seconds.min(MAX_WAIT));
        let waited = tokio::time::timeout(limit, agents.wait(&name)).await;
        if let Ok(run) = waited {
            return shown(run.map_err(|error| unavailable(&error))?, id);
        }
    }
    shown(agents.run(&name).await.map_err(|error| unavailable(&error))?, id)
}

pub(super) async fn delete(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    let name = named(id)?;
    let deleted = agents
        .with_store(move |store| Ok((store.delete_run(&name)?, store.run(&name)?)))
        .await
        .map_err(|error| unavailable(&error))?;
    match deleted {
        (true, _) => Ok(document(200, &json!({ "id": id, "deleted": true }))),
        (false, Some(_)) => Err(Refusal::invalid(409, "run_not_over").message(format!(
            "the run `{id}` is not over; cancel it first (POST /v1/agents/runs/{id}/cancel)"
        ))),
        (false, None) => Err(unknown("run", id, REMEDY)),
    }
}

pub(super) async fn push(agents: &Arc<Runs>, id: &str, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let name = named(id)?;
    let Push { text } = read(body)?;
    push_text(agents, &name, &text).await
}

/// More words for a run: 202, or why it does not get them.
pub(super) async fn push_text(
    agents: &Arc<Runs>,
    id: &RunId,
    text: &str,
) -> Result<Response<Reply>, Refusal> {
    if text.trim().is_empty() {
        return Err(bad("invalid_value", "`text` is empty"));
    }
    if text.len() > MAX_INPUT {
        let words = format!("`text` has {} bytes, and at most {MAX_INPUT} are taken", text.len());
        return Err(Refusal::invalid(413, "input_too_large").message(words));
    }
    match agents.push(id, text).await.map_err(|error| unavailable(&error))? {
        PushedInput::Waits(number) => Ok(document(202, &json!({ "run": id, "number": number }))),
        PushedInput::Full => Err(Refusal {
            retry_after: Some(RETRY_AFTER),
            ..Refusal::new(429, "rate_limit_error", "concurrency_limited").message(format!(
                "too much waits for the run `{id}` already; try again when its turn is over"
            ))
        }),
        PushedInput::Over => Err(Refusal::invalid(409, "run_is_over")
            .message(format!("the run `{id}` is over, and takes nothing more; begin another one"))),
        PushedInput::Unknown => Err(unknown("run", id.as_str(), REMEDY)),
    }
}

pub(super) async fn cancel(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    let name = named(id)?;
    shown(agents.cancel(&name).await.map_err(|error| unavailable(&error))?, id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::runs::MAX_QUEUED;
    use crate::server::agents::tests::{agents, answered, queued};

    fn body(value: &serde_json::Value) -> Bytes {
        value.to_string().into()
    }

    #[tokio::test]
    async fn one_run_too_many_is_told_to_come_back() {
        let (_dir, agents) = agents().await;
        let new = body(&json!({ "profile": "lab", "input": "x" }));
        for _ in 0..MAX_QUEUED {
            assert_eq!(answered(start(&agents, &new).await).await.0, 202);
        }
        let refusal = start(&agents, &new).await.err().expect("full");
        assert_eq!(
            (refusal.status, refusal.code, refusal.retry_after),
            (429, "concurrency_limited", Some(RETRY_AFTER))
        );
        assert_eq!(agents.live_count() as u64, MAX_QUEUED, "nothing of it is left");
        let (_, page) = answered(list(&agents, &Query::read("limit=2&status=queued")).await).await;
        assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(2), &json!(true)));
    }

    #[tokio::test]
    async fn a_run_is_told_more_until_it_is_over_and_then_forgotten() {
        let (_dir, agents) = agents().await;
        let id = queued(&agents).await;
        let more = body(&json!({ "text": "more" }));
        assert_eq!(answered(push(&agents, &id, &more).await).await.0, 202);
        assert_eq!(answered(push(&agents, &id, &body(&json!({ "text": " " }))).await).await.0, 400);
        assert_eq!(answered(delete(&agents, &id).await).await, (409, json!("run_not_over")));
        let (_, waited) = answered(show(&agents, &id, &Query::read("wait=0")).await).await;
        assert_eq!(waited["status"], "queued");
        assert_eq!(answered(cancel(&agents, &id).await).await.1["status"], "cancelled");
        assert_eq!(answered(push(&agents, &id, &more).await).await, (409, json!("run_is_over")));
        let (_, over) = answered(show(&agents, &id, &Query::read("wait=60")).await).await;
        assert_eq!(over["error"]["code"], "cancelled", "{over}");
        assert_eq!(answered(delete(&agents, &id).await).await.0, 200);
        assert_eq!(answered(push(&agents, &id, &more).await).await, (404, json!("not_found")));
        assert_eq!(answered(cancel(&agents, "no name").await).await.0, 404);
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_refused() {
        let (_dir, agents) = agents().await;
        for (new, wanted) in [
            (json!({ "profile": "nobody", "input": "x" }), 404),
            (json!({ "profile": "lab", "input": "" }), 400),
            (json!({ "profile": "lab", "input": "x".repeat(MAX_INPUT + 1) }), 413),
            (json!({ "profile": "lab", "input": "x", "timeout": "8d" }), 400),
            (json!({ "profile": "lab", "input": "x", "timeout": "1m", "cleanup": "keep" }), 202),
        ] {
            assert_eq!(answered(start(&agents, &body(&new)).await).await.0, wanted);
        }
        assert_eq!(answered(list(&agents, &Query::read("status=lost")).await).await.0, 400);
        let (_, listed) = answered(list(&agents, &Query::read("profile=lab")).await).await;
        assert_eq!(
            (&listed["data"][0]["timeout"], &listed["data"][0]["cleanup"]),
            (&json!(60), &json!("keep"))
        );
    }
}
