//! The page below `/ui`: a shell without any data, one script and one style. What stands in it comes from `/api/v1`, to whoever has
//! a session; a session is made of a one-time code, which `latimer dashboard` puts behind the `#` of the address.

mod shell;

use bytes::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::page_codes::{self, CodeError};
use super::page_session;
use super::proxy::Proxy;
use crate::clock;
use crate::config::state::random_secret;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::sync::lock;

/// The largest body with a code, in bytes.
pub(super) const BODY_LIMIT: usize = 1024;
/// The script: each screen in a file of its own, one text for the browser.
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("dom.js"),
    include_str!("drawer.js"),
    include_str!("quota.js"),
    include_str!("screens.js"),
    include_str!("usage.js"),
    include_str!("accounts.js"),
    include_str!("incidents.js"),
    include_str!("settings.js"),
    include_str!("more_screens.js"),
    include_str!("main.js"),
    "})();\n"
);
const STYLE: &str = include_str!("style.css");

/// Everything comes from here, and nobody may put the page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Shows the page, or a file of it.
///
/// # Errors
///
/// There is no such screen or file (404).
pub(super) fn show(file: &str) -> Result<Response<Reply>, Refusal> {
    let (kind, text): (_, Bytes) = match file {
        "app.js" => ("text/javascript; charset=utf-8", Bytes::from_static(SCRIPT.as_bytes())),
        "style.css" => ("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes())),
        screen => {
            let screen = shell::SCREENS.iter().find(|known| known.path == screen);
            let screen = screen.ok_or_else(|| {
                Refusal::invalid(404, "not_found").message("there is no such screen; the page is at /ui/")
            })?;
            ("text/html; charset=utf-8", shell::page(screen).into_string().into())
        }
    };
    Ok(with_policy(kind, text))
}

/// Whether a browser asks, for somebody to look at: no client of an API takes HTML.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

/// To the page.
pub(super) fn redirect() -> Response<Reply> {
    let mut response = with_policy("text/html; charset=utf-8", Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/ui/"));
    response
}

fn with_policy(kind: &'static str, text: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Some(text)));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("content-security-policy"), POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A new code, which opens the page once within a minute.
///
/// # Errors
///
/// The system has no randomness to give (500).
pub(super) fn make_code(proxy: &Proxy) -> Result<Response<Reply>, Refusal> {
    let secret = random_secret().map_err(|error| no_randomness(&error))?;
    let code = secret.expose().get(..32).unwrap_or_default();
    lock(&proxy.codes).add(code, clock::now());
    Ok(reply(200, json!({ "code": code, "seconds": page_codes::LIFETIME.as_secs() }).to_string()))
}

/// `POST /ui/session`: a code becomes a cookie.
///
/// # Errors
///
/// There is no code (400), it opens nothing (403), or too many bad ones came (429).
pub(super) fn begin_session(proxy: &Proxy, body: &Bytes, port: u16) -> Result<Response<Reply>, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        code: String,
    }
    let missing = || {
        Refusal::invalid(400, "missing_code")
            .message("the request holds no code; `latimer dashboard` prints an address with one")
    };
    let code = serde_json::from_slice::<Body>(body).map_err(|_| missing())?.code;
    if code.is_empty() {
        return Err(missing());
    }
    lock(&proxy.codes).take(&code, clock::now()).map_err(|error| match error {
        CodeError::Unknown => Refusal::new(403, "permission_error", "bad_code").message(
            "this code opens nothing: it was used already, or is older than a minute; run `latimer dashboard` again",
        ),
        CodeError::Locked(left) => Refusal {
            retry_after: Some(left.as_secs().max(1)),
            ..Refusal::new(429, "permission_error", "locked").message(format!(
                "too many wrong codes came: none is taken for {} s more; then run `latimer dashboard` again",
                left.as_secs().max(1)
            ))
        },
    })?;
    let random = random_secret().map_err(|error| no_randomness(&error))?;
    let cookie = page_session::begin(&proxy.page_seal(), random.expose(), port, clock::unix_now());
    let mut response = reply(200, "{}");
    let cookie = HeaderValue::try_from(cookie).map_err(|_| missing())?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    tracing::info!(event = "page.opened");
    Ok(response)
}

fn no_randomness(error: &std::io::Error) -> Refusal {
    Refusal::new(500, "server_error", "no_randomness").message(format!("no code can be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn every_screen_has_an_address_and_every_file_its_policy() {
        let files = shell::SCREENS.iter().map(|screen| screen.path).chain(["app.js", "style.css"]);
        for file in files {
            let response = show(file).expect("there");
            let policy = response.headers()["content-security-policy"].to_str().expect("text");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        }
        assert_eq!(show("nowhere").err().map(|refusal| refusal.status), Some(404));
    }

    #[tokio::test]
    async fn a_code_becomes_a_cookie_once() {
        let proxy = proxy();
        lock(&proxy.codes).add("good", clock::now());
        let begin = |body: &'static str| begin_session(&proxy, &Bytes::from_static(body.as_bytes()), 7);
        let opened = begin("{\"code\":\"good\"}").expect("opened");
        assert!(opened.headers()[SET_COOKIE].to_str().expect("text").starts_with("latimer_ui_7="));
        let status = |body| begin(body).err().map(|refusal| refusal.status);
        assert_eq!((status("{}"), status("nonsense")), (Some(400), Some(400)), "missing is not bad");
        for _ in 0..5 {
            assert_eq!(status("{\"code\":\"good\"}"), Some(403));
        }
        assert_eq!(status("{\"code\":\"good\"}"), Some(429));
        assert!(make_code(&proxy).is_ok());
    }
}
