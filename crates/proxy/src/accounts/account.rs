//! One account: a credential that is good for a while yet.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use latimer_adapters::credential::Credential;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::Secret;
use latimer_protocol::status::AccountState;

use super::file::{self, Tokens};
use super::{Places, lock, refresh, vendor};
use crate::clock;
use crate::config::Login;
use crate::sync::lock;

/// A token is refreshed so long before its end, or in the last quarter of its life if that is shorter.
const EARLY: u64 = 300;
/// After a refresh that failed, nobody asks again for so long.
const PAUSE: Duration = Duration::from_secs(30);

/// A refresh under way. It is a task of its own: whoever waits for it may leave.
type Running = Shared<BoxFuture<'static, Result<(), Failure>>>;

/// One person's login with one provider: its tokens, and who renews them.
#[derive(Debug)]
pub struct Account {
    login: Login,
    id: String,
    /// Where it was found.
    path: PathBuf,
    own: bool,
    inner: Mutex<Inner>,
    places: Arc<Places>,
}

struct Inner {
    tokens: Tokens,
    /// How long before its end this token is refreshed, in seconds.
    early: u64,
    running: Option<Running>,
    /// Why the last refresh failed, and when.
    failed: Option<(Failure, Instant)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl Account {
    pub(super) fn new(login: Login, path: PathBuf, own: bool, tokens: Tokens, places: Arc<Places>) -> Self {
        let id = tokens.id.clone();
        let inner = Inner { tokens, early: EARLY, running: None, failed: None };
        Self { login, id, path, own, inner: Mutex::new(inner), places }
    }

    /// What people call it; unique in its pool.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn has(&self, access: &Secret) -> bool {
        self.lock().tokens.access == *access
    }

    /// A credential that can be sent now. One that ends soon is refreshed on the side; one that has ended is waited for.
    ///
    /// # Errors
    /// The refresh failed: as [`refresh::ask`], `Unauthorized` when only a new login helps.
    pub async fn credential(self: &Arc<Self>, now_unix: u64) -> Result<Credential, Failure> {
        let running = {
            let mut inner = self.lock();
            if inner.tokens.is_fresh(now_unix, inner.early) {
                return Ok(self.as_credential(&inner.tokens));
            }
            let running = self.refreshing(&mut inner, None, now_unix);
            if inner.tokens.is_fresh(now_unix, 0) {
                return Ok(self.as_credential(&inner.tokens));
            }
            running
        };
        running?.await?;
        Ok(self.as_credential(&self.lock().tokens))
    }

    /// Refreshes a token that ends soon, so that no turn has to. One that has ended is left to the turn that needs it, and one that is not
    /// latimer's to refresh to its vendor's tool.
    ///
    /// # Errors
    /// The refresh failed: as [`refresh::ask`].
    pub async fn keep_fresh(self: &Arc<Self>, now_unix: u64) -> Result<(), Failure> {
        let running = {
            let mut inner = self.lock();
            let (tokens, early) = (&inner.tokens, inner.early);
            let ends_soon = tokens.is_fresh(now_unix, 0) && !tokens.is_fresh(now_unix, early);
            if !ends_soon || !refresh::is_ours(self.login, self.own, tokens) {
                return Ok(());
            }
            self.refreshing(&mut inner, None, now_unix)?
        };
        running.await
    }

    /// The provider did not take this credential: another one, unless there is none to be had.
    ///
    /// # Errors
    /// No other credential could be had: as [`Self::credential`].
    pub async fn renew(self: &Arc<Self>, refused: &Credential, now_unix: u64) -> Result<Credential, Failure> {
        let running = {
            let mut inner = self.lock();
            if inner.tokens.access != refused.secret {
                return Ok(self.as_credential(&inner.tokens));
            }
            self.refreshing(&mut inner, Some(refused.secret.clone()), now_unix)
        };
        running?.await?;
        Ok(self.as_credential(&self.lock().tokens))
    }

    /// The project of this account, found by its first use: the next start need not ask for it.
    pub fn set_project(self: &Arc<Self>, project: String) {
        {
            let mut inner = self.lock();
            if inner.tokens.project.is_some() {
                return;
            }
            inner.tokens.project = Some(project.clone());
        }
        if !self.own {
            return;
        }
        let account = Arc::clone(self);
        tokio::spawn(async move {
            let path = &account.path;
            let written = async {
                let _lock = lock::take(path).await?;
                let tokens = file::read(path).map_err(std::io::Error::other)?;
                file::write(path, account.login, &Tokens { project: Some(project), ..tokens })
            };
            if let Err(error) = written.await {
                tracing::warn!(event = "account.not_written", path = %path.display(), error = %error);
            }
        });
    }

