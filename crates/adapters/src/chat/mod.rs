//! Chat Completions upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`].

mod calls;
pub mod quirks;
pub mod request;
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
use crate::learn::Lessons;
use crate::link::{Headers, Link, Refusal, Refused};
use crate::prepared::{Prepared, Wire};
use crate::reader::Context;

/// One Chat Completions endpoint.
pub struct Chat {
    /// Where it is: `https://host/v1`, without `/chat/completions`.
    pub link: Arc<Link>,
    /// What stands between the base and `/chat/completions`; usually nothing.
    pub path: &'static str,
    /// What the provider does differently.
    pub quirks: Quirks,
}

impl Chat {
    /// Translates the turn once, for all attempts.
    pub fn prepare(&self, turn: &TurnRequest, lessons: &Lessons) -> Prepared {
        let owner = Owner::new(&self.link.provider, &turn.model);
        let written = request::write(turn, &self.quirks.after(lessons), &owner);
        let session =
            self.quirks.session_header.zip(turn.conversation.as_deref()).and_then(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            });
        Prepared {
            wire: Wire::Chat,
            passes: false,
            body: written.body.into(),
            model: turn.model.clone(),
            owner,
            names: written.names,
            headers: session.into_iter().collect(),
            features: written.features,
            notes: written.notes,
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    pub async fn open(
        &self,
        prepared: &Prepared,
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
        prepared: &Prepared,
        headers: Headers,
        body: Bytes,
    ) -> Result<Result<TurnStream, Refusal>, Failure> {
        let url = format!("{}{}/chat/completions", self.link.base_url, self.path);
        let answer = match self.link.post(&url, &headers, body).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let reader = stream::Reader::new(Context::of(prepared, &self.link.name));
        Ok(Ok(TurnStream::detect(answer.body, Box::new(reader), self.link.limits())))
    }
}
