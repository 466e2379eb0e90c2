//! Who asks, and what they may have done.

use std::sync::Arc;

use hyper::HeaderMap;

use super::access::{Pages, credentials};
use super::client_keys;
use super::page_session::{self, PageSession};
use super::proxy::Proxy;
use super::router::{Action, DocumentRequest};
use crate::clock;
use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::keys::keyring::{ClientKey, KeyLookup, KeyProblem};
use crate::store::scope::Scope;

/// Who asks.
pub(super) enum Asker {
    /// Whoever carries the token.
    Owner,
    /// Somebody with a client key: turns and the models of the key, and nothing else.
    Client(Arc<ClientKey>),
    /// A page with a session.
    Page(PageSession),
    /// Somebody without either, where the door asks for none.
    Anybody,
    /// Somebody who may not come in, and what is wrong with their client key if they have one.
    Stranger(Option<KeyProblem>),
}

/// For whom a document is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Viewer<'a> {
    /// Somebody who may see all of it.
    Owner,
    /// Somebody who may see what belongs to a key.
    Client(&'a ClientKey),
    /// Somebody who may see that latimer lives.
    Stranger,
}

impl Asker {
    pub(super) async fn of(
        proxy: &Proxy,
        headers: &HeaderMap,
        config: &Config,
        pages: Pages,
        port: u16,
    ) -> Self {
        if proxy.entry.carries_token(headers) {
            return Self::Owner;
        }
        // Also where no token is needed: whoever shows a key means to be counted under it.
        match proxy.keys.find(credentials(headers)).await {
            KeyLookup::Key(key) => return Self::Client(key),
            KeyLookup::Refused(problem) => return Self::Stranger(Some(problem)),
            KeyLookup::Nothing => {}
        }
        let session = match pages {
            Pages::Own => page_session::of(headers, &proxy.page_seal(), port, clock::unix_now()),
            Pages::None => None,
        };
        match session {
            Some(session) => Self::Page(session),
            None if proxy.entry.admits(headers, config) => Self::Anybody,
            None => Self::Stranger(None),
        }
    }

    /// Whether they may come in at all.
    pub(super) fn came_in(&self) -> bool {
        !matches!(self, Self::Stranger(_))
    }

    /// # Errors
    ///
    /// They may not (401), and why.
    pub(super) fn check_came_in(&self) -> Result<(), Refusal> {
        match self {
            Self::Stranger(Some(problem)) => Err(client_keys::refused(problem)),
            Self::Stranger(None) => Err(unauthorized()),
            _ => Ok(()),
        }
    }

    pub(super) fn session(&self) -> Option<&PageSession> {
        match self {
            Self::Page(session) => Some(session),
            _ => None,
        }
    }

    /// The client key that asks.
    pub(super) fn key(&self) -> Option<&ClientKey> {
        match self {
            Self::Client(key) => Some(key),
            _ => None,
        }
    }

    /// The same, for a connection to keep.
    pub(super) fn into_key(self) -> Option<Arc<ClientKey>> {
        match self {
            Self::Client(key) => Some(key),
            _ => None,
        }
    }

    /// Whose kept answers they see.
    pub(super) fn scope(&self) -> Scope {
        self.key().map_or(Scope::Owner, |key| Scope::Key(key.record.id.clone()))
    }

    /// For whom documents are written.
    pub(super) fn viewer(&self) -> Viewer<'_> {
        match self {
            Self::Client(key) => Viewer::Client(key),
            Self::Stranger(_) => Viewer::Stranger,
            Self::Owner | Self::Page(_) | Self::Anybody => Viewer::Owner,
        }
    }

    /// Whether whoever came in may have this done.
    ///
    /// # Errors
    ///
    /// They may not (403).
    pub(super) fn check(
        &self,
        action: &Action<'_>,
        headers: &HeaderMap,
        proxy: &Proxy,
    ) -> Result<(), Refusal> {
        match self {
            Self::Page(session) if matches!(action, Action::Change(_)) => {
                session.check_change(headers, &proxy.page_seal())
            }
            Self::Anybody if action.is_for_owner() => Err(not_the_owner()),
            Self::Client(key) if !is_for_clients(action) => {
                Err(client_keys::not_for_clients(&key.record.name))
            }
            _ => Ok(()),
        }
    }
}

/// What a client key opens. Whatever is not in this list is the owner's.
fn is_for_clients(action: &Action<'_>) -> bool {
    use DocumentRequest::{GeminiModel, GeminiModels, Health, Model, Models, Root, Turn, Turns};
    match action {
        Action::Turn(_)
        | Action::Gemini(_)
        | Action::Count(_)
        | Action::Stored(_)
        | Action::Unavailable(_)
        | Action::Options(_) => true,
        Action::Document(document) => matches!(
            document,
            Models | Model(_) | GeminiModels | GeminiModel(_) | Turns | Turn(_) | Health | Root
        ),
        Action::Alive | Action::Ready => true,
        Action::Metrics
        | Action::Admin(_)
        | Action::Agents(_)
        | Action::Api(_)
        | Action::Change(_)
        | Action::Page(_)
        | Action::BeginSession => false,
    }
}

fn unauthorized() -> Refusal {
    Refusal::new(401, "authentication_error", "invalid_api_key").message(
        "latimer needs its own token as `Authorization: Bearer …`; it is in the file `token` of the state directory (`latimer launch` passes it on by itself)",
    )
}

/// For what even a door without a token keeps to whoever owns the state directory.
fn not_the_owner() -> Refusal {
    Refusal::new(403, "permission_error", "token_needed").message(
        "the configuration and the actions of the page need the token, with `server.auth = \"none\"` too; `latimer dashboard` opens the page",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::router::{Admin, AgentsRequest, Stored, Turn};

    #[test]
    fn a_client_key_opens_turns_and_models_and_nothing_of_the_owners() {
        for open in [
            Action::Turn(Turn::Chat),
            Action::Stored(Stored::Get("resp_1")),
            Action::Document(DocumentRequest::Models),
            Action::Document(DocumentRequest::Turns),
        ] {
            assert!(is_for_clients(&open), "{open:?}");
        }
        for closed in [
            Action::Document(DocumentRequest::Accounts),
            Action::Admin(Admin::Overrides),
            Action::Admin(Admin::Watchdog),
            Action::Agents(AgentsRequest::Runs),
            Action::Agents(AgentsRequest::SendMessage),
            Action::Api("turns"),
            Action::Change("config"),
            Action::Page(""),
            Action::BeginSession,
        ] {
            assert!(!is_for_clients(&closed), "{closed:?}");
        }
    }
}
