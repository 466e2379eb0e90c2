//! Logins that need no browser on this machine: a code that a person types on any device, or an address that they open there. The
//! command line waits for one in the terminal, the page in the background.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use latimer_adapters::auth::device::{self, DeviceAuthorization, DevicePoll};
use latimer_adapters::auth::flow;
use latimer_adapters::auth::provider::{self, LoginProvider};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use serde_json::{Value, json};

use super::clients::{self, OAuthConfig};
use super::file::{self, Tokens};
use super::{Places, lock, refresh};
use crate::clock;
use crate::config::{Login, state};

/// Where Codebuff logs people in.
const CODEBUFF: &str = "https://www.codebuff.com";
/// How often Codebuff is asked whether the person said yes.
const CODEBUFF_INTERVAL: Duration = Duration::from_secs(2);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 16;

/// A login that waits for its person.
#[derive(Debug)]
pub struct RemoteLogin {
    /// Whose.
    pub login: Login,
    /// What the person opens, on any device.
    pub url: String,
    /// What they type there, where that is needed.
    pub code: Option<String>,
    /// How long to wait before each question.
    pub interval: Duration,
    wire: LoginWire,
}

/// How the provider is asked.
#[derive(Debug)]
enum LoginWire {
    /// By a device code, whose token endpoint is OAuth's.
    Device {
        provider: &'static LoginProvider,
        registered: OAuthConfig,
        base: String,
        authorization: DeviceAuthorization,
    },
    /// Codebuff's own.
    Codebuff { status_url: String },
}

/// Whether a login can be made so.
pub fn is_offered(login: Login) -> bool {
    login == Login::Codebuff || device_of(login).is_some()
}

fn device_of(login: Login) -> Option<(&'static LoginProvider, provider::DeviceLogin)> {
    let provider = provider::find(login.name())?;
    Some((provider, provider.device?))
}

/// Begins a login.
///
/// # Errors
/// In words for a person: the login has no such way, no client id is known, or the provider begins none.
pub async fn begin(login: Login, places: &Places) -> Result<RemoteLogin, String> {
    if login == Login::Codebuff {
        return begin_codebuff(places).await;
    }
    let (provider, device) = device_of(login)
        .ok_or_else(|| format!("{0} has no login by code; run `latimer login {0}`", login.name()))?;
    let registered = clients::find(provider, places)?;
    let base = clients::base_url(provider.name, device.base_url, places)?;
    let request = device::authorization_request(&registered.client);
    let (status, body) = post(places, &device::authorization_url(&base), request).await?;
    let authorization = device::read_authorization(status, &body)?;
    Ok(RemoteLogin {
        login,
        url: device::verification_url(&base),
        code: Some(authorization.user_code.clone()),
        interval: authorization.interval,
        wire: LoginWire::Device { provider, registered, base, authorization },
    })
}

impl RemoteLogin {
    /// Asks whether the person is done: the account, once they are.
    ///
    /// # Errors
    /// In words for a person: the provider refuses.
    pub async fn poll(&self, places: &Places) -> Result<Option<Tokens>, String> {
        match &self.wire {
            LoginWire::Codebuff { status_url } => {
                let (status, answer) = get(places, status_url).await?;
                Ok(codebuff_tokens(status, &answer))
            }
            LoginWire::Device { provider, registered, base, authorization } => {
                let request = device::poll_request(authorization);
                let (status, body) = post(places, &device::poll_url(base), request).await?;
                match device::read_poll(status, &body)? {
                    DevicePoll::Pending => Ok(None),
                    DevicePoll::Code { code, verifier } => {
                        let redirect = device::redirect(base);
                        let body = flow::device_exchange_body(
                            provider,
                            &registered.client,
                            &redirect,
                            &code,
                            &verifier,
                        );
                        let content_type = flow::content_type(provider);
                        let token =
                            refresh::ask(places, &registered.token_url, content_type, body, self.login).await;
                        let token = token.map_err(|failure| failure.message.to_string())?;
                        Ok(Some(Tokens::of_token(self.login, token, None, clock::unix_now())))
                    }
                }
            }
        }
    }

    /// Asks until the person is done.
    ///
    /// # Errors
    /// In words for a person: the provider refuses, or nobody came in time.
    pub async fn wait(&self, places: &Places, timeout: Duration) -> Result<Tokens, String> {
        let deadline = clock::now() + timeout;
        loop {
            if let Some(tokens) = self.poll(places).await? {
                return Ok(tokens);
            }
            if clock::now() >= deadline {
                return Err(format!("nobody came back within {} seconds", timeout.as_secs()));
            }
            tokio::time::sleep(self.interval).await;
        }
    }
}

