//! Command Code upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`].

pub mod errors;
pub mod request;
pub mod stream;
mod thread;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::turn::{Owner, TurnRequest};

use crate::credential::Credential;
use crate::drive::{Reopen, TurnStream};
use crate::endpoint_client::{EndpointClient, Headers, OpenError, unix_now};
use crate::limitation::Limitations;
use crate::prepared_request::{PreparedRequest, WireProtocol};
use crate::reader::ReaderContext;

/// The header without which every request is refused.
const VERSION: &str = "x-command-code-version";
/// The header that asks that nothing is kept.
const ZERO_RETENTION: &str = "x-cmd-zdr";
/// A larger request is not kept for going on with a paused answer.
const MAX_KEPT_REQUEST: usize = 4 << 20;

/// The date of a moment in Unix seconds, as in `2026-01-31`.
fn date(unix: u64) -> String {
    // Days since the first of March of the year 0: leap days come last in a year then.
    let days = unix / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// One Command Code endpoint.
pub struct CommandCode {
    /// Where it is: `https://host`, without `/alpha/generate`.
    pub client: Arc<EndpointClient>,
    /// What latimer calls itself; the provider refuses versions it thinks too old.
    pub version: String,
    /// Real tools and blocks, where the server takes them.
    pub structured: bool,
    /// Ask that nothing is kept.
    pub zero_retention: bool,
}

impl CommandCode {
    /// Translates the turn once, for all attempts.
    pub fn prepare(&self, turn: &TurnRequest, limitations: &Limitations) -> PreparedRequest {
        let written = request::write(turn, self.structured, limitations, &date(unix_now()));
        PreparedRequest {
            protocol: WireProtocol::CommandCode,
            is_passthrough: false,
            body: written.body.into(),
            model: turn.model.clone(),
            owner: Owner::new(&self.client.provider, &turn.model),
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
    ) -> Result<TurnStream, OpenError> {
        let headers = self.headers(credential)?;
        let url = format!("{}/alpha/generate", self.client.base_url);
        let answer = match self.client.post(&url, &headers, prepared.body.clone()).await? {
            Ok(answer) => answer,
            Err(refusal) => {
                let (status, wait) = (refusal.status, refusal.retry_after);
                let failure =
                    errors::classify(status, wait, &refusal.body, &self.client.name, &prepared.model);
                return Err(self.client.with_limitation(failure, &refusal, prepared));
            }
        };
        let kept = (prepared.body.len() <= MAX_KEPT_REQUEST).then(|| prepared.body.clone());
        let reader = stream::CommandCodeReader::new(ReaderContext::of(prepared, &self.client.name), kept);
        let stream = TurnStream::lines(answer.body, Box::new(reader), self.client.limits());
        Ok(stream.reopened_by(self.reopen(url, headers, prepared.model.clone())))
    }

    fn headers(&self, credential: Option<&Credential>) -> Result<Headers, Failure> {
        let mut headers = self.client.headers("text/event-stream, application/json", &[]);
        let version = HeaderValue::try_from(&self.version).map_err(|_| {
            let message = format!("{}: `options.command_code_version` cannot be sent", self.client.name);
            Failure::new(Kind::BadRequest, message)
        })?;
        headers.push((HeaderName::from_static(VERSION), version));
        if self.zero_retention {
            headers.push((HeaderName::from_static(ZERO_RETENTION), HeaderValue::from_static("1")));
        }
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.client.bearer(&credential.secret)?);
        }
        Ok(headers)
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
                    Err(refusal) => {
                        let (status, wait) = (refusal.status, refusal.retry_after);
                        Err(errors::classify(status, wait, &refusal.body, &client.name, &model))
                    }
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        for (unix, want) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_795_219_200, "2026-11-21"),
        ] {
            assert_eq!(date(unix), want);
        }
    }
}
