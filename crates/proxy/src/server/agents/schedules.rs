//! `/v1/agents/schedules`.

use bytes::Bytes;
use hyper::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::runs::not_started;
use super::{bad, document, read, unavailable, unknown};
use crate::agents::schedule::{AgentSchedule, NewSchedule, ScheduleId};
use crate::agents::schedules::ScheduleRefusal;
use crate::clock;
use crate::clockwork::job::JobReport;
use crate::clockwork::moment::Moment;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::server::api::query::Query;
use crate::server::proxy::Proxy;

/// The body that pauses a schedule, or has it go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

/// All schedules; with `system=true` the jobs of the proxy itself.
pub(super) async fn list(proxy: &Proxy, query: &Query<'_>) -> Result<Response<Reply>, Refusal> {
    let data: Vec<Value> = if query.get("system") == Some("true") {
        proxy.clockwork.report().iter().map(job).collect()
    } else {
        let schedules = proxy.schedules.list().await.map_err(|error| unavailable(&error))?;
        schedules.iter().map(shown).collect()
    };
    Ok(document(200, &json!({ "object": "list", "data": data, "has_more": false })))
}

pub(super) async fn add(proxy: &Proxy, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let new: NewSchedule = read(body)?;
    let random = getrandom::u64().map_err(|error| {
        Refusal::new(500, "server_error", "no_randomness").message(format!("no name could be drawn: {error}"))
    })?;
    let made = proxy.schedules.add(ScheduleId::new(random), new, now()).await;
    Ok(document(201, &shown(&made.map_err(|error| refused(error, ""))?)))
}

pub(super) async fn show(proxy: &Proxy, id: &str) -> Result<Response<Reply>, Refusal> {
    let schedule = proxy.schedules.get(&named(id)?).await.map_err(|error| refused(error, id))?;
    Ok(document(200, &shown(&schedule)))
}

pub(super) async fn switch(proxy: &Proxy, id: &str, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let Switch { enabled } = read(body)?;
    let switched = proxy.schedules.switch(&named(id)?, enabled, now()).await;
    Ok(document(200, &shown(&switched.map_err(|error| refused(error, id))?)))
}

pub(super) async fn delete(proxy: &Proxy, id: &str) -> Result<Response<Reply>, Refusal> {
    proxy.schedules.delete(&named(id)?).await.map_err(|error| refused(error, id))?;
    Ok(document(200, &json!({ "id": id, "deleted": true })))
}

/// 202 with the run.
pub(super) async fn run(proxy: &Proxy, id: &str) -> Result<Response<Reply>, Refusal> {
    let began = proxy.schedules.run_now(&named(id)?, now()).await;
    let run = began.map_err(|error| refused(error, id))?;
    Ok(document(202, &json!({ "id": run, "status": "queued", "schedule": id })))
}

fn now() -> Moment {
    Moment::from_millis(clock::unix_millis())
}

fn named(id: &str) -> Result<ScheduleId, Refusal> {
    ScheduleId::read(id).ok_or_else(|| refused(ScheduleRefusal::Unknown, id))
}

fn shown(schedule: &AgentSchedule) -> Value {
    let mut value = json!(schedule);
    value["object"] = "agent.schedule".into();
    if !schedule.enabled {
        // It is kept for the step, and nobody should wait for it.
        value["next_run_at"] = Value::Null;
    }
    value
}

/// A job of the proxy, with the words of a schedule.
fn job(job: &JobReport) -> Value {
    json!({
        "object": "system.job",
        "id": job.name,
        "what": job.what,
        "every_ms": u64::try_from(job.period.as_millis()).unwrap_or(u64::MAX),
        "last_run_at": job.last_run.map(Moment::unix),
        "last_status": job.status.word(),
        "last_error": job.status.error(),
        "run_count": job.runs,
        "next_run_at": job.next.unix(),
    })
}

fn refused(error: ScheduleRefusal, id: &str) -> Refusal {
    match error {
        ScheduleRefusal::Unknown => unknown("schedule", id, "GET /v1/agents/schedules lists them"),
        ScheduleRefusal::Store(error) => unavailable(&error),
        ScheduleRefusal::Run(error) => not_started(error),
        ScheduleRefusal::Schedule(error) => bad("invalid_value", error.to_string()),
        error @ ScheduleRefusal::Full => {
            Refusal::new(429, "rate_limit_error", "too_many_schedules").message(error.to_string())
        }
        error @ (ScheduleRefusal::StillRuns(_) | ScheduleRefusal::Claimed | ScheduleRefusal::Over) => {
            Refusal::invalid(409, "conflict").message(error.to_string())
        }
    }
}
