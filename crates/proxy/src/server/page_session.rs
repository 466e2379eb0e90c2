//! A page's session: a cookie that only this latimer can have made. It needs no memory, so it survives a restart; it opens the
//! documents below `/api/v1` and nothing else. Pure.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderName};
use latimer_protocol::turn::SealKey;
use subtle::ConstantTimeEq as _;

use crate::http::refusal::Refusal;

/// How long a session lasts, in seconds.
const LIFETIME_S: u64 = 12 * 3600;
/// The header in which a page shows that it may change something.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// A session that was found in a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageSession(String);

/// The name of the cookie: cookies know no ports, so the port is in it.
fn name(port: u16) -> String {
    format!("latimer_ui_{port}")
}

/// The header `Set-Cookie` of a new session. `random` are 32 hex digits or more.
pub(super) fn begin(seal: &SealKey, random: &str, port: u16, now_unix: u64) -> String {
    let text = format!("{}.{random}", now_unix.saturating_add(LIFETIME_S));
    let mark = seal.mark("session", &format!("{port} {text}"));
    format!("{}={text}.{mark}; HttpOnly; SameSite=Strict; Path=/; Max-Age={LIFETIME_S}", name(port))
}

/// The session of a request, if it has one that is good.
pub(super) fn of(headers: &HeaderMap, seal: &SealKey, port: u16, now_unix: u64) -> Option<PageSession> {
    let name = name(port);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    let (text, mark) = value.rsplit_once('.')?;
    let wanted = seal.mark("session", &format!("{port} {text}"));
    let is_ours: bool = wanted.as_bytes().ct_eq(mark.as_bytes()).into();
    let end: u64 = text.split('.').next()?.parse().ok()?;
    (is_ours && end > now_unix && end <= now_unix.saturating_add(LIFETIME_S))
        .then(|| PageSession(value.to_owned()))
}

impl PageSession {
    /// What the page sends with each change: a page of somebody else cannot read it.
    pub(super) fn csrf(&self, seal: &SealKey) -> String {
        seal.mark("change", &self.0)
    }

    /// # Errors
    ///
    /// The request does not show what only the page itself can know (403).
    pub(super) fn check_change(&self, headers: &HeaderMap, seal: &SealKey) -> Result<(), Refusal> {
        let shown = headers.get(CSRF).map_or(&b""[..], |value| value.as_bytes());
        if bool::from(self.csrf(seal).as_bytes().ct_eq(shown)) {
            return Ok(());
        }
        Err(Refusal::new(403, "permission_error", "csrf")
            .message("a change needs the page's own token in `x-csrf-token`; reload the page"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(set: &str) -> HeaderMap {
        let pair = set.split(';').next().expect("a pair");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("other=1; {pair}").parse().expect("a value"));
        headers
    }

    #[test]
    fn a_session_is_good_for_its_port_its_time_and_its_secret() {
        let seal = SealKey::from_secret(b"one");
        let set = begin(&seal, &"7".repeat(32), 4180, 1000);
        assert!(set.contains("HttpOnly; SameSite=Strict; Path=/;"), "{set}");
        let headers = cookie(&set);
        assert!(of(&headers, &seal, 4180, 1001).is_some());
        assert!(of(&headers, &seal, 4181, 1001).is_none(), "another port");
        assert!(of(&headers, &seal, 4180, 1000 + LIFETIME_S).is_none(), "over");
        assert!(of(&headers, &SealKey::from_secret(b"two"), 4180, 1001).is_none(), "another secret");
        let longer = set.replacen(&(1000 + LIFETIME_S).to_string(), "99999999", 1);
        assert!(of(&cookie(&longer), &seal, 4180, 1001).is_none(), "nobody makes it longer");
        assert!(of(&HeaderMap::new(), &seal, 4180, 1001).is_none());
    }

    #[test]
    fn a_change_needs_what_only_the_page_knows() {
        let seal = SealKey::from_secret(b"one");
        let session = of(&cookie(&begin(&seal, &"7".repeat(32), 1, 0)), &seal, 1, 1).expect("good");
        let mut headers = HeaderMap::new();
        assert!(session.check_change(&headers, &seal).is_err());
        headers.insert(CSRF, session.csrf(&seal).parse().expect("a value"));
        assert!(session.check_change(&headers, &seal).is_ok());
    }
}
