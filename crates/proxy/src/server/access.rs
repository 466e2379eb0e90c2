//! Who may come in: token, `Host`, `Origin`. Loopback is not a trust boundary: every page in the person's browser can
//! reach it, and so can every other user of the machine.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING};
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

static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// What the headers carry in `Authorization: Bearer`, `x-api-key` and `x-goog-api-key`. Nothing else counts.
pub(super) fn credentials(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let key = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    [bearer, key(&API_KEY), key(&GOOGLE_API_KEY)].into_iter().flatten()
}

/// True when the headers carry the token.
pub(super) fn has_token(headers: &HeaderMap, token: &TokenHash) -> bool {
    credentials(headers).any(|guess| token.matches(guess))
}

/// The most bytes of all header lines together.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Refuses what two readers of a request could understand differently, and header lines without measure: of those the server only
/// bounds what it reads at once.
///
/// # Errors
///
/// A second `Host`, a `Transfer-Encoding` other than `chunked`, or more than 64 KB of header lines.
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > MAX_HEADER_BYTES {
        return Err(Refusal::invalid(431, "headers_too_large")
            .message(format!("the header lines have {length} bytes, and {MAX_HEADER_BYTES} are taken")));
    }
    let codings = headers.get_all(TRANSFER_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Refusal::invalid(400, "invalid_transfer_encoding").message(
            "Transfer-Encoding may only be `chunked`; send compressed bodies with Content-Encoding",
        ));
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(
            Refusal::invalid(400, "invalid_host").message("the request has two Host headers; send one")
        );
    }
    Ok(())
}

/// Whose pages may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// Nobody's: what is asked is for programs.
    None,
    /// Those that latimer served itself, from the very address that is asked.
    Own,
}

/// What latimer may be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerNames<'n> {
    /// The names that it answers for, beside those of loopback.
    pub(super) hosts: &'n [String],
    /// The port that the client connected to.
    pub(super) port: u16,
    /// The address that the client connected to: no name can be rebound to it, for it is none.
    pub(super) address: Option<IpAddr>,
}

/// Refuses what a web page can send, unless it is latimer's own.
///
/// # Errors
///
/// A foreign `Host` (a rebound name), the port of something else in it, an `Origin` (a web page) that is not allowed, or a cross-site
/// request. Another port of this machine is another origin, although browsers call it the same site.
pub(super) fn check_origin(headers: &HeaderMap, names: ServerNames<'_>, pages: Pages) -> Result<(), Refusal> {
    let port = names.port;
    let host = headers.get(HOST).map(|value| value.to_str().unwrap_or("")).unwrap_or_default();
    match Host::read(host, names) {
        Host::Known => {}
        Host::OtherPort => {
            let status = if pages == Pages::Own { 403 } else { 400 };
            return Err(Refusal::invalid(status, "invalid_host").message(format!(
                "the Host header names another port than the one that was connected to ({port}); where a port is forwarded, list name and port under server.hosts"
            )));
        }
        Host::Foreign => {
            return Err(Refusal::new(403, "permission_error", "forbidden_host").message(
                "the Host header names a host that latimer does not answer for; use 127.0.0.1 or localhost, or list the name under server.hosts",
            ));
        }
    }
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let is_foreign = |site: &HeaderValue| {
        [b"cross-site".as_slice(), b"same-site"]
            .iter()
            .any(|known| site.as_bytes().eq_ignore_ascii_case(known))
    };
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        pages == Pages::Own && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    if !headers.get_all(ORIGIN).iter().all(is_own) || headers.get_all(SEC_FETCH_SITE).iter().any(is_foreign) {
        return Err(Refusal::new(403, "permission_error", "forbidden_origin").message(
            "requests from web pages are not answered; call latimer from a program on this machine",
        ));
    }
    Ok(())
}

/// What a `Host` header names.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Known,
    /// This machine, but not the port that was connected to.
    OtherPort,
    Foreign,
}

