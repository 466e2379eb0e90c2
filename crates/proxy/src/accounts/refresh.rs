//! One refresh: under a lock that holds over processes, written down before it is used.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use latimer_adapters::auth::token::Token;
use latimer_adapters::auth::{flow, provider, token};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, Kind};

use super::file::{self, Tokens};
use super::{EARLY, Places, clients, is_fresh};
use crate::config::Login;

/// How long a token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long another process may hold the lock.
const WAIT: Duration = Duration::from_secs(45);
/// The most of an answer that is read.
const MOST: usize = 1 << 20;

/// Gets a newer token, or finds that somebody else got one.
pub(super) async fn refresh(
    login: Login,
    path: &Path,
    own: bool,
    tokens: &Tokens,
    places: &Arc<Places>,
    now_unix: u64,
) -> Result<Tokens, Failure> {
    let again = || {
        let name = login.name();
        let message =
            format!("the login `{name}` ({}) has run out; run `latimer login {name}` again", tokens.id);
        Failure::new(Kind::Unauthorized, message)
    };
    let provider = provider::find(login.name()).ok_or_else(again)?;
    // The lock lives until the new token stands in the file.
    let _lock = if own { Some(lock(path).await?) } else { None };
    let current = if own {
        file::read(path).map_err(|broken| Failure::new(Kind::Unauthorized, broken.to_string()))?
    } else {
        tokens.clone()
    };
    if current.access != tokens.access && is_fresh(&current, now_unix, EARLY) {
        return Ok(current);
    }
    let refresh = current.refresh.clone().ok_or_else(again)?;
    let registered =
        clients::find(provider, places).map_err(|words| Failure::new(Kind::Unauthorized, words))?;
    let body = flow::refresh(provider, &registered.client, &refresh);
    let fresh = ask(places, &registered.token_url, flow::content_type(provider), body, login).await?;
    let newer = Tokens {
        access: fresh.access,
        refresh: fresh.refresh.or(Some(refresh)),
        expires_at: Some(now_unix.saturating_add(fresh.life.as_secs())),
        ..current
    };
    if own {
        file::write(path, login, &newer).map_err(|error| {
            // The old refresh token may be gone by now: a person has to know.
            tracing::error!(event = "account.not_written", path = %path.display(), error = %error);
            Failure::new(
                Kind::Internal,
                format!("a new token could not be written to `{}`: {error}", path.display()),
            )
        })?;
    }
    tracing::info!(event = "account.refreshed", login = login.name(), id = %newer.id);
    Ok(newer)
}

/// Asks a token endpoint.
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
    let answer = places.http().post(url, &headers, body.into(), PATIENCE).await?;
    let status = answer.status.as_u16();
    token::read(status, &read_error_body(answer.body, MOST, PATIENCE).await, login.name())
}

/// An exclusive lock beside the file; released when it is dropped, also by a process that dies.
async fn lock(path: &Path) -> Result<File, Failure> {
    let path: PathBuf = path.with_extension("lock");
    let shown = path.display().to_string();
    let take = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.lock()?;
        Ok::<File, std::io::Error>(file)
    });
    let failed = |why: String| Failure::new(Kind::Internal, format!("`{shown}` could not be locked: {why}"));
    match tokio::time::timeout(WAIT, take).await {
        Ok(Ok(Ok(file))) => Ok(file),
        Ok(Ok(Err(error))) => Err(failed(error.to_string())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("another process holds it".to_owned())),
    }
}