    /// How it is doing; never a token.
    pub fn state(&self, now_unix: u64) -> AccountState {
        let inner = self.lock();
        let tokens = &inner.tokens;
        let is_dead =
            inner.failed.as_ref().is_some_and(|(failure, _)| failure.kind == FailureKind::Unauthorized);
        let state = match tokens.expires_at {
            _ if is_dead => "needs_login",
            Some(at) if at <= now_unix && refresh::is_ours(self.login, self.own, tokens) => "expired",
            Some(at) if at <= now_unix => "needs_login",
            _ => "ok",
        };
        AccountState {
            login: self.login.name().to_owned(),
            id: self.id.clone(),
            source: if self.own { "latimer".to_owned() } else { self.path.display().to_string() },
            state: state.to_owned(),
            expires_at: tokens.expires_at,
            project: tokens.project.clone(),
        }
    }

    /// The refresh that is under way, or a new one; or why there is none now.
    fn refreshing(
        self: &Arc<Self>,
        inner: &mut Inner,
        refused: Option<Secret>,
        now_unix: u64,
    ) -> Result<Running, Failure> {
        if let Some(running) = &inner.running {
            return Ok(running.clone());
        }
        if let Some((failure, at)) = &inner.failed
            && at.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        let account = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = account.refresh(refused, now_unix).await;
            let mut inner = account.lock();
            inner.running = None;
            inner.failed = outcome.as_ref().err().map(|failure| (failure.clone(), clock::now()));
            if let Err(failure) = &outcome {
                let (login, failure) = (account.login.name(), failure.kind.code());
                tracing::warn!(event = "account.not_refreshed", login, id = %account.id, failure);
            }
            outcome
        });
        let broken = || Failure::new(FailureKind::Internal, "the refresh of an account was broken off");
        let running = task.map(move |joined| joined.unwrap_or_else(|_| Err(broken()))).boxed().shared();
        inner.running = Some(running.clone());
        Ok(running)
    }

    /// A newer token: somebody else's, or one of our own asking.
    async fn refresh(&self, refused: Option<Secret>, now_unix: u64) -> Result<(), Failure> {
        let (old, dead) = {
            let inner = self.lock();
            let failed = inner.failed.as_ref().map(|(failure, _)| failure);
            let dead = failed.filter(|failure| failure.kind == FailureKind::Unauthorized).cloned();
            (inner.tokens.clone(), dead)
        };
        let is_newer = |tokens: &Tokens| {
            tokens.access != old.access
                && refused.as_ref() != Some(&tokens.access)
                && tokens.is_fresh(now_unix, 0)
        };
        // The vendor's tool may have refreshed it meanwhile.
        let newer = if let Some(newer) = self.reread().filter(is_newer) {
            newer
        } else {
            let path = if self.own {
                self.path.clone()
            } else {
                file::vendor_copy_path(&self.places.state_dir, self.login, &self.id)
            };
            let request =
                refresh::RefreshRequest { login: self.login, own: self.own, path, old, refused, dead };
            refresh::refresh(request, &self.places, now_unix).await?
        };
        let mut inner = self.lock();
        let life = newer.expires_at.map_or(u64::MAX, |at| at.saturating_sub(now_unix));
        inner.early = EARLY.min(life / 4);
        let project = newer.project.clone().or_else(|| inner.tokens.project.take());
        inner.tokens = Tokens { project, ..newer };
        Ok(())
    }

    /// What the vendor's file says now.
    fn reread(&self) -> Option<Tokens> {
        if self.own {
            return None;
        }
        let all = vendor::read(self.login, &self.places).into_iter();
        all.flat_map(|(_, read)| read.unwrap_or_default()).find(|tokens| tokens.id == self.id)
    }

    fn as_credential(&self, tokens: &Tokens) -> Credential {
        let credential = match self.login {
            Login::CommandCode => Credential::api_key(&self.id, tokens.access.clone()),
            _ => Credential::access_token(&self.id, tokens.access.clone()),
        };
        Credential { project: tokens.project.clone(), ..credential }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

#[cfg(test)]
mod tests;
