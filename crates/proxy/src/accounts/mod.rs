//! Accounts: whose they are, whether they are good, and a credential that is good for a while yet.
//!
//! Invariant: a token is refreshed by one refresher at a time, over all tasks and processes, and is written down before anybody
//! uses it. A file that is broken is reported and never written over.

pub mod clients;
pub mod file;
pub mod refresh;
mod vendor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::credential::Credential;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::status::AccountState;
use tokio::sync::Mutex;

use self::file::Tokens;
use crate::config::Login;

/// A token is refreshed so long before its end.
const EARLY: u64 = 300;
/// How long a token endpoint may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// One variable of the environment.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where accounts and client ids are looked for.
pub struct Places {
    /// latimer's own directory.
    pub state_dir: PathBuf,
    /// The person's, where the vendors' tools keep theirs.
    pub home: Option<PathBuf>,
    /// The environment.
    pub env: Environment,
    http: Http,
}

impl Places {
    /// The places of this process.
    pub fn new(
        state_dir: PathBuf,
        home: Option<PathBuf>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let http = Http::new(HttpOptions { connect: CONNECT, ca_file: None });
        Self { state_dir, home, env: Box::new(env), http }
    }

    /// The client for token endpoints.
    pub fn http(&self) -> &Http {
        &self.http
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("state_dir", &self.state_dir)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// One account.
#[derive(Debug)]
pub struct Account {
    login: Login,
    id: String,
    /// Its file; latimer's own may be written.
    path: PathBuf,
    own: bool,
    tokens: Mutex<Tokens>,
    places: Arc<Places>,
}

/// The accounts of a login, and what is wrong with some.
#[derive(Debug, Default)]
pub struct Found {
    /// latimer's own first.
    pub accounts: Vec<Arc<Account>>,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// All accounts of a login: latimer's own, then those of the vendor's tool; of two with the same name the first counts.
pub fn load(login: Login, places: &Arc<Places>) -> Found {
    let mut found = Found::default();
    for path in file::list(&places.state_dir, login) {
        match file::read(&path) {
            Ok(tokens) => found.add(login, path, true, tokens, places),
            Err(broken) => found.problems.push(broken.to_string()),
        }
    }
    let home = places.home.as_deref();
    for (path, read) in home.map(|home| vendor::read(login, home)).unwrap_or_default() {
        match read {
            Ok(all) => {
                for tokens in all {
                    found.add(login, path.clone(), false, tokens, places);
                }
            }
            Err(broken) => found.problems.push(broken.to_string()),
        }
    }
    found
}

impl Found {
    fn add(&mut self, login: Login, path: PathBuf, own: bool, tokens: Tokens, places: &Arc<Places>) {
        if self.accounts.iter().any(|known| known.id == tokens.id) {
            return;
        }
        let id = tokens.id.clone();
        let (tokens, places) = (Mutex::new(tokens), Arc::clone(places));
        self.accounts.push(Arc::new(Account { login, id, path, own, tokens, places }));
    }
}

impl Account {
    /// What people call it; unique in its pool.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A credential that is good for a while yet, refreshed if needed.
    pub async fn credential(&self, now_unix: u64) -> Result<Credential, Failure> {
        let mut tokens = self.tokens.lock().await;
        if !is_fresh(&tokens, now_unix, EARLY) {
            self.refresh(&mut tokens, now_unix).await?;
        }
        Ok(self.as_credential(&tokens))
    }

    /// The provider did not take this credential: another one, unless there is none to be had.
    pub async fn renewed(&self, refused: &Credential, now_unix: u64) -> Result<Credential, Failure> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access == refused.secret {
            tokens.expires_at = Some(0);
            self.refresh(&mut tokens, now_unix).await?;
        }
        if tokens.access == refused.secret {
            return Err(self.login_again());
        }
        Ok(self.as_credential(&tokens))
    }

    /// How it is doing; never a token.
    pub fn state(&self, now_unix: u64) -> AccountState {
        let (expires_at, project, can_refresh) =
            self.tokens.try_lock().map_or((None, None, true), |tokens| {
                (tokens.expires_at, tokens.project.clone(), tokens.refresh.is_some())
            });
        let state = match expires_at {
            Some(at) if at <= now_unix && can_refresh => "expired",
            Some(at) if at <= now_unix => "needs_login",
            _ => "ok",
        };
        AccountState {
            login: self.login.name().to_owned(),
            id: self.id.clone(),
            source: if self.own { "latimer".to_owned() } else { self.path.display().to_string() },
            state: state.to_owned(),
            expires_at,
            project,
        }
    }

    /// A newer token: somebody else's, or one of our own asking.
    async fn refresh(&self, tokens: &mut Tokens, now_unix: u64) -> Result<(), Failure> {
        if !self.own {
            // The vendor's tool may have refreshed it meanwhile.
            if let Some(newer) =
                self.reread().filter(|newer| is_fresh(newer, now_unix, 0) && *newer != *tokens)
            {
                *tokens = newer;
                return Ok(());
            }
        }
        match refresh::refresh(self.login, &self.path, self.own, tokens, &self.places, now_unix).await {
            Ok(newer) => {
                *tokens = newer;
                Ok(())
            }
            // What is still good is used on.
            Err(failure) if failure.kind != Kind::Unauthorized && is_fresh(tokens, now_unix, 0) => {
                tracing::warn!(
                    event = "account.not_refreshed",
                    login = self.login.name(),
                    failure = failure.kind.code()
                );
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn reread(&self) -> Option<Tokens> {
        let home = self.places.home.as_deref()?;
        let all = vendor::read(self.login, home).into_iter().flat_map(|(_, read)| read.unwrap_or_default());
        all.into_iter().find(|tokens| tokens.id == self.id)
    }

    fn as_credential(&self, tokens: &Tokens) -> Credential {
        let credential = match self.login {
            Login::CommandCode => Credential::api_key(&self.id, tokens.access.clone()),
            _ => Credential::access_token(&self.id, tokens.access.clone()),
        };
        Credential { project: tokens.project.clone(), ..credential }
    }

    fn login_again(&self) -> Failure {
        let login = self.login.name();
        let message = format!(
            "the account {} of the login `{login}` was refused; run `latimer login {login}` again",
            self.id
        );
        Failure::new(Kind::Unauthorized, message)
    }
}

/// Whether an access token is good for so many seconds more.
fn is_fresh(tokens: &Tokens, now_unix: u64, more: u64) -> bool {
    tokens.expires_at.is_none_or(|at| at > now_unix.saturating_add(more))
}
