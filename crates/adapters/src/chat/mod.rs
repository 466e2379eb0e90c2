//! Chat Completions upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`]; a client of the
//! same protocol gets the upstream's own chunks where nothing has to be changed ([`rewrite`], [`passthrough_reader`]).

pub(crate) mod call_frames;
mod calls;
mod conversation;
pub mod passthrough_reader;
pub mod quirks;
pub mod request;
pub mod rewrite;
pub mod stream;
mod think;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::StateOwner;

use self::passthrough_reader::ChatPassthroughReader;
use self::quirks::Quirks;
use self::stream::ChatReader;
use crate::credential::Credential;
use crate::endpoint_client::{EndpointClient, OpenResult, RequestHead};
use crate::errors;
use crate::model_list::{self, ProviderModel};
use crate::prepared_request::{EncodedRequest, Headers, PreparedRequest, TurnInput, WireProtocol};
use crate::reader::{Reader, ReaderContext};

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
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        let TurnInput { turn, client_request, limitations, .. } = *input;
        let owner = StateOwner::new(&self.client.provider, &turn.model);
        let mut encoded = request::write(turn, &self.quirks.after(limitations), &owner);
        let session = self.quirks.session_header.zip(turn.conversation.as_deref());
        encoded.headers.extend(session.and_then(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        }));
        // What an endpoint taught is only known to the translation.
        let client_request = client_request
            .filter(|client_request| client_request.protocol == WireProtocol::Chat && limitations.is_empty());
        match client_request
            .and_then(|client_request| rewrite::rewrite(&client_request.body, turn, &self.quirks))
        {
            Some(body) => {
                let EncodedRequest { headers, features, .. } = encoded;
                let rewritten = EncodedRequest { body, headers, features, ..EncodedRequest::default() };
                rewritten.prepare(WireProtocol::Chat, &turn.model, owner).as_passthrough()
            }
            None => encoded.prepare(WireProtocol::Chat, &turn.model, owner),
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let headers = self.client.bearer_headers("text/event-stream", &prepared.headers, credential)?;
        self.client.send(prepared, &self.head(headers), self.reader(prepared), errors::classify).await
    }

    /// The models that the provider lists.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(&self, credential: Option<&Credential>) -> Result<Vec<ProviderModel>, Failure> {
        let headers = self.client.bearer_headers("application/json", &[], credential)?;
        model_list::fetch(&self.client, &format!("{}{}/models", self.client.base_url, self.path), &headers)
            .await
    }

    /// The address, with these headers.
    pub(crate) fn head(&self, headers: Headers) -> RequestHead {
        RequestHead { url: format!("{}{}/chat/completions", self.client.base_url, self.path), headers }
    }

    /// The reader of the answer to this request.
    pub(crate) fn reader(&self, prepared: &PreparedRequest) -> Box<dyn Reader> {
        let context = ReaderContext::of(prepared, &self.client.name);
        if prepared.is_passthrough {
            Box::new(ChatPassthroughReader::new(context))
        } else {
            Box::new(ChatReader::new(context))
        }
    }
}
