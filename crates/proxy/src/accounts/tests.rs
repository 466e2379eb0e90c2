//! Accounts on a disk of their own, with a token endpoint that answers by a script.

use latimer_adapters::scripted::Service;
use latimer_protocol::secret::Secret;
use serde_json::{Value, json};

use super::file::Tokens;
use super::*;

/// The time at which tests begin, in Unix seconds.
pub(super) const NOW: u64 = 1_800_000_000;

/// A state directory, a home, and the token endpoint of Google.
pub(super) struct Lab {
    pub(super) dir: tempfile::TempDir,
    pub(super) places: Arc<Places>,
    pub(super) service: Service,
}

impl Lab {
    /// With these answers of the token endpoint, each a status and a body.
    pub(super) async fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let script = answers.into_iter().map(|(status, body)| ("POST /token", status, body)).collect();
        let service = Service::start(script).await.expect("a port");
        let dir = tempfile::tempdir().expect("a directory");
        let state_dir = dir.path().join("state");
        let client = json!({ "client_id": "id", "client_secret": "s", "token_url": format!("{}/token", service.base) });
        let clients = json!({ "google": client, "chatgpt": client });
        write_private(&state_dir.join(clients::FILE), &clients);
        let places = Arc::new(Places::new(state_dir, Some(dir.path().join("home")), |_| None));
        Self { dir, places, service }
    }

    /// Writes the file of an account of latimer's own.
    pub(super) fn own(&self, tokens: &Tokens) -> PathBuf {
        let path = file::path(&self.places.state_dir, Login::Google, &tokens.id);
        file::write(&path, Login::Google, tokens).expect("written");
        path
    }

    /// Writes the file of the Gemini CLI.
    pub(super) fn vendor(&self, access: &str, expires_at: u64) -> PathBuf {
        let path = self.dir.path().join("home/.gemini/oauth_creds.json");
        let fields =
            json!({ "access_token": access, "refresh_token": "vendor-rt", "expiry_date": expires_at * 1000 });
        write_private(&path, &fields);
        path
    }

    /// The one account of a login.
    pub(super) fn account(&self, login: Login) -> Arc<Account> {
        let AccountList { mut accounts, problems } = load(login, &self.places);
        assert_eq!((accounts.len(), problems), (1, Vec::new()));
        accounts.remove(0)
    }

    /// How often the token endpoint was asked.
    pub(super) fn asked(&self) -> usize {
        self.service.requests().len()
    }
}

fn write_private(path: &std::path::Path, value: &Value) {
    latimer_files::prepare(path.parent().expect("a folder")).expect("made");
    latimer_files::write(path, value.to_string().as_bytes()).expect("written");
}

/// Tokens that end so many seconds after the beginning of the test.
pub(super) fn tokens(id: &str, access: &str, ends_in: u64) -> Tokens {
    Tokens {
        id: id.to_owned(),
        access: Secret::new(access),
        refresh: Some(Secret::new("rt-1")),
        expires_at: Some(NOW + ends_in),
        project: None,
    }
}

/// The token endpoint's yes.
pub(super) fn granted(access: &str, life: u64) -> (u16, Value) {
    (200, json!({ "access_token": access, "refresh_token": format!("rt-of-{access}"), "expires_in": life }))
}

/// The token endpoint's no for good.
pub(super) fn revoked() -> (u16, Value) {
    (400, json!({ "error": "invalid_grant" }))
}

#[tokio::test]
async fn own_accounts_come_first_and_each_person_and_token_is_there_once() {
    let lab = Lab::new([]).await;
    lab.own(&tokens("me@test", "at-1", 60));
    lab.vendor("at-2", NOW + 60);
    let ids = |lab: &Lab| -> Vec<String> {
        load(Login::Google, &lab.places).accounts.iter().map(|account| account.id().to_owned()).collect()
    };
    assert_eq!(ids(&lab), ["me@test", "gemini-cli"]);
    lab.vendor("at-1", NOW + 60);
    assert_eq!(ids(&lab), ["me@test"], "the same token under another name is the same account");
    assert!(load(Login::Antigravity, &lab.places).accounts.is_empty(), "an account is of one login");
}

#[tokio::test]
async fn a_broken_file_is_a_problem_and_hides_no_other_account() {
    let lab = Lab::new([]).await;
    let path = lab.own(&tokens("me@test", "at-1", 60));
    lab.vendor("at-2", NOW + 60);
    std::fs::write(&path, "{\"id\":").expect("written");
    let AccountList { accounts, problems } = load(Login::Google, &lab.places);
    assert_eq!((accounts.len(), problems.len()), (1, 1), "{problems:?}");
    assert!(problems[0].contains(&path.display().to_string()), "{problems:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "{\"id\":", "never written over");
}

#[test]
fn an_account_is_called_by_the_best_name_there_is() {
    let token = |email: Option<&str>, account: Option<&str>| latimer_adapters::auth::token::Token {
        access: Secret::new("a"),
        refresh: None,
        life: Duration::from_secs(60),
        email: email.map(str::to_owned),
        account: account.map(str::to_owned),
    };
    let stored =
        |token, email: Option<&str>| Tokens::of_token(Login::Google, token, email.map(str::to_owned), 1000);
    assert_eq!(stored(token(Some("in@token"), Some("account")), None).id, "in@token");
    assert_eq!(stored(token(None, Some("account")), Some("asked@for")).id, "asked@for");
    assert_eq!(stored(token(None, Some("account")), None).id, "account");
    assert!(stored(token(None, None), None).id.starts_with("google-"));
    assert_eq!(stored(token(None, None), None).expires_at, Some(1060));
}

#[test]
fn two_accounts_without_a_name_stay_two() {
    let id = |key: &str| file::fingerprint_id(Login::CommandCode, &Secret::new(key));
    assert_ne!(id("user_1"), id("user_2"));
    assert_eq!(id("user_1"), id("user_1"));
    assert!(id("user_1").starts_with("command-code-") && !id("user_1").contains("user_1"));
}
