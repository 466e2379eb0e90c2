//! The wire of ChatGPT's login by device code: not RFC 8628, the vendor's own. Pure.
//!
//! Source of the facts: the login module of the public Codex source.

use std::time::Duration;

use latimer_protocol::secret::Secret;
use serde_json::{Value, json};

use super::flow::OAuthClient;

/// A login that waits for its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// Names this login towards the issuer.
    pub id: Secret,
    /// What the person types.
    pub user_code: String,
    /// How long to wait before each question.
    pub interval: Duration,
}

/// What the issuer says meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevicePoll {
    /// Nobody has typed the code.
    Pending,
    /// To be exchanged like the code that a browser brings.
    Code {
        /// The code.
        code: String,
        /// The secret that the issuer made for it.
        verifier: Secret,
    },
}

/// Where a login begins.
pub fn authorization_url(base: &str) -> String {
    format!("{base}/api/accounts/deviceauth/usercode")
}

/// Where it is asked for.
pub fn poll_url(base: &str) -> String {
    format!("{base}/api/accounts/deviceauth/token")
}

/// Where the person goes.
pub fn verification_url(base: &str) -> String {
    format!("{base}/codex/device")
}

/// What stands for the address that a browser would come back to.
pub fn redirect(base: &str) -> String {
    format!("{base}/deviceauth/callback")
}

/// The question that begins a login.
pub fn authorization_request(client: &OAuthClient) -> String {
    json!({ "client_id": client.id }).to_string()
}

/// The question whether it is done.
pub fn poll_request(authorization: &DeviceAuthorization) -> String {
    json!({ "device_auth_id": authorization.id.expose(), "user_code": authorization.user_code }).to_string()
}

/// Reads the answer that begins a login; in words what is wrong with it.
///
/// # Errors
/// In words for a person: why no login began.
pub fn read_authorization(status: u16, body: &[u8]) -> Result<DeviceAuthorization, String> {
    if status == 404 {
        return Err("this provider has no login by device code; leave --no-browser away".to_owned());
    }
    if status == 403 {
        return Err(
            "logins by device code are switched off for this account; see its security settings".to_owned()
        );
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("user_code").or_else(|| text("usercode"));
    let (Some(id), Some(user_code), 200..300) = (text("device_auth_id"), code, status) else {
        return Err(format!("the provider began no login (status {status}); try again later"));
    };
    // A number, or a number as a text.
    let seconds = value
        .get("interval")
        .and_then(|interval| interval.as_u64().or_else(|| interval.as_str()?.trim().parse().ok()));
    let printable: String = user_code.chars().filter(char::is_ascii_graphic).take(40).collect();
    let interval = Duration::from_secs(seconds.unwrap_or(5).min(60));
    Ok(DeviceAuthorization { id: Secret::new(id), user_code: printable, interval })
}

/// Reads the answer to a question.
///
/// # Errors
/// In words for a person: why the login ended without a token.
pub fn read_poll(status: u16, body: &[u8]) -> Result<DevicePoll, String> {
    if matches!(status, 403 | 404) {
        return Ok(DevicePoll::Pending);
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("authorization_code"), text("code_verifier"), status) {
        (Some(code), Some(verifier), 200..300) => {
            Ok(DevicePoll::Code { code, verifier: Secret::new(verifier) })
        }
        _ => Err(format!("the login was broken off by the provider (status {status}); begin again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login() {
        for (interval, seconds) in [("\"7\"", 7), ("3", 3), ("null", 5), ("999999", 60)] {
            let body = format!(r#"{{"device_auth_id":"d","user_code":"AB-CD","interval":{interval}}}"#);
            let authorization = read_authorization(200, body.as_bytes()).expect("begun");
            assert_eq!(
                (authorization.user_code.as_str(), authorization.interval.as_secs()),
                ("AB-CD", seconds)
            );
            assert_eq!(poll_request(&authorization), r#"{"device_auth_id":"d","user_code":"AB-CD"}"#);
        }
        assert!(read_authorization(404, b"").expect_err("none").contains("--no-browser"));
        assert!(read_authorization(200, b"{}").is_err() && read_authorization(500, b"x").is_err());
        assert_eq!(read_poll(403, b"{}"), Ok(DevicePoll::Pending));
        let done = read_poll(200, br#"{"authorization_code":"c","code_challenge":"x","code_verifier":"v"}"#);
        assert_eq!(done, Ok(DevicePoll::Code { code: "c".into(), verifier: Secret::new("v") }));
        assert!(read_poll(500, b"").is_err());
    }
}
