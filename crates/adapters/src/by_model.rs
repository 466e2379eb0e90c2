//! A gateway that serves each model by its own protocol. Which one is told by the beginning of the model's name: a table.

use std::sync::Arc;

use latimer_protocol::turn::TurnRequest;

use crate::anthropic::Anthropic;
use crate::chat::Chat;
use crate::chat::quirks::Quirks;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::learn::Lessons;
use crate::link::{Link, Refused};
use crate::prepared::{Prepared, Raw, Wire};
use crate::responses::Responses;
use crate::responses::profile::Profile;

/// The beginning of a model's name, the host it holds for (empty for all), and what the model speaks. The first row that fits
/// counts; everything else speaks Chat Completions.
const MODELS: [(&str, &str, Wire); 4] = [
    ("gpt-oss", "", Wire::Chat),
    ("claude-", "", Wire::Anthropic),
    ("gpt-", "", Wire::Responses),
    ("minimax-", "/zen/go/", Wire::Anthropic),
];

/// One gateway.
pub struct ByModel {
    chat: Chat,
    anthropic: Anthropic,
    responses: Responses,
}

impl ByModel {
    /// A gateway whose Chat side has these quirks, and whose Responses side this profile.
    pub fn new(link: &Arc<Link>, quirks: Quirks, profile: Profile) -> Self {
        Self {
            chat: Chat { link: Arc::clone(link), path: "", quirks },
            anthropic: Anthropic { link: Arc::clone(link), bearer_keys: false },
            responses: Responses { link: Arc::clone(link), profile },
        }
    }

    /// Translates the turn for its model.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        raw: Option<&Raw>,
        account: Option<&str>,
        lessons: &Lessons,
    ) -> Prepared {
        match wire(&turn.model, &self.chat.link.base_url) {
            Wire::Anthropic => self.anthropic.prepare(turn, raw, lessons),
            Wire::Responses => self.responses.prepare(turn, raw, account, lessons),
            _ => self.chat.prepare(turn, raw, lessons),
        }
    }

    /// Sends the turn in the words it was translated to.
    pub async fn open(
        &self,
        prepared: &Prepared,
        credential: Option<&Credential>,
    ) -> Result<TurnStream, Refused> {
        match prepared.wire {
            Wire::Anthropic => self.anthropic.open(prepared, credential).await,
            Wire::Responses => self.responses.open(prepared, credential).await,
            _ => self.chat.open(prepared, credential).await,
        }
    }
}

fn wire(model: &str, base_url: &str) -> Wire {
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let found = MODELS
        .iter()
        .find(|(start, host, _)| name.starts_with(start) && format!("{base_url}/").contains(host));
    found.map_or(Wire::Chat, |(_, _, wire)| *wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_speaks_its_own() {
        let (zen, go) = ("https://gateway.test/zen/v1", "https://gateway.test/zen/go/v1");
        let cases = [
            ("claude-sonnet-4-6", zen, Wire::Anthropic),
            ("anthropic/claude-opus-4-6", zen, Wire::Anthropic),
            ("gpt-5.5", zen, Wire::Responses),
            ("gpt-oss-120b", zen, Wire::Chat),
            ("minimax-m2.7", zen, Wire::Chat),
            ("minimax-m2.7", go, Wire::Anthropic),
            ("glm-5.1", zen, Wire::Chat),
        ];
        for (model, base_url, want) in cases {
            assert_eq!(wire(model, base_url), want, "{model} at {base_url}");
        }
    }
}
