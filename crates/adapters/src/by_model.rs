//! A gateway that serves each model by its own protocol. Which one is told by the beginning of the model's name: a table.

use std::sync::Arc;

use latimer_protocol::failure::Failure;

use crate::chat::Chat;
use crate::chat::quirks::Quirks;
use crate::credential::Credential;
use crate::endpoint_client::{EndpointClient, OpenResult};
use crate::messages::Messages;
use crate::model_list::ProviderModel;
use crate::prepared_request::{PreparedRequest, TurnInput, WireProtocol};
use crate::responses::Responses;
use crate::responses::profile::Profile;

/// The beginning of a model's name, the host it holds for (empty for all), and what the model speaks. The first row that fits
/// counts; everything else speaks Chat Completions.
const MODELS: [(&str, &str, WireProtocol); 4] = [
    ("gpt-oss", "", WireProtocol::Chat),
    ("claude-", "", WireProtocol::Messages),
    ("gpt-", "", WireProtocol::Responses),
    ("minimax-", "/zen/go/", WireProtocol::Messages),
];

/// One gateway.
pub struct ByModel {
    chat: Chat,
    messages: Messages,
    responses: Responses,
}

impl ByModel {
    /// A gateway whose Chat side has these quirks, and whose Responses side this profile.
    pub fn new(client: &Arc<EndpointClient>, quirks: Quirks, profile: Profile) -> Self {
        Self {
            chat: Chat { client: Arc::clone(client), path: "", quirks },
            messages: Messages { client: Arc::clone(client), bearer_keys: false },
            responses: Responses { client: Arc::clone(client), profile },
        }
    }

    /// Translates the turn for its model.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        match wire(&input.turn.model, &self.chat.client.base_url) {
            WireProtocol::Messages => self.messages.prepare(input),
            WireProtocol::Responses => self.responses.prepare(input),
            _ => self.chat.prepare(input),
        }
    }

    /// Sends the turn in the words it was translated to.
    ///
    /// # Errors
    /// Why the provider did not take it, and what that teaches.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        match prepared.protocol {
            WireProtocol::Messages => self.messages.open(prepared, credential).await,
            WireProtocol::Responses => self.responses.open(prepared, credential).await,
            _ => self.chat.open(prepared, credential).await,
        }
    }

    /// The models that the gateway lists.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(&self, credential: Option<&Credential>) -> Result<Vec<ProviderModel>, Failure> {
        self.chat.models(credential).await
    }
}

fn wire(model: &str, base_url: &str) -> WireProtocol {
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let found = MODELS
        .iter()
        .find(|(start, host, _)| name.starts_with(start) && format!("{base_url}/").contains(host));
    found.map_or(WireProtocol::Chat, |(_, _, wire)| *wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_speaks_its_own() {
        let (zen, go) = ("https://gateway.test/zen/v1", "https://gateway.test/zen/go/v1");
        let cases = [
            ("claude-sonnet-4-6", zen, WireProtocol::Messages),
            ("anthropic/claude-opus-4-6", zen, WireProtocol::Messages),
            ("gpt-5.5", zen, WireProtocol::Responses),
            ("gpt-oss-120b", zen, WireProtocol::Chat),
            ("minimax-m2.7", zen, WireProtocol::Chat),
            ("minimax-m2.7", go, WireProtocol::Messages),
            ("glm-5.1", zen, WireProtocol::Chat),
        ];
        for (model, base_url, want) in cases {
            assert_eq!(wire(model, base_url), want, "{model} at {base_url}");
        }
    }
}
