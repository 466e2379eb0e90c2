//! Anthropic Messages upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own events ([`pass`], [`tap`]) where nothing has to be changed.

mod blocks;
pub mod errors;
pub mod models;
mod open;
pub mod pass;
pub mod request;
pub mod stream;
pub mod tap;
mod tools;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::{Owner, TurnRequest};

use crate::credential::Credential;
use crate::drive::{Reopen, TurnStream};
use crate::endpoint_client::{EndpointClient, Headers, Refusal, Refused};
use crate::limitation::{Features, Limitation, Limitations};
use crate::names::Names;
use crate::pairing::is_paired;
use crate::prepared::{PreparedRequest, Raw, WireProtocol};
use crate::reader::Context;

/// The version of the protocol.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
/// Features are asked for in this header, separated by commas.
const BETA: &str = "anthropic-beta";
/// What an access token needs.
const OAUTH_BETA: &str = "oauth-2025-04-20";
/// A larger request is not kept for going on with a paused answer.
const MOST_KEPT: usize = 4 << 20;

/// One Messages endpoint.
pub struct Anthropic {
    /// Where it is: with or without `/v1` at its end.
    pub link: Arc<EndpointClient>,
    /// Keys are sent as `Authorization: Bearer`, as some gateways want it.
    pub bearer_keys: bool,
}

impl Anthropic {
    /// Makes the turn ready, once for all attempts: as the client wrote it where that is possible, else translated.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        raw: Option<&Raw>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        let owner = Owner::new(&self.link.provider, &turn.model);
        // What a server does not take is only left out of a translation, and only that mends a broken history.
        let raw = raw.filter(|raw| {
            raw.wire == WireProtocol::Anthropic && limitations.is_empty() && is_paired(&turn.items)
        });
        if let Some(raw) = raw
            && let Some(body) = pass::lower(&raw.body, &turn.model, &owner, &raw.seal)
        {
            return PreparedRequest {
                wire: WireProtocol::Anthropic,
                passes: true,
                body: body.into(),
                model: turn.model.clone(),
                owner,
                names: Names::default(),
                headers: raw.headers.iter().filter(|(name, _)| name == BETA).cloned().collect(),
                features: Features::of([Limitation::NoOwnRequests]),
                notes: Vec::new(),
            };
        }
        let written = request::write(turn, &owner, limitations);
        let beta = HeaderValue::try_from(written.betas.join(",")).ok().filter(|value| !value.is_empty());
        PreparedRequest {
            wire: WireProtocol::Anthropic,
            passes: false,
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
    ) -> Result<TurnStream, Refused> {
        let headers = self.headers(prepared, credential)?;
        let url = self.url();
        let answer = match self.link.post(&url, &headers, prepared.body.clone()).await? {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.refused(&refusal, prepared)),
        };
        if prepared.passes {
            let tap = tap::PassthroughReader::new(Context::of(prepared, &self.link.name));
            return Ok(TurnStream::detect(answer.body, Box::new(tap), self.link.limits()));
        }
        let kept = (prepared.body.len() <= MOST_KEPT).then(|| prepared.body.clone());
        let reader = stream::Reader::new(Context::of(prepared, &self.link.name), kept);
        let stream = TurnStream::detect(answer.body, Box::new(reader), self.link.limits());
        Ok(stream.reopened_by(self.reopen(url, headers, prepared.model.clone())))
    }

    /// Goes on with a paused answer.
    fn reopen(&self, url: String, headers: Headers, model: String) -> Reopen {
        let link = Arc::clone(&self.link);
        Box::new(move |body: Bytes| {
            let (link, url, headers, model) =
                (Arc::clone(&link), url.clone(), headers.clone(), model.clone());
            Box::pin(async move {
                match link.post(&url, &headers, body).await? {
                    Ok(answer) => Ok(answer.body),
                    Err(Refusal { status, body, retry_after }) => {
                        Err(errors::classify(status, retry_after, &body, &link.name, &model))
                    }
                }
            })
        })
    }

    fn url(&self) -> String {
        let base = &self.link.base_url;
        let version = if base.ends_with("/v1") { "" } else { "/v1" };
        format!("{base}{version}/messages")
    }

    fn headers(
        &self,
        prepared: &PreparedRequest,
        credential: Option<&Credential>,
    ) -> Result<Headers, Refused> {
        let mut headers = self.link.headers("text/event-stream", &prepared.headers);
        headers.push((HeaderName::from_static(VERSION.0), HeaderValue::from_static(VERSION.1)));
        let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) else {
            return Ok(headers);
        };
        if !credential.is_access_token() && !self.bearer_keys {
            let name = HeaderName::from_static("x-api-key");
            headers.push(self.link.secret_header(name, credential.secret.expose().to_owned())?);
            return Ok(headers);
        }
        headers.push(self.link.bearer(&credential.secret)?);
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

    fn refused(&self, refusal: &Refusal, prepared: &PreparedRequest) -> Refused {
        let Refusal { status, body, retry_after } = refusal;
        let failure = errors::classify(*status, *retry_after, body, &self.link.name, &prepared.model);
        self.link.with_limitation(failure, refusal, prepared)
    }
}
