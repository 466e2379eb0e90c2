//! Who may come in: token, `Host`, `Origin`. Loopback is not a trust boundary: every page in the person's browser can
//! reach it, and so can every other user of the machine.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use latimer_protocol::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::http::refusal::Refusal;

/// The token, kept as a hash so that the comparison takes the same time for every guess.
#[derive(Clone)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes the token.
    pub(super) fn new(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose().as_bytes()).into())
    }

    fn matches(&self, guess: &str) -> bool {
        let guess: [u8; 32] = Sha256::digest(guess.as_bytes()).into();
        self.0.ct_eq(&guess).into()
    }
}

/// True when the headers carry the token, in `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`. Nothing else counts.
pub(super) fn has_token(headers: &HeaderMap, token: &TokenHash) -> bool {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let key = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    [bearer, key("x-api-key"), key("x-goog-api-key")].into_iter().flatten().any(|guess| token.matches(guess))
}

/// Refuses what a web page can send. `hosts` are the names that latimer answers for, beside those of loopback.
///
/// # Errors
///
/// A foreign `Host` (a rebound name), any `Origin` (a web page), or a cross-site request.
pub(super) fn check_origin(headers: &HeaderMap, hosts: &[String]) -> Result<(), Refusal> {
    let host = headers.get(HOST).map(|value| value.to_str().unwrap_or("")).unwrap_or_default();
    if !host_is_allowed(host, hosts) {
        return Err(Refusal::new(403, "permission_error", "forbidden_host").message(
            "the Host header names a host that latimer does not answer for; use 127.0.0.1 or localhost, or list the name under server.hosts",
        ));
    }
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let cross_site =
        headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
    if headers.contains_key(ORIGIN) || cross_site {
        return Err(Refusal::new(403, "permission_error", "forbidden_origin").message(
            "requests from web pages are not answered; call latimer from a program on this machine",
        ));
    }
    Ok(())
}

fn host_is_allowed(host: &str, hosts: &[String]) -> bool {
    const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    LOOPBACK.iter().any(|known| known.eq_ignore_ascii_case(name))
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_token_opens() {
        let token = TokenHash::new(&Secret::new("correct horse"));
        let cases: [(&[(&str, &str)], bool); 8] = [
            (&[("authorization", "Bearer correct horse")], true),
            (&[("authorization", "bearer correct horse")], true),
            (&[("x-api-key", "correct horse")], true),
            (&[("x-goog-api-key", "correct horse")], true),
            (&[("authorization", "Basic correct horse")], false),
            (&[("authorization", "Bearer correct hors")], false),
            (&[("cookie", "token=correct horse")], false),
            (&[], false),
        ];
        for (pairs, want) in cases {
            let pairs: Vec<(&'static str, &'static str)> = pairs.to_vec();
            assert_eq!(has_token(&headers(&pairs), &token), want, "{pairs:?}");
        }
    }

    #[test]
    fn hosts_and_origins() {
        let names = ["proxy.example".to_owned()];
        let cases = [
            ("127.0.0.1:4180", true),
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("[::1]:4180", true),
            ("proxy.example:443", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1:", false),
            ("", false),
        ];
        for (host, want) in cases {
            assert_eq!(host_is_allowed(host, &names), want, "{host}");
        }
        let refused = |pairs: &[(&'static str, &'static str)]| {
            check_origin(&headers(pairs), &names).err().map(|r| r.code)
        };
        assert_eq!(refused(&[("host", "localhost"), ("origin", "null")]), Some("forbidden_origin"));
        assert_eq!(
            refused(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]),
            Some("forbidden_origin")
        );
        assert_eq!(refused(&[("host", "attacker.test")]), Some("forbidden_host"));
        assert_eq!(refused(&[("host", "localhost")]), None);
    }
}
