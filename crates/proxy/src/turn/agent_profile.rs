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

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::agents::runs::Runs;
    use crate::http::reply::Reply;
    use crate::turn::Recording;
    use crate::turn::tests::{Setup, answer, read_json};

    async fn ask(setup: &Setup, agents: &Arc<Runs>, model: &str) -> hyper::Response<Reply> {
        let context = TurnContext { agents: Arc::clone(agents), ..setup.context(Recording::Full) };
        let request = json!({ "model": model, "messages": [{ "role": "system", "content": "OF THE CLIENT" }, { "role": "user", "content": "Hi" }] });
        crate::turn::chat(context, &HeaderMap::new(), request.to_string().into()).await
    }

    #[tokio::test]
    async fn a_profile_brings_its_model_instructions_and_effort() {
        let setup = Setup::new([answer()]).await;
        let dir = tempfile::tempdir().expect("a directory");
        let agents = Runs::new(Some(dir.path()));
        let profile = r#"{"id":"lab","model":"m","instructions":"OF THE PROFILE","effort":"low"}"#;
        let profile: AgentProfile = serde_json::from_str(profile).expect("a profile");
        assert_eq!(effort(Some(&profile)), Some(Effort::Low));
        agents.put_profile(profile).await.expect("kept");
        let (status, object) = read_json(ask(&setup, &agents, "agent:lab").await).await;
        assert_eq!((status, &object["model"]), (200, &json!("agent:lab")), "{object}");
        let sent: Value = setup.provider.requests().remove(0).body;
        assert_eq!(sent["model"], "m");
        let text = sent.to_string();
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
        assert!(place("OF THE PROFILE") < place("OF THE CLIENT"), "{text}");
    }

    #[tokio::test]
    async fn a_profile_that_there_is_not_is_said_to_be_none() {
        let setup = Setup::new([answer()]).await;
        let (status, object) = read_json(ask(&setup, &Runs::new(None), "agent:nobody").await).await;
        assert_eq!(status, 404, "{object}");
        assert!(object.to_string().contains("latimer agents profiles"), "{object}");
        assert_eq!(setup.provider.request_count(), 0);
    }
}
