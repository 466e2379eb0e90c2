//! The addresses and bodies of a login, and what a browser brings back. Pure.

use latimer_protocol::secret::Secret;
use serde_json::{Map, Value};

use super::pkce::Pkce;
use super::provider::{LoginProvider, TokenRequestFormat};

/// What latimer is to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// Public.
    pub id: String,
    /// Of an installed application: not really secret, and kept like one.
    pub secret: Option<Secret>,
}

/// The address a person opens.
pub fn authorize_url(
    base: &str,
    provider: &LoginProvider,
    client: &OAuthClient,
    redirect: &str,
    state: &str,
    pkce: &Pkce,
) -> String {
    let scopes = provider.scopes.join(" ");
    let mut fields = vec![
        ("client_id", client.id.as_str()),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", scopes.as_str()),
        ("state", state),
        ("code_challenge", pkce.challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    fields.extend(provider.extra);
    format!("{base}?{}", form(&fields))
}

/// The body that exchanges the code of a browser for a token (RFC 6749, 4.1.3, with PKCE).
pub fn code_exchange_body(
    provider: &LoginProvider,
    client: &OAuthClient,
    redirect: &str,
    code: &str,
    state: &str,
    pkce: &Pkce,
) -> String {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("client_id", client.id.as_str()),
        ("code_verifier", pkce.verifier.as_str()),
    ];
    if provider.sends_state {
        fields.push(("state", state));
    }
    fields.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.expose())));
    body(provider.body, &fields)
}

/// The body that exchanges the code of a device login, whose verifier the provider made itself.
pub fn device_exchange_body(
    provider: &LoginProvider,
    client: &OAuthClient,
    redirect: &str,
    code: &str,
    verifier: &Secret,
) -> String {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("client_id", client.id.as_str()),
        ("code_verifier", verifier.expose()),
    ];
    body(provider.body, &fields)
}

/// The body that exchanges a refresh token for a new access token (RFC 6749, 6).
pub fn refresh_body(provider: &LoginProvider, client: &OAuthClient, token: &Secret) -> String {
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", token.expose()),
        ("client_id", client.id.as_str()),
    ];
    fields.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.expose())));
    body(provider.body, &fields)
}

/// The content type of a body.
pub fn content_type(provider: &LoginProvider) -> &'static str {
    match provider.body {
        TokenRequestFormat::Form => "application/x-www-form-urlencoded",
        TokenRequestFormat::Json => "application/json",
    }
}

fn body(kind: TokenRequestFormat, fields: &[(&str, &str)]) -> String {
    match kind {
        TokenRequestFormat::Form => form(fields),
        TokenRequestFormat::Json => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
            Value::Object(fields).to_string()
        }
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
        out
    })
}

/// What a browser, or a person, brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationResponse {
    /// A code, and the state where it was brought along.
    Code {
        /// To be exchanged.
        code: String,
        /// To be compared.
        state: Option<String>,
    },
    /// The person or the provider said no.
    Denied {
        /// In these words.
        words: String,
        /// To be compared.
        state: Option<String>,
    },
    /// Nothing that belongs to a login.
    Unrelated,
}

/// Reads a pasted code, a pasted address, or the target of a request.
pub fn parse_authorization_response(text: &str) -> AuthorizationResponse {
    let text = text.trim();
    let query = text.split_once('?').map_or("", |(_, query)| query).split('#').next().unwrap_or_default();
    if query.is_empty() {
        // Some providers show `code#state`.
        let (code, state) =
            text.split_once('#').map_or((text, None), |(code, state)| (code, Some(state.to_owned())));
        let is_code = !code.is_empty() && !code.contains(['/', ' ']) || code.starts_with("4/");
        return if is_code {
            AuthorizationResponse::Code { code: code.to_owned(), state }
        } else {
            AuthorizationResponse::Unrelated
        };
    }
    let field = |wanted: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| unescaped(value))
    };
    if let Some(error) = field("error") {
        let words = field("error_description").map_or(error.clone(), |words| format!("{error}: {words}"));
        let plain: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
        return AuthorizationResponse::Denied { words: plain, state: field("state") };
    }
    match field("code").filter(|code| !code.is_empty()) {
        Some(code) => AuthorizationResponse::Code { code, state: field("state") },
        None => AuthorizationResponse::Unrelated,
    }
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.clone().take(2).collect();
                let value =
                    std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                match value.filter(|_| digits.len() == 2) {
                    Some(value) => {
                        out.push(value);
                        bytes.nth(1);
                    }
                    None => out.push(b'%'),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::provider::find;

    fn client() -> OAuthClient {
        OAuthClient { id: "an id".into(), secret: Some(Secret::new("not&secret")) }
    }

    #[test]
    fn what_is_sent() {
        let pkce = Pkce::new([7; 32]);
        let google = find("google").expect("known");
        let url = authorize_url(google.authorize_url, google, &client(), "http://127.0.0.1:1/x", "st", &pkce);
        assert!(url.starts_with("https://accounts.google.com/o/oauth2/v2/auth?client_id=an%20id&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fx&"), "{url}");
        assert!(
            url.contains("&state=st&")
                && url.contains("&access_type=offline")
                && !url.contains(&pkce.verifier)
        );
        assert!(
            code_exchange_body(google, &client(), "r", "c", "st", &pkce)
                .ends_with("&client_secret=not%26secret")
        );
        let anthropic = find("anthropic").expect("known");
        let body: Value =
            serde_json::from_str(&code_exchange_body(anthropic, &client(), "r", "c", "st", &pkce))
                .expect("JSON");
        assert_eq!(
            (&body["state"], &body["code_verifier"]),
            (&Value::from("st"), &Value::from(pkce.verifier))
        );
        assert!(refresh_body(google, &client(), &Secret::new("r t")).contains("refresh_token=r%20t"));
    }

    #[test]
    fn what_comes_back() {
        let code = |code: &str, state: Option<&str>| AuthorizationResponse::Code {
            code: code.into(),
            state: state.map(str::to_owned),
        };
        let cases = [
            ("/cb?code=4%2Fabc&state=s", code("4/abc", Some("s"))),
            ("http://localhost:1/cb?state=s&code=x#frag", code("x", Some("s"))),
            ("  abc123  ", code("abc123", None)),
            ("4/0abc", code("4/0abc", None)),
            ("abc#state", code("abc", Some("state"))),
            (
                "/cb?error=access_denied&error_description=no+thanks",
                AuthorizationResponse::Denied { words: "access_denied: no thanks".into(), state: None },
            ),
            ("/cb?code=&state=s", AuthorizationResponse::Unrelated),
            ("/favicon.ico", AuthorizationResponse::Unrelated),
            ("", AuthorizationResponse::Unrelated),
        ];
        for (text, want) in cases {
            assert_eq!(parse_authorization_response(text), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,60}") {
            let _ = parse_authorization_response(&text);
            proptest::prop_assert_eq!(unescaped(&escaped(&text)), text);
        }
    }
}
