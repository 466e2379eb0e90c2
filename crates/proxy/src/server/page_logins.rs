//! Logins that a page began: a person types a code on any device, and meanwhile the provider is asked in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::accounts::Places;
use crate::accounts::remote_login::{self, RemoteLogin};
use crate::clock;
use crate::config::Login;
use crate::http::refusal::Refusal;
use crate::sync::lock;

/// How long a person may take.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The logins that pages began since the start, the newest of each kind.
#[derive(Debug, Default)]
pub(super) struct PageLogins {
    states: Mutex<BTreeMap<&'static str, LoginState>>,
    /// Ask the providers; they end with the proxy.
    tasks: Mutex<JoinSet<()>>,
}

/// How a login stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum LoginState {
    /// A person is asked for.
    Waiting {
        /// What they open, on any device.
        url: String,
        /// What they type there.
        code: Option<String>,
        /// Until when, in Unix seconds.
        until: u64,
    },
    /// The account can be used.
    Done {
        /// What it is called.
        account: String,
    },
    /// It came to nothing.
    Failed {
        /// In words for a person.
        why: String,
    },
}

impl PageLogins {
    /// Begins a login, or shows the one that waits already.
    ///
    /// # Errors
    ///
    /// There is no such login, or none that needs no browser on this machine (400), or the provider begins none (502).
    pub(super) async fn begin(
        self: &Arc<Self>,
        name: &str,
        places: Option<Arc<Places>>,
    ) -> Result<Value, Refusal> {
        let login =
            Login::from_name(name).filter(|login| remote_login::is_offered(*login)).ok_or_else(|| {
                let shown = crate::text::shown(name, crate::text::MAX_WORD);
                Refusal::invalid(400, "no_remote_login").message(format!(
                    "`{shown}` has no login by code; run `latimer login {shown}` in a terminal"
                ))
            })?;
        let places = places.ok_or_else(|| {
            Refusal::invalid(409, "no_state_directory")
                .message("without a state directory no account is kept")
        })?;
        let waits =
            lock(&self.states).get(login.name()).filter(|state| state.waits(clock::unix_now())).cloned();
        if let Some(state) = waits {
            return Ok(json!(state));
        }
        let begun = remote_login::begin(login, &places)
            .await
            .map_err(|why| Refusal::new(502, "server_error", "no_login").message(why))?;
        let state = LoginState::Waiting {
            url: begun.url.clone(),
            code: begun.code.clone(),
            until: clock::unix_now().saturating_add(TIMEOUT.as_secs()),
        };
        lock(&self.states).insert(login.name(), state.clone());
        tracing::info!(event = "account.login_begun", login = login.name());
        let tasks = &mut *lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        // Not the owner's: it owns the tasks.
        let logins = Arc::downgrade(self);
        tasks.spawn(async move {
            let state = finish(begun, &places).await;
            if let Some(logins) = logins.upgrade() {
                lock(&logins.states).insert(login.name(), state);
            }
        });
        Ok(json!(state))
    }

    /// Every login, whether it can be made from a page, and how the one stands that was.
    pub(super) fn document(&self) -> Value {
        let states = lock(&self.states);
        let row = |login: Login| {
            json!({
                "login": login.name(),
                "from_page": remote_login::is_offered(login),
                "begun": states.get(login.name()),
            })
        };
        Login::ALL.into_iter().map(row).collect()
    }
}

/// Asks the provider until the person is done, and writes the account down.
async fn finish(begun: RemoteLogin, places: &Arc<Places>) -> LoginState {
    let login = begun.login;
    let done = async {
        let tokens = begun.wait(places, TIMEOUT).await?;
        remote_login::save(login, &tokens, places).await?;
        Ok::<_, String>(tokens.id)
    };
    match done.await {
        Ok(account) => {
            tracing::info!(event = "account.logged_in", login = login.name(), id = %account);
            LoginState::Done { account }
        }
        Err(why) => {
            tracing::warn!(event = "account.login_failed", login = login.name(), why = %why);
            LoginState::Failed { why }
        }
    }
}

impl LoginState {
    fn waits(&self, now_unix: u64) -> bool {
        matches!(self, Self::Waiting { until, .. } if *until > now_unix)
    }
}

#[cfg(test)]
mod tests {
    use latimer_adapters::scripted::Service;

    use super::*;
    use crate::accounts::file;

    async fn places(
        dir: &std::path::Path,
        script: Vec<(&'static str, u16, Value)>,
    ) -> (Arc<Places>, Service) {
        let service = Service::start(script).await.expect("a service");
        let client = json!({ "chatgpt": {
            "client_id": "an-id", "base_url": service.base, "token_url": format!("{}/token", service.base),
        } });
        latimer_files::write(&dir.join("oauth-clients.json"), client.to_string().as_bytes())
            .expect("written");
        (Arc::new(Places::new(dir.to_owned(), None, |_| None)), service)
    }

    #[tokio::test]
    async fn a_code_is_shown_and_the_account_is_there_once_it_was_typed() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = vec![
            (
                "deviceauth/usercode",
                200,
                json!({ "device_auth_id": "d", "user_code": "AB-CD", "interval": "0" }),
            ),
            ("deviceauth/token", 403, json!({})),
            ("deviceauth/token", 200, json!({ "authorization_code": "c", "code_verifier": "v" })),
            ("/token", 200, json!({ "access_token": "at", "refresh_token": "rt", "expires_in": 3600 })),
        ];
        let (places, _service) = places(dir.path(), script).await;
        let logins = Arc::new(PageLogins::default());
        let begun = logins.begin("chatgpt", Some(Arc::clone(&places))).await.expect("begun");
        assert_eq!((&begun["state"], &begun["code"]), (&json!("waiting"), &json!("AB-CD")), "{begun}");
        assert!(begun["url"].as_str().is_some_and(|url| url.ends_with("/codex/device")), "{begun}");
        let done = async {
            while file::list(dir.path(), Login::ChatGpt).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done).await.expect("the account is written");
        let state = || {
            logins
                .document()
                .as_array()
                .and_then(|rows| rows.iter().find(|row| row["login"] == "chatgpt").cloned())
        };
        while state().expect("a row")["begun"]["state"] == "waiting" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let row = state().expect("a row");
        assert_eq!(row["begun"]["state"], "done", "{row}");
        assert!(!logins.document().to_string().contains("\"at\""), "no token");
    }

    #[tokio::test]
    async fn what_needs_a_terminal_says_so() {
        let logins = Arc::new(PageLogins::default());
        let refused = logins.begin("google", None).await.expect_err("refused");
        assert!(
            refused.status == 400 && refused.message.contains("latimer login google"),
            "{}",
            refused.message
        );
        assert_eq!(logins.begin("mood", None).await.expect_err("refused").status, 400);
        assert_eq!(logins.begin("chatgpt", None).await.expect_err("refused").status, 409);
    }
}