impl Host {
    fn read(host: &str, names: ServerNames<'_>) -> Self {
        let ServerNames { hosts, port, address } = names;
        const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
        let (name, named_port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, Some(port))
            }
            _ => (host, None),
        };
        if hosts.iter().any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host)) {
            return Self::Known;
        }
        let is_address = |address: IpAddr| {
            name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|named| named == address.to_canonical())
        };
        let is_known = LOOPBACK.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !is_known && !address.is_some_and(is_address) {
            return Self::Foreign;
        }
        // A client that names no port means the usual one, or does not care: nothing follows from it.
        if named_port.is_none_or(|named| named.parse() == Ok(port)) { Self::Known } else { Self::OtherPort }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn of(hosts: &[String]) -> ServerNames<'_> {
        ServerNames { hosts, port: 4180, address: Some(IpAddr::from([192, 0, 2, 7])) }
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
        let names = ["proxy.example".to_owned(), "localhost:8080".to_owned()];
        let cases = [
            ("127.0.0.1:4180", Host::Known),
            ("localhost", Host::Known),
            ("LOCALHOST:80", Host::OtherPort),
            ("[::1]:4180", Host::Known),
            ("127.0.0.1:99999", Host::OtherPort),
            ("proxy.example:443", Host::Known),
            ("localhost:8080", Host::Known),
            ("192.0.2.7:4180", Host::Known),
            ("192.0.2.7:80", Host::OtherPort),
            ("192.0.2.8", Host::Foreign),
            ("evil.example", Host::Foreign),
            ("127.0.0.1.evil.example", Host::Foreign),
            ("127.0.0.1:", Host::Foreign),
            ("", Host::Foreign),
        ];
        for (host, want) in cases {
            assert_eq!(Host::read(host, of(&names)), want, "{host}");
        }
        let refused = |pairs: &[(&'static str, &'static str)]| {
            check_origin(&headers(pairs), of(&names), Pages::None).err().map(|r| r.code)
        };
        assert_eq!(refused(&[("host", "localhost"), ("origin", "null")]), Some("forbidden_origin"));
        assert_eq!(
            refused(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]),
            Some("forbidden_origin")
        );
        assert_eq!(
            refused(&[("host", "localhost"), ("sec-fetch-site", "none"), ("sec-fetch-site", "Cross-Site")]),
            Some("forbidden_origin")
        );
        assert_eq!(refused(&[("host", "attacker.test")]), Some("forbidden_host"));
        assert_eq!(refused(&[("host", "localhost:1")]), Some("invalid_host"));
        assert_eq!(refused(&[("host", "localhost")]), None);
    }

    #[test]
    fn a_page_of_our_own_is_one_from_the_very_address_that_is_asked() {
        let refused = |pairs: &[(&'static str, &'static str)]| {
            let mut all = vec![("host", "127.0.0.1:4180")];
            all.extend(pairs);
            check_origin(&headers(&all), of(&[]), Pages::Own).err().map(|refusal| refusal.status)
        };
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[("origin", "http://127.0.0.1:4180"), ("sec-fetch-site", "same-origin")]), None);
        for origin in ["http://127.0.0.1:4181", "http://localhost:4180", "null", "", "http://127.0.0.1"] {
            assert_eq!(refused(&[("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(
            refused(&[("origin", "http://127.0.0.1:4180"), ("sec-fetch-site", "same-site")]),
            Some(403)
        );
        let other = check_origin(&headers(&[("host", "127.0.0.1:1")]), of(&[]), Pages::Own);
        assert_eq!(other.err().map(|refusal| refusal.status), Some(403));
        let program = check_origin(
            &headers(&[("host", "127.0.0.1:4180"), ("origin", "http://127.0.0.1:4180")]),
            of(&[]),
            Pages::None,
        );
        assert!(program.is_err(), "no page may ask a model");
    }

    #[test]
    fn a_request_that_could_be_read_in_two_ways_is_refused() {
        let refused =
            |pairs: &[(&'static str, &'static str)]| check_framing(&headers(pairs)).err().map(|r| r.code);
        assert_eq!(refused(&[("host", "localhost"), ("host", "evil.example")]), Some("invalid_host"));
        assert_eq!(refused(&[("transfer-encoding", "gzip, chunked")]), Some("invalid_transfer_encoding"));
        assert_eq!(refused(&[("host", "localhost"), ("transfer-encoding", "Chunked")]), None);
    }
}
