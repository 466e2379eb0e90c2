//! Anthropic Messages upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own events ([`rewrite`], [`passthrough_reader`]) where nothing has to be changed.

mod blocks;
pub mod errors;
pub mod models;
mod open_block;
pub mod passthrough_reader;
pub mod request;
pub mod rewrite;
pub mod stream;
mod tools;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::{Owner, TurnRequest};

use crate::credential::Credential;
use crate::drive::{Reopen, TurnStream};
use crate::endpoint_client::{EndpointClient, ErrorResponse, Headers, OpenError};
use crate::limitation::{Features, Limitation, Limitations};
use crate::pairing::is_paired;
use crate::prepared_request::{ClientRequest, PreparedRequest, WireProtocol};
use crate::reader::ReaderContext;
use crate::tool_names::ToolNames;

/// The version of the protocol.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
/// Features are asked for in this header, separated by commas.
const BETA: &str = "anthropic-beta";
/// What an access token needs.
const OAUTH_BETA: &str = "oauth-2025-04-20";
/// A larger request is not kept for going on with a paused answer.
const MAX_KEPT_REQUEST: usize = 4 << 20;

/// One Messages endpoint.
pub struct Anthropic {
    /// Where it is: with or without `/v1` at its end.
    pub client: Arc<EndpointClient>,
    /// Keys are sent as `Authorization: Bearer`, as some gateways want it.
    pub bearer_keys: bool,
}

impl Anthropic {
    /// Makes the turn ready, once for all attempts: as the client wrote it where that is possible, else translated.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        raw: Option<&ClientRequest>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        let owner = Owner::new(&self.client.provider, &turn.model);
        // What a server does not take is only left out of a translation, and only that mends a broken history.
        let raw = raw.filter(|raw| {
            raw.protocol == WireProtocol::Anthropic && limitations.is_empty() && is_paired(&turn.items)
        });
        if let Some(raw) = raw
            && let Some(body) = rewrite::rewrite(&raw.body, &turn.model, &owner, &raw.seal)
        {
            return PreparedRequest {
                protocol: WireProtocol::Anthropic,
                is_passthrough: true,
                body: body.into(),
                model: turn.model.clone(),
                owner,
                names: ToolNames::default(),
                headers: raw.headers.iter().filter(|(name, _)| name == BETA).cloned().collect(),
                features: Features::of([Limitation::NoOwnRequests]),
                notes: Vec::new(),
            };
        }
        let written = request::write(turn, &owner, limitations);
        let beta = HeaderValue::try_from(written.betas.join(",")).ok().filter(|value| !value.is_empty());
        PreparedRequest {
            protocol: WireProtocol::Anthropic,
            is_passthrough: false,
            body: written.body.into(),
            model: turn.model.clone(),
            owner,
            names: written.names,
            headers: beta.map(|value| (HeaderName::from_static(BETA), value)).into_iter().collect(),
            features: written.features,
            notes: written.notes,
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    pub async fn open(
        &self,
        prepared: &PreparedRequest,
        credential: Option<&Credential>,
    ) -> Result<TurnStream, OpenError> {
        let headers = self.headers(prepared, credential)?;
        let url = self.url();
        let answer = match self.client.post(&url, &headers, prepared.body.clone()).await? {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.refused(&refusal, prepared)),
        };
        if prepared.is_passthrough {
            let tap = passthrough_reader::MessagesPassthroughReader::new(ReaderContext::of(
                prepared,
                &self.client.name,
            ));
            return Ok(TurnStream::detect(answer.body, Box::new(tap), self.client.limits()));
        }
        let kept = (prepared.body.len() <= MAX_KEPT_REQUEST).then(|| prepared.body.clone());
        let reader = stream::MessagesReader::new(ReaderContext::of(prepared, &self.client.name), kept);
        let stream = TurnStream::detect(answer.body, Box::new(reader), self.client.limits());
        Ok(stream.reopened_by(self.reopen(url, headers, prepared.model.clone())))
    }

    /// Goes on with a paused answer.
    fn reopen(&self, url: String, headers: Headers, model: String) -> Reopen {
        let client = Arc::clone(&self.client);
        Box::new(move |body: Bytes| {
            let (client, url, headers, model) =
                (Arc::clone(&client), url.clone(), headers.clone(), model.clone());
            Box::pin(async move {
                match client.post(&url, &headers, body).await? {
                    Ok(answer) => Ok(answer.body),
                    Err(ErrorResponse { status, body, retry_after }) => {
                        Err(errors::classify(status, retry_after, &body, &client.name, &model))
                    }
                }
            })
        })
    }

    fn url(&self) -> String {
        let base = &self.client.base_url;
        let version = if base.ends_with("/v1") { "" } else { "/v1" };
        format!("{base}{version}/messages")
    }

    fn headers(
        &self,
        prepared: &PreparedRequest,
        credential: Option<&Credential>,
    ) -> Result<Headers, OpenError> {
        let mut headers = self.client.headers("text/event-stream", &prepared.headers);
        headers.push((HeaderName::from_static(VERSION.0), HeaderValue::from_static(VERSION.1)));
        let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) else {
            return Ok(headers);
        };
        if !credential.is_access_token() && !self.bearer_keys {
            let name = HeaderName::from_static("x-api-key");
            headers.push(self.client.secret_header(name, credential.secret.expose().to_owned())?);
            return Ok(headers);
        }
        headers.push(self.client.bearer(&credential.secret)?);
        if credential.is_access_token() {
            let known = headers.iter().position(|(name, _)| name == BETA);
            let others = known.map(|place| headers.remove(place).1);
            let others = others.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            let all = [OAUTH_BETA, others]
                .into_iter()
                .filter(|beta| !beta.is_empty())
                .collect::<Vec<_>>()
                .join(",");
            headers
                .extend(HeaderValue::try_from(all).ok().map(|value| (HeaderName::from_static(BETA), value)));
        }
        Ok(headers)
    }

    fn refused(&self, refusal: &ErrorResponse, prepared: &PreparedRequest) -> OpenError {
        let ErrorResponse { status, body, retry_after } = refusal;
        let failure = errors::classify(*status, *retry_after, body, &self.client.name, &prepared.model);
        self.client.with_limitation(failure, refusal, prepared)
    }
}
