//! A profile that is asked for as a model, `agent:ID`, at any door: its own model, instructions and effort stand in the turn then.

use std::sync::Arc;

use latimer_protocol::secret::redact_known;
use latimer_protocol::turn::{Content, Item, Message, Role, TurnRequest};

use super::TurnContext;
use crate::agents::profile::{AgentProfile, MODEL_START};
use crate::config::Effort;
use crate::config::agent_loop::leads_back;
use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::models;
use crate::inbound::notes::Notes;
use crate::inbound::wire::http_error::HttpError;
use crate::keys::keyring::KeyTurn;
use crate::text;

impl TurnContext {
    /// The profile that a model's name means. A route that is really called so keeps its name.
    pub(super) fn profile(&self, model: &str) -> Option<Arc<AgentProfile>> {
        let id = model.strip_prefix(MODEL_START)?;
        if self.endpoint_set.config.named_route(model).is_some() {
            return None;
        }
        self.agents.profile(id)
    }

    /// # Errors
    ///
    /// The key that asks may not ask for this model. A profile may be asked for by its own name, or where its model may be.
    pub(super) fn check_model(
        &self,
        protocol: ClientProtocol,
        model: &str,
        profile: Option<&AgentProfile>,
    ) -> Result<(), HttpError> {
        let Some(key) = self.key.as_ref().map(KeyTurn::key) else { return Ok(()) };
        let models = &key.record.models;
        let leads_to = profile.map_or(model, |profile| &profile.model);
        if models.lists(model) || models.allows(&self.endpoint_set.config, leads_to) {
            return Ok(());
        }
        let shown = text::shown(&redact_known(model), text::MAX_NAME);
        let message = format!(
            "the key `{}` may not ask for the model `{shown}`; GET /v1/models lists its models",
            key.record.name
        );
        let body = RefusalBody {
            status: 403,
            kind: "permission_error",
            code: "model_not_allowed",
            param: Some("model"),
            message: &message,
        };
        Err(protocol.refusal(&body, &self.request))
    }

    /// Writes a profile into a turn. Without one the turn stays as it is, unless it names one that there is not.
    ///
    /// # Errors
    /// There is no such profile, and no endpoint that would take the name for a model's; or it leads back to where it comes from.
    pub(super) fn apply(
        &self,
        profile: Option<Arc<AgentProfile>>,
        turn: &mut TurnRequest,
        notes: &mut Notes,
        protocol: ClientProtocol,
    ) -> Result<Option<Arc<AgentProfile>>, HttpError> {
        let config = &self.endpoint_set.config;
        let Some(profile) = profile else {
            let is_known =
                || config.named_route(&turn.model).is_some() || models::find(config, &turn.model).is_some();
            if turn.model.starts_with(MODEL_START) && !is_known() {
                let shown = text::shown(&turn.model, text::MAX_NAME);
                let words = format!(
                    "there is no profile `{shown}`; `latimer agents profiles` lists them, and GET /v1/models has them as `agent:ID`"
                );
                return Err(protocol.no_model(&words, &self.request));
            }
            return Ok(None);
        };
        let leads_to = |id: &str| self.agents.profile(id).map(|known| known.model.clone());
        if let Some(words) = leads_back(config, &profile.model, &leads_to, config.server.listen.port()) {
            return Err(protocol.no_model(&words, &self.request));
        }
        turn.model.clone_from(&profile.model);
        if let Some(composed) = profile.composed() {
            if !composed.omitted.is_empty() {
                let names = composed.omitted.join(", ");
                notes.add(format!(
                    "the instructions of the profile are too long, and these sections were left out: {names}"
                ));
            }
            let content = vec![Content::Text(composed.text)];
            turn.items.insert(0, Item::Message(Message { role: Role::System, content }));
        }
        Ok(Some(profile))
    }
}

/// The effort that a profile chooses.
pub(super) fn effort(profile: Option<&AgentProfile>) -> Option<Effort> {
    profile?.effort.as_deref().and_then(Effort::of)
}