/// Writes an account down. A refresh of the same one may be under way: its token must not overwrite this one.
///
/// # Errors
/// In words for a person: the file cannot be locked or written.
pub async fn save(login: Login, tokens: &Tokens, places: &Arc<Places>) -> Result<(), String> {
    let path = file::path(&places.state_dir, login, &tokens.id);
    let _lock = lock::take(&path).await.map_err(|error| format!("locking `{}`: {error}", path.display()))?;
    file::write(&path, login, tokens).map_err(|error| format!("writing `{}`: {error}", path.display()))
}

async fn begin_codebuff(places: &Places) -> Result<RemoteLogin, String> {
    let base = clients::base_url(Login::Codebuff.name(), CODEBUFF, places)?;
    let fingerprint = uuid().map_err(|error| format!("the system gives no randomness: {error}"))?;
    let body = json!({ "fingerprintId": fingerprint }).to_string();
    let (_, answer) = post(places, &format!("{base}/api/auth/cli/code"), body).await?;
    let (url, query) = codebuff_login(&answer, &fingerprint)?;
    let wire = LoginWire::Codebuff { status_url: format!("{base}/api/auth/cli/status?{query}") };
    Ok(RemoteLogin { login: Login::Codebuff, url, code: None, interval: CODEBUFF_INTERVAL, wire })
}

/// What the person opens, and the query by which Codebuff is asked how it stands.
fn codebuff_login(answer: &[u8], fingerprint: &str) -> Result<(String, String), String> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|_| "Codebuff answered with something that is no JSON".to_owned())?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let (url, hash) = (text("loginUrl"), text("fingerprintHash"));
    if url.is_empty() || hash.is_empty() {
        return Err("Codebuff began no login; try again later".to_owned());
    }
    // A number or a text, and sent back as it came.
    let expires_at = answer.get("expiresAt").map(Value::to_string).unwrap_or_default();
    let expires_at = expires_at.trim_matches('"');
    let query = format!("fingerprintId={fingerprint}&fingerprintHash={hash}&expiresAt={expires_at}");
    Ok((url.to_owned(), query))
}

/// The account, once the person said yes.
fn codebuff_tokens(status: u16, answer: &[u8]) -> Option<Tokens> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let user = answer.get("user").filter(|_| (200..300).contains(&status))?;
    let token = user.get("authToken")?.as_str()?;
    let id = ["email", "id"].iter().find_map(|name| user.get(*name)?.as_str()).unwrap_or("codebuff");
    Some(Tokens::lasting(id.to_owned(), Secret::new(token)))
}

/// A random identifier of a login, in the form of a UUID of version 4.
fn uuid() -> std::io::Result<String> {
    let secret = state::random_secret()?;
    let hex = secret.expose();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok(format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32)))
}

async fn post(places: &Places, url: &str, body: String) -> Result<(u16, Vec<u8>), String> {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let answer = places.http().post(url, &headers, body.into(), REQUEST_TIMEOUT).await;
    let answer = answer.map_err(|failure| failure.message.to_string())?;
    let status = answer.status.as_u16();
    Ok((status, read_error_body(answer.body, MAX_ANSWER_BYTES, REQUEST_TIMEOUT).await))
}

async fn get(places: &Places, url: &str) -> Result<(u16, Vec<u8>), String> {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let answer = places.http().get(url, &headers, REQUEST_TIMEOUT).await;
    let answer = answer.map_err(|failure| failure.message.to_string())?;
    let status = answer.status.as_u16();
    Ok((status, read_error_body(answer.body, MAX_ANSWER_BYTES, REQUEST_TIMEOUT).await))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_logins_can_be_made_on_another_device() {
        let offered: Vec<&str> =
            Login::ALL.into_iter().filter(|login| is_offered(*login)).map(Login::name).collect();
        assert_eq!(offered, ["codebuff", "chatgpt"]);
    }

    #[test]
    fn a_login_is_asked_after_with_what_came_with_it() {
        for expires_at in ["17", "\"17\""] {
            let answer =
                format!(r#"{{"loginUrl":"https://x","fingerprintHash":"h","expiresAt":{expires_at}}}"#);
            let (_, query) = codebuff_login(answer.as_bytes(), "f").expect("a login");
            assert_eq!(query, "fingerprintId=f&fingerprintHash=h&expiresAt=17");
        }
        for answer in ["{}", "<html>"] {
            assert!(codebuff_login(answer.as_bytes(), "f").is_err(), "{answer}");
        }
    }

    #[test]
    fn an_account_comes_with_the_token_only() {
        let answer = br#"{"user":{"authToken":"t","id":"7"}}"#;
        assert_eq!(codebuff_tokens(200, answer).map(|tokens| tokens.id).as_deref(), Some("7"));
        assert!(codebuff_tokens(401, answer).is_none() && codebuff_tokens(200, br#"{"user":{}}"#).is_none());
    }

    #[test]
    fn an_identifier_looks_like_a_uuid() {
        let uuid = uuid().expect("randomness");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    }
}
