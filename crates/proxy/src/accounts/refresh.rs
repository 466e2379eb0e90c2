//! One refresh: under a lock that holds over processes, written down before it is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use latimer_adapters::auth::token::Token;
use latimer_adapters::auth::{flow, provider, token};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::Secret;

use super::file::{self, Tokens};
use super::{Fleet, Places, clients, lock};
use crate::config::Login;

/// How long a token endpoint may take.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A refresh that is wanted.
pub(super) struct RefreshRequest {
    pub(super) login: Login,
    /// The account is latimer's own; otherwise a vendor's, whose newer tokens are kept beside.
    pub(super) own: bool,
    /// Where the tokens are kept.
    pub(super) path: PathBuf,
    /// What is known now.
    pub(super) old: Tokens,
    /// The provider no longer takes this one, whatever its date says.
    pub(super) refused: Option<Secret>,
    /// The provider refused the refresh token already: only a new login helps.
    pub(super) dead: Option<Failure>,
}

/// Whether the refresh token is ours to use. Some vendors' are good for one use only: used by latimer, it would log their tool out.
pub(super) fn is_ours(login: Login, own: bool, tokens: &Tokens) -> bool {
    tokens.refresh.is_some() && (own || matches!(login, Login::Google | Login::Antigravity))
}

/// Gets a newer token, or finds that somebody else got one.
pub(super) async fn refresh(
    request: RefreshRequest,
    places: &Arc<Places>,
    now_unix: u64,
) -> Result<Tokens, Failure> {
    let RefreshRequest { login, own, path, old, refused, dead } = request;
    let again = || {
        let name = login.name();
        let message = format!(
            "the account {} of the login `{name}` is no longer good; run `latimer login {name}` again",
            old.id
        );
        Failure::new(FailureKind::Unauthorized, message)
    };
    let provider = provider::find(login.name()).ok_or_else(again)?;
    if !is_ours(login, own, &old) {
        return Err(again());
    }
    // The lock lives until the new token stands in the file.
    let _lock = lock::take(&path).await.map_err(|error| {
        Failure::new(FailureKind::Internal, format!("`{}` could not be locked: {error}", path.display()))
    })?;
    let current = match file::read(&path) {
        Ok(newer) if own => newer,
        Err(broken) if own => return Err(Failure::new(FailureKind::Unauthorized, broken.to_string())),
        // Of a vendor's account only what was made of its present refresh token counts.
        Ok(newer) if newer.refresh == old.refresh => newer,
        _ => old.clone(),
    };
    // The lease lives until the new token is on all nodes.
    let fleet = places.fleet.get().filter(|_| own);
    let account = format!("{}/{}", login.name(), old.id);
    let (_lease, current) = match fleet {
        Some(fleet) => {
            let lease =
                fleet.take(&account).await.map_err(|words| Failure::new(FailureKind::Unreachable, words))?;
            (Some(lease), newest_of_nodes(&**fleet, &account, &path, login, current).await)
        }
        None => (None, current),
    };
    let is_newer = current.access != old.access && refused.as_ref() != Some(&current.access);
    if is_newer && current.is_fresh(now_unix, 0) {
        return Ok(current);
    }
    let refresh = current.refresh.clone().ok_or_else(again)?;
    if let Some(dead) = dead.filter(|_| current.refresh == old.refresh) {
        return Err(dead);
    }
    let registered =
        clients::find(provider, places).map_err(|words| Failure::new(FailureKind::Unauthorized, words))?;
    // A refresh token may be good for one use only: what cannot be written must not be asked for.
    file::write(&path, login, &current).map_err(|error| {
        Failure::new(FailureKind::Internal, format!("`{}` cannot be written: {error}", path.display()))
    })?;
    let body = flow::refresh_body(provider, &registered.client, &refresh);
    let fresh = ask(places, &registered.token_url, flow::content_type(provider), body, login).await?;
    let newer = Tokens {
        access: fresh.access,
        refresh: fresh.refresh.or(Some(refresh)),
        expires_at: Some(now_unix.saturating_add(fresh.life.as_secs())),
        ..current
    };
    if let Err(error) = file::write(&path, login, &newer) {
        // It could be written a moment ago. The token is good all the same until latimer stops: a person has to know.
        tracing::error!(event = "account.not_written", path = %path.display(), error = %error);
    }
    if let Some(fleet) = fleet
        && !fleet.keep(&account, file::to_json(&newer)).await
    {
        tracing::error!(event = "account.not_shared", login = login.name(), id = %newer.id, note = "other nodes refresh it with a token that may be used up; log in again there if they fail");
    }
    tracing::info!(event = "account.refreshed", login = login.name(), id = %newer.id);
    Ok(newer)
}

/// What is known on this node, or what another one got, whichever holds longer; that is written down here too.
async fn newest_of_nodes(
    fleet: &dyn Fleet,
    account: &str,
    path: &Path,
    login: Login,
    current: Tokens,
) -> Tokens {
    let told = fleet.newest(account).await.and_then(|bytes| file::of_json(&bytes));
    let Some(told) = told.filter(|told| told.id == current.id && told.expires_at > current.expires_at) else {
        return current;
    };
    if let Err(error) = file::write(path, login, &told) {
        tracing::error!(event = "account.not_written", path = %path.display(), error = %error);
    }
    told
}

/// Asks a token endpoint.
///
/// # Errors
/// The endpoint cannot be reached, takes longer than 30 s, or refuses: `Unauthorized` when only a new login helps.
pub async fn ask(
    places: &Places,
    url: &str,
    content_type: &'static str,
    body: String,
    login: Login,
) -> Result<Token, Failure> {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ];
    let answer = places.http().post(url, &headers, body.into(), REFRESH_TIMEOUT).await?;
    let status = answer.status.as_u16();
    token::read(status, &read_error_body(answer.body, MAX_ANSWER_BYTES, REFRESH_TIMEOUT).await, login.name())
}

#[cfg(test)]
mod tests;
