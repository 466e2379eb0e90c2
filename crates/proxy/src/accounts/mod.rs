//! Accounts: whose they are, whether they are good, and a credential that is good for a while yet.
//!
//! Invariant: a token is refreshed by one refresher at a time, over all tasks and processes, and is written down before anybody
//! uses it. A client that leaves stops no refresh. A file that is broken is reported and never written over; a vendor's file
//! is only ever read.

mod account;
pub mod clients;
pub mod file;
mod fleet;
pub mod lock;
pub mod refresh;
pub mod remote_login;
mod vendor;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;

pub use self::account::Account;
use self::file::Tokens;
pub use self::fleet::{Fleet, FleetFuture, FleetLease};
use crate::config::Login;

/// How long a token endpoint may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// One variable of the environment.
pub type EnvVars = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where accounts and client ids are looked for.
pub struct Places {
    /// latimer's own directory.
    pub state_dir: PathBuf,
    /// The person's, where the vendors' tools keep theirs.
    pub home: Option<PathBuf>,
    /// The environment.
    pub env: EnvVars,
    http: Http,
    /// Other nodes that use the same accounts, where there are any.
    fleet: OnceLock<Arc<dyn Fleet>>,
}

impl Places {
    /// The places of this process. Token endpoints are asked directly.
    pub fn new(
        state_dir: PathBuf,
        home: Option<PathBuf>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let http = Http::new(HttpOptions { outbound: Outbound::Direct, connect: CONNECT, ca_file: None });
        Self { state_dir, home, env: Box::new(env), http, fleet: OnceLock::new() }
    }

    /// The same, whose token endpoints are asked through a proxy.
    #[must_use]
    pub fn through(self, outbound: Outbound) -> Self {
        let http = Http::new(HttpOptions { outbound, connect: CONNECT, ca_file: None });
        Self { http, ..self }
    }

    /// From now on, accounts are refreshed by one of these nodes at a time.
    pub fn join(&self, fleet: Arc<dyn Fleet>) {
        let _ = self.fleet.set(fleet);
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

/// The accounts of a login, and what is wrong with some.
#[derive(Debug, Default)]
pub struct AccountList {
    /// latimer's own first.
    pub accounts: Vec<Arc<Account>>,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// All accounts of a login: latimer's own, then those of the vendor's tool; of two with the same name the first counts.
pub fn load(login: Login, places: &Arc<Places>) -> AccountList {
    let mut found = AccountList::default();
    for path in file::list(&places.state_dir, login) {
        match file::read(&path) {
            Ok(tokens) => found.add(login, path, true, tokens, places),
            Err(broken) => found.problems.push(broken.to_string()),
        }
    }
    for (path, read) in vendor::read(login, places) {
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

impl AccountList {
    fn add(&mut self, login: Login, path: PathBuf, own: bool, tokens: Tokens, places: &Arc<Places>) {
        if self.accounts.iter().any(|known| known.id() == tokens.id || known.has(&tokens.access)) {
            return;
        }
        self.accounts.push(Arc::new(Account::new(login, path, own, tokens, Arc::clone(places))));
    }
}

#[cfg(test)]
mod tests;
