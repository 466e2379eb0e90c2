//! Codebuff upstreams: Chat Completions, with a run around each request and a session for each account and model.

mod gates;
mod models;
mod run;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Map, Value, json};

pub use self::models::{MODELS, agent};

use self::gates::{ApiCall, Gate, classify, gate};
use self::run::{Run, Sessions};
use crate::chat::Chat;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::{EndpointClient, ErrorResponse, OpenResult, SendError};
use crate::prepared_request::{Headers, PreparedRequest, TurnInput};

/// The least limit on tokens this provider is asked for.
pub const LEAST_TOKENS: u64 = 64_000;
/// What the provider says when it wants a model's earlier thoughts, in lower case.
const THOUGHT_WORDINGS: [&str; 3] = ["reasoning_content", "thinking mode", "must be passed back"];

/// One Codebuff endpoint.
pub struct Codebuff {
    /// Where it is: `https://host`; its chat path is below `/api/v1`.
    client: Arc<EndpointClient>,
    chat: Chat,
    sessions: Sessions,
    /// The same for the life of the process.
    client_id: String,
}

impl Codebuff {
    /// An endpoint at this link, whose chat side is `chat` with the same connections.
    pub fn new(client: Arc<EndpointClient>, chat: Chat) -> Self {
        let mut seed = [0u8; 8];
        // Without randomness the name is merely less unique.
        let _ = getrandom::fill(&mut seed);
        Self { client, chat, sessions: Sessions::default(), client_id: base36(u64::from_le_bytes(seed)) }
    }

    /// Translates the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        // The body gets fields of its own: nothing goes through as the client wrote it.
        self.chat.prepare(&TurnInput { client_request: None, ..*input })
    }

    /// Begins a run and sends the turn in it. The run is finished when the stream is over or dropped.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let name = &self.client.name;
        let credential = credential.ok_or_else(|| {
            let message = format!("{name}: no account is logged in; run `latimer login codebuff`");
            Failure::new(FailureKind::Unauthorized, message)
        })?;
        let (model, agent) = agent(&prepared.model).ok_or_else(|| {
            let known: Vec<&str> = MODELS.iter().map(|(model, _)| *model).collect();
            let message = format!(
                "{name}: there is no free model `{}`; there are: {}",
                prepared.model,
                known.join(", ")
            );
            Failure::new(FailureKind::ModelNotFound, message)
        })?;
        let mut headers = self.client.headers("application/json", &[]);
        headers.push(self.client.bearer(&credential.secret)?);
        // The second is the newer servers' name of it.
        for name in ["x-codebuff-model", "x-freebuff-model"] {
            headers.push((HeaderName::from_static(name), HeaderValue::from_static(model)));
        }
        let mut body = prepared.body.to_vec();
        let (mut readmitted, mut stripped) = (false, false);
        loop {
            let (run, session) = tokio::join!(
                Run::start(&self.client, &headers, agent, model),
                self.sessions.get(&self.client, &headers, &credential.id, model),
            );
            let mut run = run?;
            let session = session.inspect_err(|_| run.failed())?;
            let refusal = match self.send(prepared, &headers, &body, &run.id, session.as_deref()).await {
                Ok(stream) => return Ok(stream.guarded_by(Box::new(run))),
                Err(SendError::Response(refusal)) => refusal,
                Err(SendError::Failure(failure)) => {
                    run.failed();
                    return Err(failure.into());
                }
            };
            run.failed();
            let gate = gate(refusal.status, &refusal.body);
            if matches!(gate, Some(Gate::Readmit | Gate::Forget)) {
                self.sessions.forget(&credential.id, model, session.as_deref()).await;
            }
            if gate == Some(Gate::Readmit) && !readmitted {
                readmitted = true;
                continue;
            }
            if !stripped && wants_thoughts(&refusal) {
                stripped = true;
                body = without_thoughts(&body);
                continue;
            }
            let failure = classify(ApiCall::Chat, &self.client.error_context(&refusal, model));
            return Err(self.client.open_error(failure, &refusal, prepared));
        }
    }

    async fn send(
        &self,
        prepared: &PreparedRequest,
        headers: &Headers,
        body: &[u8],
        run: &str,
        session: Option<&str>,
    ) -> Result<TurnStream, SendError> {
        let mut metadata = json!({ "run_id": run, "cost_mode": "free", "client_id": self.client_id });
        let mut headers = headers.clone();
        if let Some(session) = session {
            if let Some(fields) = metadata.as_object_mut() {
                fields.insert("freebuff_instance_id".to_owned(), Value::from(session));
            }
            let value = HeaderValue::from_str(session).ok();
            headers.extend(value.map(|value| (HeaderName::from_static("x-codebuff-instance-id"), value)));
        }
        // The body is an object that is not empty: the field goes to its front without writing it again.
        let mut out = format!("{{\"codebuff_metadata\":{metadata},").into_bytes();
        out.extend_from_slice(body.get(1..).unwrap_or_default());
        let (head, reader) = (self.chat.head(headers), self.chat.reader(prepared));
        self.client.open_stream(prepared.protocol, &head, out.into(), reader).await
    }
}

fn wants_thoughts(refusal: &ErrorResponse) -> bool {
    let lower = String::from_utf8_lossy(&refusal.body).to_ascii_lowercase();
    refusal.status == 400 && THOUGHT_WORDINGS.iter().any(|words| lower.contains(words))
}

/// The request without any thoughts, and with thinking switched off.
fn without_thoughts(body: &[u8]) -> Vec<u8> {
    let mut request: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    for message in request.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|name, _| !name.starts_with("reasoning"));
        }
    }
    request.retain(|name, _| name != "reasoning_effort");
    request.insert("thinking".to_owned(), json!({ "type": "disabled" }));
    Value::Object(request).to_string().into_bytes()
}

/// Thirteen letters and digits.
fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let digit = |_| {
        let digit = DIGITS.get((number % 36) as usize).copied().unwrap_or(b'0');
        number /= 36;
        char::from(digit)
    };
    (0..13).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_taken_out() {
        let body = br#"{"model":"m","messages":[{"role":"assistant","content":"x","reasoning_content":"t"}],"reasoning_effort":"high"}"#;
        let value: Value = serde_json::from_slice(&without_thoughts(body)).expect("JSON");
        assert_eq!(
            value,
            json!({ "model": "m", "messages": [{ "role": "assistant", "content": "x" }], "thinking": { "type": "disabled" } })
        );
        assert_eq!(base36(u64::MAX).len(), 13);
    }
}
