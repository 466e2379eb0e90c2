//! Responses upstreams. A client of the same protocol gets the upstream's own events ([`rewrite`], [`passthrough_reader`]); everyone else, and
//! everyone whose tools must be changed, gets a translation ([`request`], [`stream`]).

pub(crate) mod call_frames;
mod call_item;
mod errors;
mod history;
mod missing_events;
mod missing_items;
pub mod passthrough_reader;
pub mod profile;
pub mod request;
pub mod rewrite;
pub mod stream;
mod told;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::StateOwner;

use self::passthrough_reader::ResponsesPassthroughReader;
use self::profile::Profile;
use self::stream::ResponsesReader;
use crate::credential::Credential;
use crate::endpoint_client::{EndpointClient, ErrorResponse, OpenError, OpenResult, RequestHead, SendError};
use crate::limitation::Limitation;
use crate::model_list::{self, ProviderModel};
use crate::pairing::{is_paired, lacks_user};
use crate::prepared_request::{EncodedRequest, Headers, PreparedRequest, TurnInput, WireProtocol};
use crate::reader::{Reader, ReaderContext};
use crate::teaching::Teaching;

/// The header in which the ChatGPT backend wants the account.
const ACCOUNT: &str = "chatgpt-account-id";

/// The headers that go through.
fn forwarded(headers: &Headers, names: &[&str]) -> Headers {
    headers.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect()
}

/// One Responses endpoint.
pub struct Responses {
    /// Where it is: `https://host/v1`, without `/responses`.
    pub client: Arc<EndpointClient>,
    /// What the server takes.
    pub profile: Profile,
}

impl Responses {
    /// Makes the turn ready for one account: as the client wrote it where that is possible, else translated.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        let TurnInput { turn, client_request, account, limitations } = *input;
        let profile = self.profile.after(limitations);
        let owner = StateOwner::new(&self.client.provider, &turn.model);
        let owner = match account.filter(|_| profile.account_state) {
            Some(account) => owner.of_account(account),
            None => owner,
        };
        // A translation loses what only the vendor's server knows. Everywhere else it is what mends a history that somebody broke.
        let client_request = client_request.filter(|client_request| {
            client_request.protocol == WireProtocol::Responses
                && (profile.hosted_tools || (is_paired(&turn.items) && !lacks_user(&turn.items)))
        });
        let rewritten = client_request.and_then(|client_request| {
            let rewritten =
                rewrite::rewrite(&client_request.body, &turn.model, &profile, &owner, &client_request.seal)?;
            Some(EncodedRequest {
                headers: forwarded(&client_request.headers, profile.forwards),
                ..rewritten
            })
        });
        match rewritten {
            Some(request) => request.prepare(WireProtocol::Responses, &turn.model, owner).as_passthrough(),
            None => {
                request::write(turn, &profile, &owner).prepare(WireProtocol::Responses, &turn.model, owner)
            }
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let headers = self.headers("text/event-stream", &prepared.headers, credential)?;
        let head = RequestHead { url: format!("{}/responses", self.client.base_url), headers };
        let context = ReaderContext::of(prepared, &self.client.name);
        let reader: Box<dyn Reader> = if prepared.is_passthrough {
            Box::new(ResponsesPassthroughReader::new(context))
        } else {
            Box::new(ResponsesReader::new(context))
        };
        let opened = self.client.open_stream(prepared.protocol, &head, prepared.body.clone(), reader).await;
        opened.map_err(|error| match error {
            SendError::Failure(failure) => failure.into(),
            SendError::Response(response) => self.open_error(&response, prepared),
        })
    }

    /// The models that the provider lists.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(&self, credential: Option<&Credential>) -> Result<Vec<ProviderModel>, Failure> {
        let headers = self.headers("application/json", &[], credential)?;
        model_list::fetch(&self.client, &format!("{}/models", self.client.base_url), &headers).await
    }

    fn headers(
        &self,
        accept: &'static str,
        of_turn: &[(HeaderName, HeaderValue)],
        credential: Option<&Credential>,
    ) -> Result<Headers, Failure> {
        let mut headers = self.client.bearer_headers(accept, of_turn, credential)?;
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            let account = credential.project.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            headers.extend(account.map(|id| (HeaderName::from_static(ACCOUNT), id)));
        }
        Ok(headers)
    }

    /// A refusal, and what it teaches. One that names an item is about the items of that type, and about nothing larger.
    fn open_error(&self, response: &ErrorResponse, prepared: &PreparedRequest) -> OpenError {
        let failure = crate::errors::classify(&self.client.error_context(response, &prepared.model));
        let error = self.client.open_error(failure, response, prepared);
        let refusal = String::from_utf8_lossy(&response.body);
        let named = history::refused_item(&refusal).filter(|_| {
            matches!(response.status, 400 | 422) && prepared.features.has(Limitation::PlainItems)
        });
        let Some((place, field)) = named else { return error };
        let kind = history::kind_at(&prepared.body, place).unwrap_or_default();
        let limitation = match (kind.as_str(), field) {
            ("reasoning", _) | (_, "encrypted_content") => Some(Limitation::NoThoughts),
            (_, "namespace") => Some(Limitation::NoNamespaces),
            // Words and pictures are no matter of an item's form.
            ("message" | "function_call_output" | "custom_tool_call_output", "content" | "output") => {
                return error;
            }
            _ => Some(Limitation::PlainItems),
        };
        let limitation = limitation.filter(|limitation| prepared.features.has(*limitation));
        // Thoughts that one item holds are of one conversation; a type of items is not.
        let teaching = limitation.map(|limitation| match limitation {
            Limitation::NoThoughts => Box::new(Teaching::ThisTurn(limitation)),
            limitation => Box::new(Teaching::Whole(limitation)),
        });
        OpenError { teaching, ..error }
    }
}
