//! Anthropic Messages upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own events ([`rewrite`], [`passthrough_reader`]) where nothing has to be changed.

mod blocks;
pub(crate) mod call_frames;
pub mod errors;
pub mod models;
mod open_block;
pub mod passthrough_reader;
pub mod request;
pub mod rewrite;
pub mod stream;
mod tools;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::StateOwner;

use self::passthrough_reader::MessagesPassthroughReader;
use self::request::BETA;
use self::rewrite::ToolReferences;
use self::stream::MessagesReader;
use crate::credential::Credential;
use crate::endpoint_client::{EndpointClient, OpenResult, RequestHead};
use crate::limitation::{Features, Limitation};
use crate::model_list::{self, ProviderModel};
use crate::pairing::{is_paired, lacks_user};
use crate::prepared_request::{EncodedRequest, Headers, PreparedRequest, TurnInput, WireProtocol};
use crate::reader::ReaderContext;

/// The version of the protocol.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
/// What an access token needs.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// One Messages endpoint.
pub struct Messages {
    /// Where it is: with or without `/v1` at its end.
    pub client: Arc<EndpointClient>,
    /// Keys are sent as `Authorization: Bearer`, as some gateways want it.
    pub bearer_keys: bool,
}

impl Messages {
    /// Makes the turn ready, once for all attempts: as the client wrote it where that is possible, else translated.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        let TurnInput { turn, client_request, limitations, .. } = *input;
        let owner = StateOwner::new(&self.client.provider, &turn.model);
        // What a server does not take is only left out of a translation, and only that mends a broken history.
        let client_request = client_request.filter(|client_request| {
            client_request.protocol == WireProtocol::Messages
                && limitations.is_empty()
                && is_paired(&turn.items)
                && !lacks_user(&turn.items)
        });
        let rewritten = client_request.and_then(|client_request| {
            let (body, seal) = (&client_request.body, &client_request.seal);
            let body = rewrite::rewrite(body, &turn.model, &owner, seal, self.tool_references())?;
            let headers = client_request.headers.iter().filter(|(name, _)| name == BETA).cloned().collect();
            let features = Features::of([Limitation::NoOwnRequests]);
            Some(EncodedRequest { body, headers, features, ..EncodedRequest::default() })
        });
        match rewritten {
            Some(request) => request.prepare(WireProtocol::Messages, &turn.model, owner).as_passthrough(),
            None => {
                request::write(turn, &owner, limitations).prepare(WireProtocol::Messages, &turn.model, owner)
            }
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let head = RequestHead {
            url: self.url("messages"),
            headers: self.headers("text/event-stream", &prepared.headers, credential)?,
        };
        let context = ReaderContext::of(prepared, &self.client.name);
        if prepared.is_passthrough {
            let reader = Box::new(MessagesPassthroughReader::new(context));
            return self.client.send(prepared, &head, reader, errors::classify).await;
        }
        let reader = Box::new(MessagesReader::new(context, prepared.kept_body()));
        let stream = self.client.send(prepared, &head, reader, errors::classify).await?;
        Ok(stream.reopened_by(self.client.reopen(head, prepared.model.clone(), errors::classify)))
    }

    fn tool_references(&self) -> ToolReferences {
        let host = self.client.base_url.split('/').nth(2).unwrap_or_default();
        if host.ends_with("anthropic.com") { ToolReferences::Known } else { ToolReferences::Unknown }
    }

    /// The models that the provider lists.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(&self, credential: Option<&Credential>) -> Result<Vec<ProviderModel>, Failure> {
        let headers = self.headers("application/json", &[], credential)?;
        model_list::fetch(&self.client, &self.url("models?limit=1000"), &headers).await
    }

    fn url(&self, path: &str) -> String {
        let base = &self.client.base_url;
        let version = if base.ends_with("/v1") { "" } else { "/v1" };
        format!("{base}{version}/{path}")
    }

    fn headers(
        &self,
        accept: &'static str,
        of_turn: &[(HeaderName, HeaderValue)],
        credential: Option<&Credential>,
    ) -> Result<Headers, Failure> {
        let mut headers = self.client.headers(accept, of_turn);
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
}
