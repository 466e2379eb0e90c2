//! Codebuff's login: it hands out an address, and is asked until the person said yes there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::file::Tokens;
use latimer_proxy::accounts::{Places, clients};
use latimer_proxy::config::state;
use serde_json::{Value, json};

use super::lasting;
use super::request::{get, post_json};
use crate::browser;
use crate::clock;
use crate::terminal::{print_address, print_line};

/// Where Codebuff logs people in.
const BASE_URL: &str = "https://www.codebuff.com";
/// How often Codebuff is asked whether the person said yes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A login that Codebuff has begun.
#[derive(Debug, PartialEq, Eq)]
struct PendingLogin {
    /// What the person opens.
    url: String,
    /// The query by which Codebuff is asked how it stands.
    status_query: String,
}

/// # Errors
/// Codebuff does not answer, or the person says nothing in time.
pub(super) async fn login(opens_browser: bool, timeout: Duration, places: &Places) -> anyhow::Result<Tokens> {
    let base = clients::base_url("codebuff", BASE_URL, places).map_err(anyhow::Error::msg)?;
    let fingerprint = uuid()?;
    let body = json!({ "fingerprintId": fingerprint }).to_string();
    let (_, answer) = post_json(places, &format!("{base}/api/auth/cli/code"), body).await?;
    let login = pending_login(&answer, &fingerprint)?;
    print_line("open this address and say yes:")?;
    print_address(&login.url)?;
    if opens_browser {
        browser::open(&login.url);
    }
    let status_url = format!("{base}/api/auth/cli/status?{}", login.status_query);
    let deadline = clock::now() + timeout;
    while clock::now() < deadline {
        let (status, answer) = get(places, &status_url).await?;
        if let Some(tokens) = tokens(status, &answer) {
            return Ok(tokens);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    bail!("nobody said yes within {} seconds", timeout.as_secs())
}

fn pending_login(answer: &[u8], fingerprint: &str) -> anyhow::Result<PendingLogin> {
    let answer: Value =
        serde_json::from_slice(answer).context("Codebuff answered with something that is no JSON")?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let (url, hash) = (text("loginUrl"), text("fingerprintHash"));
    if url.is_empty() || hash.is_empty() {
        bail!("Codebuff began no login; try again later");
    }
    // A number or a text, and sent back as it came.
    let expires_at = answer.get("expiresAt").map(Value::to_string).unwrap_or_default();
    let expires_at = expires_at.trim_matches('"');
    let status_query = format!("fingerprintId={fingerprint}&fingerprintHash={hash}&expiresAt={expires_at}");
    Ok(PendingLogin { url: url.to_owned(), status_query })
}

/// The account, once the person said yes.
fn tokens(status: u16, answer: &[u8]) -> Option<Tokens> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let user = answer.get("user").filter(|_| (200..300).contains(&status))?;
    let token = user.get("authToken")?.as_str()?;
    let id = ["email", "id"].iter().find_map(|name| user.get(*name)?.as_str()).unwrap_or("codebuff");
    Some(lasting(id.to_owned(), Secret::new(token)))
}

/// A random identifier of this login, in the form of a UUID of version 4.
fn uuid() -> anyhow::Result<String> {
    let secret = state::random_secret().context("randomness of the system")?;
    let hex = secret.expose();
    Ok(format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_asked_after_with_what_came_with_it() {
        for expires_at in ["17", "\"17\""] {
            let answer =
                format!(r#"{{"loginUrl":"https://x","fingerprintHash":"h","expiresAt":{expires_at}}}"#);
            let login = pending_login(answer.as_bytes(), "f").expect("a login");
            assert_eq!(login.status_query, "fingerprintId=f&fingerprintHash=h&expiresAt=17");
        }
        for answer in ["{}", "<html>"] {
            assert!(pending_login(answer.as_bytes(), "f").is_err(), "{answer}");
        }
    }

    #[test]
    fn an_account_comes_with_the_token_only() {
        let answer = br#"{"user":{"authToken":"t","id":"7"}}"#;
        assert_eq!(tokens(200, answer).map(|tokens| tokens.id).as_deref(), Some("7"));
        assert!(tokens(401, answer).is_none() && tokens(200, br#"{"user":{}}"#).is_none());
    }

    #[test]
    fn an_identifier_looks_like_a_uuid() {
        let uuid = uuid().expect("randomness");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    }
}
