//! What a token endpoint answers. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::Secret;
use serde_json::Value;

use crate::errors::{self, ErrorContext};

/// A token, fresh from its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What requests carry.
    pub access: Secret,
    /// What makes the next one; an endpoint may leave the old one valid and send none.
    pub refresh: Option<Secret>,
    /// How long the access token is good for.
    pub life: Duration,
    /// Who the person is, where the answer says.
    pub email: Option<String>,
    /// The account of a ChatGPT subscription.
    pub account: Option<String>,
}

/// Assumed where an answer does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(3600);

/// Reads an answer. A refusal of the refresh token itself is told from a service that is merely down.
///
/// # Errors
/// [`FailureKind::Unauthorized`] where a person has to log in again or to correct the client id, else what the status says.
pub fn read(status: u16, body: &[u8], login: &str) -> Result<Token, Failure> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if !(200..300).contains(&status) {
        let mut failure = errors::classify(&ErrorContext::new(status, body, &format!("login {login}"), ""));
        let code = value.get("error").map(|error| error.get("code").unwrap_or(error));
        let code = code.and_then(Value::as_str).unwrap_or_default();
        if matches!(
            code,
            "invalid_grant" | "refresh_token_reused" | "refresh_token_expired" | "token_revoked"
        ) {
            failure.kind = FailureKind::Unauthorized;
            failure.message =
                format!("the login `{login}` is no longer good; run `latimer login {login}` again").into();
        } else if matches!(code, "invalid_client" | "unauthorized_client") {
            failure.kind = FailureKind::Unauthorized;
            failure.message.push_str(&format!("; check the client id and secret of `{login}`"));
        }
        return Err(failure);
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let access = text("access_token").ok_or_else(|| {
        Failure::new(
            FailureKind::UpstreamError,
            format!("login {login}: the provider answered without a token"),
        )
    })?;
    let claims = text("id_token").and_then(claims).unwrap_or_default();
    let email =
        claims.get("email").or_else(|| value.pointer("/account/email_address")).and_then(Value::as_str);
    let account = claims
        .pointer("/https:~1~1api.openai.com~1auth/chatgpt_account_id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Ok(Token {
        access: Secret::new(access),
        refresh: text("refresh_token").map(Secret::new),
        life: value.get("expires_in").and_then(Value::as_u64).map_or(DEFAULT_LIFE, Duration::from_secs),
        email: email.map(str::to_owned),
        account,
    })
}

/// The claims of a JSON web token that came straight from its issuer: nobody else could have written them.
pub fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let payload = URL_SAFE_NO_PAD
            .encode(r#"{"email":"me@test","https://api.openai.com/auth":{"chatgpt_account_id":"acc-1"}}"#);
        let body = format!(
            r#"{{"access_token":"at","refresh_token":"rt","expires_in":10,"id_token":"x.{payload}.y"}}"#
        );
        let token = read(200, body.as_bytes(), "chatgpt").expect("a token");
        assert_eq!((token.access.expose(), token.life.as_secs()), ("at", 10));
        assert_eq!((token.email.as_deref(), token.account.as_deref()), (Some("me@test"), Some("acc-1")));
        let dead = read(400, br#"{"error":"invalid_grant"}"#, "google").expect_err("dead");
        assert_eq!(dead.kind, FailureKind::Unauthorized);
        assert!(dead.message.contains("latimer login google"), "{dead}");
        let client = read(401, br#"{"error":"invalid_client","error_description":"wrong secret"}"#, "google")
            .expect_err("no");
        assert!(client.message.contains("client id and secret"), "{client}");
        let odd =
            read(400, br#"{"error":{"message":"the moon is full, revoked"}}"#, "google").expect_err("no");
        assert!(odd.kind != FailureKind::Unauthorized && odd.message.contains("the moon is full"), "{odd}");
        assert_eq!(read(503, b"", "google").expect_err("down").kind, FailureKind::Overloaded);
        assert_eq!(read(200, b"{}", "google").expect_err("odd").kind, FailureKind::UpstreamError);
        for text in ["", "a", "a.b.c", "..", "a.!.c"] {
            assert_eq!(claims(text), None, "{text}");
        }
    }
}
