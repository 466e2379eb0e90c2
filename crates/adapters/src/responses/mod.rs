//! Responses upstreams. A client of the same protocol gets the upstream's own events ([`pass`], [`tap`]); everyone else, and
//! everyone whose request must be lowered in its tools, gets a translation ([`request`], [`stream`]).

mod errors;
pub mod pass;
pub mod profile;
pub mod request;
pub mod stream;
pub mod tap;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::{Owner, TurnRequest};

use self::profile::Profile;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::{EndpointClient, Headers, Refused};
use crate::limitation::Limitations;
use crate::pairing::is_paired;
use crate::prepared::{PreparedRequest, Raw, WireProtocol};
use crate::reader::Context;

/// The header in which the ChatGPT backend wants the account.
const ACCOUNT: &str = "chatgpt-account-id";

/// The headers that go through.
fn forwarded(headers: &Headers, names: &[&str]) -> Headers {
    headers.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect()
}

/// One Responses endpoint.
pub struct Responses {
    /// Where it is: `https://host/v1`, without `/responses`.
    pub link: Arc<EndpointClient>,
    /// What the server takes.
    pub profile: Profile,
}

impl Responses {
    /// Makes the turn ready for one account: as the client wrote it where that is possible, else translated.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        raw: Option<&Raw>,
        account: Option<&str>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        let profile = self.profile.after(limitations);
        let owner = Owner::new(&self.link.provider, &turn.model);
        let owner = match account.filter(|_| profile.account_state) {
            Some(account) => owner.of_account(account),
            None => owner,
        };
        // A history that somebody broke has to be mended, and only the translation does that.
        let raw = raw.filter(|raw| raw.wire == WireProtocol::Responses && is_paired(&turn.items));
        if let Some(raw) = raw
            && let Some(lowered) = pass::lower(&raw.body, &turn.model, &profile, &owner, &raw.seal)
        {
            return PreparedRequest {
                wire: WireProtocol::Responses,
                passes: true,
                body: lowered.body.into(),
                model: turn.model.clone(),
                owner,
                names: crate::names::Names::default(),
                headers: forwarded(&raw.headers, profile.forwards),
                features: lowered.features,
                notes: lowered.notes,
            };
        }
        let written = request::write(turn, &profile, &owner);
        PreparedRequest {
            wire: WireProtocol::Responses,
            passes: false,
            body: written.body.into(),
            model: turn.model.clone(),
            owner,
            names: written.names,
            headers: Vec::new(),
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
        let mut headers = self.link.headers("text/event-stream", &prepared.headers);
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.link.bearer(&credential.secret)?);
            let account = credential.project.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            headers.extend(account.map(|id| (HeaderName::from_static(ACCOUNT), id)));
        }
        let url = format!("{}/responses", self.link.base_url);
        let answer = match self.link.post(&url, &headers, prepared.body.clone()).await? {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.link.refused(&refusal, prepared)),
        };
        let context = Context::of(prepared, &self.link.name);
        let reader: Box<dyn crate::reader::Reader> = if prepared.passes {
            Box::new(tap::PassthroughReader::new(context))
        } else {
            Box::new(stream::Reader::new(context))
        };
        Ok(TurnStream::detect(answer.body, reader, self.link.limits()))
    }
}
