//! What can be shown without asking a model: models, accounts, turns, health.

use hyper::{HeaderMap, Response};
use latimer_protocol::status::TurnReport;

use super::agents::listed;
use super::asker::Viewer;
use super::proxy::Proxy;
use super::router::DocumentRequest;
use super::{accounts, health};
use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json};
use crate::inbound::{gemini, messages, models};
use crate::{text, turn};

/// Shows a document. Without the token there is only a word of health.
///
/// # Errors
///
/// There is no such model or turn, or none that the viewer may see.
pub(super) fn show(
    proxy: &Proxy,
    document: DocumentRequest<'_>,
    config: &Config,
    headers: &HeaderMap,
    viewer: Viewer<'_>,
) -> Result<Response<Reply>, Refusal> {
    let config = &*listed::with_profiles(config, proxy, &document);
    let is_shown = |name: &str| match viewer {
        Viewer::Client(key) => key.record.models.allows(config, name),
        Viewer::Owner | Viewer::Stranger => true,
    };
    let is_seen = |turn: &TurnReport| match viewer {
        Viewer::Client(key) => turn.key.as_deref() == Some(&key.record.name),
        Viewer::Owner | Viewer::Stranger => true,
    };
    let traces = &proxy.turns.traces;
    let is_owner = matches!(viewer, Viewer::Owner);
    let body = match document {
        // Claude Code and the vendor's SDK read another shape at the same path.
        DocumentRequest::Models if headers.contains_key("anthropic-version") => {
            messages::models::list(config, turn::is_discovery(headers), &is_shown)
        }
        DocumentRequest::Models => models::list(config, &is_shown),
        DocumentRequest::Model(id) => {
            models::one(config, id).filter(|_| is_shown(id)).ok_or_else(|| no_model(id))?
        }
        DocumentRequest::GeminiModels => gemini::models::list(config, &is_shown),
        DocumentRequest::GeminiModel(id) => {
            let name = id.strip_prefix("models/").unwrap_or(id);
            gemini::models::one(config, id).filter(|_| is_shown(name)).ok_or_else(|| no_model(id))?
        }
        DocumentRequest::Accounts => accounts::document(&proxy.endpoints()).to_string(),
        DocumentRequest::Turns => traces.list(is_seen),
        DocumentRequest::Turn(id) => traces.one(id, is_seen).ok_or_else(|| no_turn(id))?,
        DocumentRequest::Health if is_owner => health::document(proxy),
        DocumentRequest::Health => "{\"status\":\"ok\"}".to_owned(),
        // The version is nobody's business who may not come in.
        DocumentRequest::Root if !is_owner => "{\"name\":\"latimer\"}".to_owned(),
        DocumentRequest::Root => {
            concat!("{\"name\":\"latimer\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}").to_owned()
        }
    };
    Ok(json(200, body))
}

fn no_model(id: &str) -> Refusal {
    let shown = text::shown(id, text::MAX_NAME);
    Refusal::invalid(404, "model_not_found")
        .message(format!("no endpoint lists the model `{shown}`; GET /v1/models shows those that are listed"))
}

fn no_turn(id: &str) -> Refusal {
    let shown = text::shown(id, text::MAX_WORD);
    Refusal::invalid(404, "turn_not_found")
        .message(format!("no turn `{shown}` is remembered; GET /v1/turns lists the last ones"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    fn status(document: DocumentRequest<'_>) -> Result<u16, &'static str> {
        let proxy = proxy();
        let shown = show(&proxy, document, &proxy.live.current(), &HeaderMap::new(), Viewer::Owner);
        shown.map(|response| response.status().as_u16()).map_err(|refusal| refusal.code)
    }

    #[tokio::test]
    async fn lists_are_there_and_what_is_not_in_them_is_not() {
        for list in [
            DocumentRequest::Models,
            DocumentRequest::GeminiModels,
            DocumentRequest::Accounts,
            DocumentRequest::Turns,
            DocumentRequest::Root,
        ] {
            assert_eq!(status(list), Ok(200), "{list:?}");
        }
        assert_eq!(status(DocumentRequest::Model("m")), Err("model_not_found"));
        assert_eq!(status(DocumentRequest::GeminiModel("m")), Err("model_not_found"));
        assert_eq!(status(DocumentRequest::Turn("t1")), Err("turn_not_found"));
    }
}
