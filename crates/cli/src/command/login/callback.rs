//! The address on this machine that a browser comes back to with the code.

use std::time::Duration;

use anyhow::Context as _;
use latimer_adapters::auth::flow::{AuthorizationResponse, parse_authorization_response};
use latimer_adapters::auth::provider::LoginProvider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a browser may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Listens where this provider comes back to.
///
/// # Errors
/// The port is taken.
pub(super) async fn listen(provider: &LoginProvider) -> anyhow::Result<TcpListener> {
    let port = provider.redirect_port.unwrap_or(0);
    TcpListener::bind(("127.0.0.1", port)).await.with_context(|| {
        format!("listening on 127.0.0.1:{port}, where this provider insists on coming back to; is another login running?")
    })
}

/// What a request is answered with, and what comes of it.
struct Reply {
    status: &'static str,
    text: &'static str,
    /// The code, or why there will be none; nothing for a request that has nothing to do with the login.
    outcome: Option<anyhow::Result<String>>,
}

/// Answers requests until one of them brings the code of the login with this state.
///
/// # Errors
/// The provider refused, or the code belongs to another login.
pub(super) async fn wait_for_code(listener: &TcpListener, path: &str, state: &str) -> anyhow::Result<String> {
    loop {
        let (mut socket, _) = listener.accept().await.context("waiting for the browser")?;
        let Ok(Some(head)) = tokio::time::timeout(REQUEST_TIMEOUT, read_head(&mut socket)).await else {
            continue;
        };
        let reply = reply(&head, path, state);
        let _ = socket.write_all(page(&reply).as_bytes()).await;
        let _ = socket.shutdown().await;
        if let Some(outcome) = reply.outcome {
            return outcome;
        }
    }
}

fn reply(head: &str, path: &str, state: &str) -> Reply {
    let nothing = Reply { status: "404 Not Found", text: "There is nothing here.", outcome: None };
    let target = head.split(' ').nth(1).unwrap_or_default();
    if !head.starts_with("GET ") || target.split('?').next() != Some(path) {
        return nothing;
    }
    match parse_authorization_response(target) {
        AuthorizationResponse::Code { code, state: Some(same) } if same == state => Reply {
            status: "200 OK",
            text: "You are logged in. This page can be closed.",
            outcome: Some(Ok(code)),
        },
        AuthorizationResponse::Code { .. } => Reply {
            status: "400 Bad Request",
            text: "This answer belongs to another login.",
            outcome: Some(Err(anyhow::anyhow!("an answer with a wrong state came back; begin again"))),
        },
        AuthorizationResponse::Denied(words) => Reply {
            status: "400 Bad Request",
            text: "The login was refused. This page can be closed.",
            outcome: Some(Err(anyhow::anyhow!("the provider said no: {words}"))),
        },
        AuthorizationResponse::Unrelated => nothing,
    }
}

/// The whole HTTP response.
fn page(reply: &Reply) -> String {
    let page = format!("<!doctype html><meta charset=utf-8><title>latimer</title><p>{}</p>\n", reply.text);
    format!(
        "HTTP/1.1 {}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{page}",
        reply.status,
        page.len()
    )
}

/// A request's head, read to its end: it may come in pieces, and a browser that is answered before it has
/// sent everything shows an error.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::with_capacity(2048);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD_BYTES || socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(head: &str) -> Option<Result<String, String>> {
        reply(head, "/back", "mine").outcome.map(|outcome| outcome.map_err(|error| error.to_string()))
    }

    #[test]
    fn only_the_code_of_this_login_is_taken() {
        assert_eq!(outcome("GET /back?code=c&state=mine HTTP/1.1"), Some(Ok("c".to_owned())));
        for head in ["GET /back?code=c&state=other HTTP/1.1", "GET /back?code=c HTTP/1.1"] {
            let error = outcome(head).and_then(Result::err).expect("refused");
            assert!(error.contains("wrong state"), "{head}: {error}");
        }
        let denied = outcome("GET /back?error=access_denied HTTP/1.1").and_then(Result::err);
        assert!(denied.is_some_and(|error| error.contains("said no")));
    }

    #[test]
    fn other_requests_change_nothing() {
        for head in
            ["GET /favicon.ico HTTP/1.1", "POST /back?code=c&state=mine HTTP/1.1", "GET /back HTTP/1.1", ""]
        {
            assert_eq!(outcome(head), None, "{head}");
        }
    }

    #[test]
    fn a_page_says_how_long_it_is() {
        let text = page(&reply("", "/back", "mine"));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    }
}
