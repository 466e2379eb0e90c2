//! Command Code upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`].

pub mod errors;
pub mod request;
pub mod stream;
mod thread_id;
mod tool_prompt;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::StateOwner;

use self::stream::CommandCodeReader;
use crate::clock;
use crate::credential::Credential;
use crate::endpoint_client::{EndpointClient, OpenResult, RequestHead};
use crate::prepared_request::{Headers, PreparedRequest, TurnInput, WireProtocol};
use crate::reader::ReaderContext;

/// The header without which every request is refused.
const VERSION: &str = "x-command-code-version";
/// The header that asks that nothing is kept.
const ZERO_RETENTION: &str = "x-cmd-zdr";

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
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        let TurnInput { turn, limitations, .. } = *input;
        let owner = StateOwner::new(&self.client.provider, &turn.model);
        let today = date(clock::unix_now());
        let encoded = request::write(turn, self.structured, limitations, &today);
        encoded.prepare(WireProtocol::CommandCode, &turn.model, owner)
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        let url = format!("{}/alpha/generate", self.client.base_url);
        let head = RequestHead { url, headers: self.headers(credential)? };
        let context = ReaderContext::of(prepared, &self.client.name);
        let reader = Box::new(CommandCodeReader::new(context, prepared.kept_body()));
        let stream = self.client.send(prepared, &head, reader, errors::classify).await?;
        Ok(stream.reopened_by(self.client.reopen(head, prepared.model.clone(), errors::classify)))
    }

    fn headers(&self, credential: Option<&Credential>) -> Result<Headers, Failure> {
        let accept = "text/event-stream, application/json";
        let mut headers = self.client.bearer_headers(accept, &[], credential)?;
        let version = HeaderValue::try_from(&self.version).map_err(|_| {
            let message = format!("{}: `options.command_code_version` cannot be sent", self.client.name);
            Failure::new(FailureKind::BadRequest, message)
        })?;
        headers.push((HeaderName::from_static(VERSION), version));
        if self.zero_retention {
            headers.push((HeaderName::from_static(ZERO_RETENTION), HeaderValue::from_static("1")));
        }
        Ok(headers)
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
