//! Which protocol an address speaks: found by asking. The list of models first, which costs nothing, then one short turn in each protocol until
//! one is answered.

use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::model_list::ProviderModel;
use latimer_adapters::responses::profile::Profile;
use latimer_protocol::failure::{Failure, FailureKind};

use super::{Trial, TrialTask};
use crate::accounts::Places;
use crate::config::{Config, Endpoint, Protocol};

/// What was found.
#[derive(Debug)]
pub struct FoundWire {
    /// What the address speaks; `None` where nothing was answered in any protocol.
    pub protocol: Option<Protocol>,
    /// The models it lists; empty where it lists none.
    pub models: Vec<ProviderModel>,
    /// What each protocol that was tried got instead of an answer.
    pub refusals: Vec<(Protocol, Failure)>,
}

/// The protocols in which to ask, the likeliest first.
pub fn candidates(base_url: &str) -> [Protocol; 4] {
    use Protocol::{Chat, Gemini, Messages, Responses};
    let url = base_url.to_ascii_lowercase();
    if url.contains("anthropic") || url.ends_with("/messages") {
        [Messages, Chat, Responses, Gemini]
    } else if url.contains("generativelanguage") || url.contains("/v1beta") {
        [Gemini, Chat, Responses, Messages]
    } else if url.contains("api.openai.com") {
        [Responses, Chat, Messages, Gemini]
    } else {
        [Chat, Responses, Messages, Gemini]
    }
}

/// Asks the endpoint's address in one protocol after the other, for this model, else for the first one that it lists.
pub async fn find(
    config: &Config,
    endpoint: &Endpoint,
    model: Option<&str>,
    patience: Duration,
    places: Option<&Arc<Places>>,
) -> FoundWire {
    let mut found = FoundWire { protocol: None, models: Vec::new(), refusals: Vec::new() };
    let mut candidates = candidates(&endpoint.base_url);
    let trial = |protocol| {
        let speaking = Endpoint { protocol, profile: Profile::PLAIN, ..endpoint.clone() };
        Trial::new(config, &speaking, patience, places.cloned())
    };
    // Two protocols may have lists of one form: who lists models only says with what to go on.
    for (place, protocol) in candidates.into_iter().enumerate() {
        let Some(trial) = trial(protocol) else { return found };
        match trial.models().await {
            Ok(Some(models)) if !models.is_empty() => {
                found.models = models;
                candidates[..=place].rotate_right(1);
                break;
            }
            Err(failure) if ends_search(&failure) => {
                found.refusals.push((protocol, failure));
                return found;
            }
            _ => {}
        }
    }
    let Some(model) = model.map(str::to_owned).or_else(|| Some(found.models.first()?.id.clone())) else {
        return found;
    };
    for protocol in candidates {
        let Some(trial) = trial(protocol) else { return found };
        match trial.turn(&model, TrialTask::Text).await.failure {
            None => {
                found.protocol = Some(protocol);
                return found;
            }
            Some(failure) => {
                let is_last = ends_search(&failure);
                found.refusals.push((protocol, failure));
                if is_last {
                    return found;
                }
            }
        }
    }
    found
}

/// Where nobody answers at all, no protocol helps.
fn ends_search(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Unreachable)
}
