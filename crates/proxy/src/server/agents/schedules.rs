//! `/v1/agents/schedules`.

use bytes::Bytes;
use hyper::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::runs::not_started;
use super::{bad, document, read, unavailable, unknown};
use crate::agents::schedule::{AgentSchedule, NewSchedule, ScheduleId};
use crate::agents::schedules::{ScheduleRefusal, Schedules};
use crate::clock;
use crate::clockwork::job::JobReport;
use crate::clockwork::moment::Moment;
use crate::clockwork::runner::Clockwork;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::server::api::query::Query;

/// The body that pauses a schedule, or has it go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

/// All schedules; with `system=true` the jobs of the proxy itself.
pub(super) async fn list(
    schedules: &Schedules,
    clockwork: &Clockwork,
    query: &Query<'_>,
) -> Result<Response<Reply>, Refusal> {
    let data: Vec<Value> = if query.get("system") == Some("true") {
        clockwork.report().iter().map(job).collect()
    } else {
        let all = schedules.list().await.map_err(|error| unavailable(&error))?;
        all.iter().map(shown).collect()
    };
    Ok(document(200, &json!({ "object": "list", "data": data, "has_more": false })))
}

pub(super) async fn add(schedules: &Schedules, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let new: NewSchedule = read(body)?;
    let random = getrandom::u64().map_err(|error| {
        Refusal::new(500, "server_error", "no_randomness").message(format!("no name could be drawn: {error}"))
    })?;
    let made = schedules.add(ScheduleId::new(random), new, now()).await;
    Ok(document(201, &shown(&made.map_err(|error| refused(error, ""))?)))
}

pub(super) async fn show(schedules: &Schedules, id: &str) -> Result<Response<Reply>, Refusal> {
    let schedule = schedules.get(&named(id)?).await.map_err(|error| refused(error, id))?;
    Ok(document(200, &shown(&schedule)))
}

pub(super) async fn switch(
    schedules: &Schedules,
    id: &str,
    body: &Bytes,
) -> Result<Response<Reply>, Refusal> {
    let Switch { enabled } = read(body)?;
    let switched = schedules.switch(&named(id)?, enabled, now()).await;
    Ok(document(200, &shown(&switched.map_err(|error| refused(error, id))?)))
}

pub(super) async fn delete(schedules: &Schedules, id: &str) -> Result<Response<Reply>, Refusal> {
    schedules.delete(&named(id)?).await.map_err(|error| refused(error, id))?;
    Ok(document(200, &json!({ "id": id, "deleted": true })))
}

/// 202 with the run.
pub(super) async fn run(schedules: &Schedules, id: &str) -> Result<Response<Reply>, Refusal> {
    let began = schedules.run_now(&named(id)?, now()).await;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clockwork::runner::{FirstRun, JobPlan};
    use crate::server::agents::tests::{agents, answered};

    fn body(value: &Value) -> Bytes {
        value.to_string().into()
    }

    #[tokio::test]
    async fn a_schedule_is_made_shown_switched_run_and_deleted() {
        let (_dir, agents) = agents().await;
        let (schedules, clockwork) = (Schedules::new(Arc::clone(&agents)), Clockwork::default());
        let new = json!({ "profile": "lab", "input": "look", "every": "2h" });
        let (status, made) = answered(add(&schedules, &body(&new)).await).await;
        assert_eq!((status, &made["every"], &made["enabled"]), (201, &json!("2h"), &json!(true)), "{made}");
        assert!(made["next_run_at"].is_u64(), "{made}");
        let id = made["id"].as_str().expect("a name");
        let all = list(&schedules, &clockwork, &Query::read("")).await;
        assert_eq!(answered(all).await.1["data"], json!([made]));
        let (_, paused) = answered(switch(&schedules, id, &body(&json!({ "enabled": false }))).await).await;
        assert_eq!((&paused["enabled"], &paused["next_run_at"]), (&json!(false), &Value::Null));
        let (status, began) = answered(run(&schedules, id).await).await;
        assert_eq!((status, &began["schedule"]), (202, &json!(id)), "{began}");
        assert_eq!(answered(run(&schedules, id).await).await, (409, json!("conflict")), "it still works");
        let (_, shown) = answered(show(&schedules, id).await).await;
        assert_eq!((&shown["last_run"], &shown["last_status"]), (&began["id"], &json!("running")), "{shown}");
        assert_eq!(answered(delete(&schedules, id).await).await.0, 200);
        for gone in [show(&schedules, id).await, delete(&schedules, "x").await, run(&schedules, id).await] {
            assert_eq!(answered(gone).await, (404, json!("not_found")));
        }
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let (_dir, agents) = agents().await;
        let schedules = Schedules::new(agents);
        for (new, wanted) in [
            (json!({ "profile": "lab", "input": "x", "every": "0s" }), (400, "invalid_value")),
            (json!({ "profile": "lab", "input": "x" }), (400, "invalid_value")),
            (json!({ "profile": "lab", "input": "x", "cron": "often" }), (400, "invalid_value")),
            (json!({ "profile": "nobody", "input": "x", "every": "1h" }), (404, "profile_not_found")),
            (json!([]), (400, "invalid_value")),
        ] {
            let (status, code) = answered(add(&schedules, &body(&new)).await).await;
            assert_eq!((status, code), (wanted.0, json!(wanted.1)), "{new}");
        }
    }

    #[tokio::test]
    async fn jobs_of_the_proxy_are_told_in_the_words_of_a_schedule() {
        let (_dir, agents) = agents().await;
        let clockwork = Clockwork::default();
        let first = FirstRun::AfterPeriod;
        let plan = JobPlan { name: "trim", what: "rows are deleted", period: Duration::from_secs(60), first };
        clockwork.add(plan, || std::future::ready(Ok(())));
        let all = list(&Schedules::new(agents), &clockwork, &Query::read("system=true")).await;
        let job = answered(all).await.1["data"][0].clone();
        assert_eq!(
            (&job["id"], &job["every_ms"], &job["last_status"]),
            (&json!("trim"), &json!(60_000), &json!("waiting"))
        );
        assert_eq!((&job["last_run_at"], &job["run_count"]), (&Value::Null, &json!(0)));
    }
}
