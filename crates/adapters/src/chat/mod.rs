//! Chat Completions upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own chunks where nothing has to be changed ([`pass`], [`tap`]).

mod calls;
pub mod pass;
pub mod quirks;
pub mod request;
pub mod stream;
pub mod tap;
mod think;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{Owner, TurnRequest};

use self::quirks::Quirks;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::{EndpointClient, Headers, Refusal, Refused};
use crate::limitation::Limitations;
use crate::names::Names;
use crate::prepared::{PreparedRequest, Raw, WireProtocol};
use crate::reader::Context;

/// One Chat Completions endpoint.
pub struct Chat {
    /// Where it is: `https://host/v1`, without `/chat/completions`.
    pub link: Arc<EndpointClient>,
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
        raw: Option<&Raw>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        let owner = Owner::new(&self.link.provider, &turn.model);
        // What an endpoint taught is only known to the translation.
        let raw = raw.filter(|raw| raw.wire == WireProtocol::Chat && limitations.is_empty());
        let lowered = raw.and_then(|raw| pass::lower(&raw.body, turn, &self.quirks));
        let passes = lowered.is_some();
        let written = request::write(turn, &self.quirks.after(limitations), &owner);
        let session =
            self.quirks.session_header.zip(turn.conversation.as_deref()).and_then(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            });
        let (body, names, notes) = match lowered {
            Some(body) => (body, Names::default(), Vec::new()),
            None => (written.body, written.names, written.notes),
        };
        PreparedRequest {
            wire: WireProtocol::Chat,
            passes,
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
    ) -> Result<TurnStream, Refused> {
        let mut headers = self.link.headers("text/event-stream", &prepared.headers);
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.link.bearer(&credential.secret)?);
        }
        match self.send(prepared, headers, prepared.body.clone()).await? {
            Ok(stream) => Ok(stream),
            Err(refusal) => Err(self.link.refused(&refusal, prepared)),
        }
    }

    /// Sends a body with these headers; what stands in it besides the turn is the caller's affair.
    pub(crate) async fn send(
        &self,
        prepared: &PreparedRequest,
        headers: Headers,
        body: Bytes,
    ) -> Result<Result<TurnStream, Refusal>, Failure> {
        let url = format!("{}{}/chat/completions", self.link.base_url, self.path);
        let answer = match self.link.post(&url, &headers, body).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let context = Context::of(prepared, &self.link.name);
        let reader: Box<dyn crate::reader::Reader> = if prepared.passes {
            Box::new(tap::PassthroughReader::new(context))
        } else {
            Box::new(stream::Reader::new(context))
        };
        Ok(Ok(TurnStream::detect(answer.body, reader, self.link.limits())))
    }
}
