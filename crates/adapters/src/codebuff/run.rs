//! The calls around a chat request: a run that is begun and always finished, and a session that is kept while it lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gates::{self, ApiCall, classify};
use crate::clock;
use crate::drive::StreamGuard;
use crate::endpoint_client::EndpointClient;
use crate::errors::{self, ErrorContext};
use crate::prepared_request::Headers;
use crate::sync::lock;

/// How long beginning may take.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long finishing may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest life of a session, and how long before its end it is not used any more.
const MAX_SESSION_LIFE: Duration = Duration::from_secs(3600);
const SESSION_MARGIN: Duration = Duration::from_secs(60);
/// How often a queued session is asked about, and for how long.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
const MAX_POLLS: usize = 12;

/// A run that was begun. Dropping it finishes it, however the answer ended.
pub(super) struct Run {
    pub(super) id: String,
    client: Arc<EndpointClient>,
    headers: Headers,
    status: &'static str,
}

impl Run {
    /// Begins a run of an agent. It is begun to the end also when nobody waits for it any more: only a run whose name is known
    /// can be finished.
    pub(super) async fn start(
        client: &Arc<EndpointClient>,
        headers: &Headers,
        agent: &'static str,
        model: &'static str,
    ) -> Result<Self, Failure> {
        let (client, headers) = (Arc::clone(client), headers.clone());
        let name = client.name.clone();
        let beginning = tokio::spawn(async move { Self::begin(client, headers, agent, model).await });
        let stopped =
            |_| Failure::new(FailureKind::ShuttingDown, format!("{name}: the run could not be begun"));
        beginning.await.map_err(stopped)?
    }

    async fn begin(
        client: Arc<EndpointClient>,
        headers: Headers,
        agent: &str,
        model: &str,
    ) -> Result<Self, Failure> {
        let url = format!("{}/api/v1/agent-runs", client.base_url);
        let body = json!({ "action": "START", "agentId": agent, "ancestorRunIds": [] });
        let (status, answer) =
            client.call(&url, &headers, Some(body.to_string().into()), START_TIMEOUT).await?;
        let value = parse_accepted(&client, ApiCall::Start, status, &answer, model)?;
        let id = value.get("runId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| {
            Failure::new(FailureKind::UpstreamError, format!("{}: the provider began no run", client.name))
        })?;
        Ok(Self { id: id.to_owned(), client, headers, status: "cancelled" })
    }

    /// The request failed.
    pub(super) fn failed(&mut self) {
        self.status = "failed";
    }
}

impl StreamGuard for Run {
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
        let (client, headers) = (Arc::clone(&self.client), self.headers.clone());
        runtime.spawn(async move {
            let url = format!("{}/api/v1/agent-runs", client.base_url);
            // A run that is not finished ends by itself; nobody could do anything about it here.
            let _ = client.call(&url, &headers, Some(body.to_string().into()), FINISH_TIMEOUT).await;
        });
    }
}

/// A session: its name, where the server has sessions at all, and the end of its use.
type Session = Option<(Option<String>, Instant)>;
/// One for each account and model.
type SessionMap = HashMap<(String, &'static str), Arc<tokio::sync::Mutex<Session>>>;

/// The sessions of all accounts and models.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: Mutex<SessionMap>,
}

impl Sessions {
    /// The session of this account for this model, begun if there is none. `None` where the server has no sessions.
    ///
    /// Turns of one account that come at once begin one session: each new one throws the one before it out.
    pub(super) async fn get(
        &self,
        client: &EndpointClient,
        headers: &Headers,
        account: &str,
        model: &'static str,
    ) -> Result<Option<String>, Failure> {
        let slot = self.slot(account, model);
        let mut session = slot.lock().await;
        if let Some((instance, until)) = &*session
            && *until > clock::now()
        {
            return Ok(instance.clone());
        }
        let (instance, left) = begin_session(client, headers, model).await?;
        *session = Some((
            instance.clone(),
            clock::now() + left.min(MAX_SESSION_LIFE).saturating_sub(SESSION_MARGIN),
        ));
        Ok(instance)
    }

    /// The session is over, unless another one has been begun since.
    pub(super) async fn forget(&self, account: &str, model: &'static str, over: Option<&str>) {
        let slot = self.slot(account, model);
        let mut session = slot.lock().await;
        if session.as_ref().is_some_and(|(instance, _)| instance.as_deref() == over) {
            *session = None;
        }
    }

    fn slot(&self, account: &str, model: &'static str) -> Arc<tokio::sync::Mutex<Session>> {
        let mut sessions = lock(&self.sessions);
        Arc::clone(sessions.entry((account.to_owned(), model)).or_default())
    }
}

/// Begins a session and waits in the queue, if there is one. The session's name and how long it lives.
async fn begin_session(
    client: &EndpointClient,
    headers: &Headers,
    model: &str,
) -> Result<(Option<String>, Duration), Failure> {
    let url = format!("{}/api/v1/freebuff/session", client.base_url);
    let (mut status, mut answer) = client.call(&url, headers, Some("{}".into()), START_TIMEOUT).await?;
    if matches!(status, 404 | 405) {
        // Newer servers admit at another address.
        (status, answer) =
            client.call(&format!("{url}/admission"), headers, Some("{}".into()), START_TIMEOUT).await?;
    }
    for poll in 0..=MAX_POLLS {
        let session = parse_accepted(client, ApiCall::Session, status, &answer, model)?;
        let state = session.get("status").and_then(Value::as_str).unwrap_or_default();
        if let Some(status) = gates::refusal(state) {
            return Err(refused(client, ApiCall::Session, status, &answer, model));
        }
        if state != "queued" {
            let instance = session.get("instanceId").and_then(Value::as_str).map(str::to_owned);
            let left = session.get("remainingMs").and_then(Value::as_u64);
            return Ok((instance, left.map_or(MAX_SESSION_LIFE, Duration::from_millis)));
        }
        if poll < MAX_POLLS {
            tokio::time::sleep(POLL_INTERVAL).await;
            (status, answer) = client.call(&url, headers, None, START_TIMEOUT).await?;
        }
    }
    let message = format!("{}: the provider's waiting room is full; try again in a while", client.name);
    Err(Failure {
        retry_after: Some(SESSION_MARGIN),
        ..Failure::new(FailureKind::ConcurrencyLimited, message)
    })
}

fn parse_accepted(
    client: &EndpointClient,
    call: ApiCall,
    status: u16,
    body: &[u8],
    model: &str,
) -> Result<Value, Failure> {
    if !(200..300).contains(&status) {
        return Err(refused(client, call, status, body, model));
    }
    Ok(serde_json::from_slice(body).unwrap_or_default())
}

/// The failure of a refused call.
fn refused(client: &EndpointClient, call: ApiCall, status: u16, body: &[u8], model: &str) -> Failure {
    let wait = errors::retry_after(None, body, clock::unix_now());
    classify(call, &ErrorContext::new(status, body, &client.name, model).with_retry_after(wait))
}
