//! Chat Completions upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own chunks where nothing has to be changed ([`rewrite`], [`passthrough_reader`]).

mod calls;
pub mod passthrough_reader;
pub mod quirks;
pub mod request;
pub mod rewrite;
pub mod stream;
mod think;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{Owner, TurnRequest};

use self::quirks::Quirks;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::{EndpointClient, ErrorResponse, Headers, OpenError};
use crate::limitation::Limitations;
use crate::prepared_request::{ClientRequest, PreparedRequest, WireProtocol};
use crate::reader::ReaderContext;
use crate::tool_names::ToolNames;

/// One Chat Completions endpoint.
pub struct Chat {
    /// Where it is: `https://host/v1`, without `/chat/completions`.
    pub client: Arc<EndpointClient>,
    /// What stands between the base and `/chat/completions`; usually nothing.
    pub path: &'static str,
    /// What the provider does differently.
    pub quirks: Quirks,
}

impl Chat {
    /// Makes the turn ready once, for all attempts: as the client wrote it where that is possible, else translated.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        raw: Option<&ClientRequest>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        let owner = Owner::new(&self.client.provider, &turn.model);
        // What an endpoint taught is only known to the translation.
        let raw = raw.filter(|raw| raw.protocol == WireProtocol::Chat && limitations.is_empty());
        let rewritten = raw.and_then(|raw| rewrite::rewrite(&raw.body, turn, &self.quirks));
        let passes = rewritten.is_some();
        let written = request::write(turn, &self.quirks.after(limitations), &owner);
        let session =
            self.quirks.session_header.zip(turn.conversation.as_deref()).and_then(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            });
        let (body, names, notes) = match rewritten {
            Some(body) => (body, ToolNames::default(), Vec::new()),
            None => (written.body, written.names, written.notes),
        };
        PreparedRequest {
            protocol: WireProtocol::Chat,
            is_passthrough: passes,
            body: body.into(),
            model: turn.model.clone(),
            owner,
            names,
            headers: session.into_iter().collect(),
            features: written.features,
            notes,
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    pub async fn open(
        &self,
        prepared: &PreparedRequest,
        credential: Option<&Credential>,
    ) -> Result<TurnStream, OpenError> {
        let mut headers = self.client.headers("text/event-stream", &prepared.headers);
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.client.bearer(&credential.secret)?);
        }
        match self.send(prepared, headers, prepared.body.clone()).await? {
            Ok(stream) => Ok(stream),
            Err(refusal) => Err(self.client.refused(&refusal, prepared)),
        }
    }

    /// Sends a body with these headers; what stands in it besides the turn is the caller's affair.
    pub(crate) async fn send(
        &self,
        prepared: &PreparedRequest,
        headers: Headers,
        body: Bytes,
    ) -> Result<Result<TurnStream, ErrorResponse>, Failure> {
        let url = format!("{}{}/chat/completions", self.client.base_url, self.path);
        let answer = match self.client.post(&url, &headers, body).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let context = ReaderContext::of(prepared, &self.client.name);
        let reader: Box<dyn crate::reader::Reader> = if prepared.is_passthrough {
            Box::new(passthrough_reader::ChatPassthroughReader::new(context))
        } else {
            Box::new(stream::ChatReader::new(context))
        };
        Ok(Ok(TurnStream::detect(answer.body, reader, self.client.limits())))
    }
}
