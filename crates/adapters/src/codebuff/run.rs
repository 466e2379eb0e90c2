//! The calls around a chat request: a run that is begun and always finished, and a session that is kept while it lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latimer_protocol::failure::{Failure, Kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gates::{Call, classify};
use crate::drive::Guard;
use crate::errors;
use crate::link::{Headers, Link};

/// How long beginning may take.
const BEGIN: Duration = Duration::from_secs(15);
/// How long finishing may take.
const FINISH: Duration = Duration::from_secs(10);
/// The longest life of a session, and how long before its end it is not used any more.
const LIFE: Duration = Duration::from_secs(3600);
const MARGIN: Duration = Duration::from_secs(60);
/// How often a queued session is asked about, and for how long.
const POLL: Duration = Duration::from_secs(5);
const POLLS: usize = 12;

/// A run that was begun. Dropping it finishes it, however the answer ended.
pub(super) struct Run {
    pub(super) id: String,
    link: Arc<Link>,
    headers: Headers,
    status: &'static str,
}

impl Run {
    /// Begins a run of an agent.
    pub(super) async fn start(
        link: &Arc<Link>,
        headers: &Headers,
        agent: &str,
        model: &str,
    ) -> Result<Self, Failure> {
        let url = format!("{}/api/v1/agent-runs", link.base_url);
        let body = json!({ "action": "START", "agentId": agent, "ancestorRunIds": [] });
        let (status, answer) = link.call(&url, headers, Some(body.to_string().into()), BEGIN).await?;
        let value = accepted(link, Call::Start, status, &answer, model)?;
        let id = value.get("runId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| {
            Failure::new(Kind::UpstreamError, format!("{}: the provider began no run", link.name))
        })?;
        let (link, headers) = (Arc::clone(link), headers.clone());
        Ok(Self { id: id.to_owned(), link, headers, status: "cancelled" })
    }

    /// The request failed.
    pub(super) fn failed(&mut self) {
        self.status = "failed";
    }
}

impl Guard for Run {
    fn ended(&mut self, failed: bool) {
        self.status = if failed { "failed" } else { "completed" };
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let body = json!({
            "action": "FINISH", "runId": self.id, "status": self.status,
            "totalSteps": 1, "directCredits": 0, "totalCredits": 0,
        });
        let (link, headers) = (Arc::clone(&self.link), self.headers.clone());
        runtime.spawn(async move {
            let url = format!("{}/api/v1/agent-runs", link.base_url);
            // A run that is not finished ends by itself; nobody could do anything about it here.
            let _ = link.call(&url, &headers, Some(body.to_string().into()), FINISH).await;
        });
    }
}

/// Account and model to the session's name, where it has one, and the end of its use.
type Known = HashMap<(String, String), (Option<String>, Instant)>;

/// The sessions of all accounts and models.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: Mutex<Known>,
}

impl Sessions {
    /// The session of this account for this model, begun if there is none. `None` where the server has no sessions.
    pub(super) async fn get(
        &self,
        link: &Link,
        headers: &Headers,
        account: &str,
        model: &str,
    ) -> Result<Option<String>, Failure> {
        let key = (account.to_owned(), model.to_owned());
        if let Some((instance, until)) = self.lock().get(&key)
            && *until > Instant::now()
        {
            return Ok(instance.clone());
        }
        let url = format!("{}/api/v1/freebuff/session", link.base_url);
        let (status, answer) = link.call(&url, headers, Some("{}".into()), BEGIN).await?;
        let mut session = accepted(link, Call::Session, status, &answer, model)?;
        for _ in 0..POLLS {
            if session.get("status").and_then(Value::as_str) != Some("queued") {
                break;
            }
            tokio::time::sleep(POLL).await;
            let (status, answer) = link.call(&url, headers, None, BEGIN).await?;
            session = accepted(link, Call::Session, status, &answer, model)?;
        }
        if session.get("status").and_then(Value::as_str) == Some("queued") {
            let message = format!("{}: the provider's waiting room is full; try again in a while", link.name);
            return Err(Failure {
                retry_after: Some(MARGIN),
                ..Failure::new(Kind::ConcurrencyLimited, message)
            });
        }
        let instance = session.get("instanceId").and_then(Value::as_str).map(str::to_owned);
        let left = session.get("remainingMs").and_then(Value::as_u64).map_or(LIFE, Duration::from_millis);
        let until = Instant::now() + left.min(LIFE).saturating_sub(MARGIN);
        self.lock().insert(key, (instance.clone(), until));
        Ok(instance)
    }

    /// The session is over.
    pub(super) fn forget(&self, account: &str, model: &str) {
        self.lock().remove(&(account.to_owned(), model.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted(link: &Link, call: Call, status: u16, body: &[u8], model: &str) -> Result<Value, Failure> {
    if !(200..300).contains(&status) {
        let wait = errors::retry_after(None, body, crate::link::unix_now());
        return Err(classify(call, status, wait, body, &link.name, model));
    }
    Ok(serde_json::from_slice(body).unwrap_or_default())
}
