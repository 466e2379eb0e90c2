//! The address on this machine that a browser comes back to with the code.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Context as _;
use latimer_adapters::auth::flow::{AuthorizationResponse, parse_authorization_response};
use latimer_adapters::auth::provider::LoginProvider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// How long a browser may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most requests that are read at once; the oldest makes room.
const MAX_REQUESTS: usize = 32;

/// Where a browser can come back to.
pub(super) struct Listeners {
    v4: TcpListener,
    /// `localhost` may mean this one, and a stranger could be there; `None` where the machine has no such address.
    v6: Option<TcpListener>,
}

impl Listeners {
    /// The port of both.
    pub(super) fn port(&self) -> anyhow::Result<u16> {
        Ok(self.v4.local_addr().context("the listener's address")?.port())
    }

    async fn accept(&self) -> std::io::Result<TcpStream> {
        let accepted = match &self.v6 {
            Some(v6) => tokio::select! {
                accepted = self.v4.accept() => accepted,
                accepted = v6.accept() => accepted,
            },
            None => self.v4.accept().await,
        };
        accepted.map(|(socket, _)| socket)
    }
}

/// Listens where this provider comes back to, on both addresses that `localhost` may mean.
///
/// # Errors
/// The port is taken on either.
pub(super) async fn listen(provider: &LoginProvider) -> anyhow::Result<Listeners> {
    let port = provider.redirect_port.unwrap_or(0);
    let taken = |port: u16| {
        format!(
            "listening on port {port} of this machine, where this provider insists on coming back to; is another login running?"
        )
    };
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| taken(port))?;
    let port = v4.local_addr().context("the listener's address")?.port();
    let v6 = match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
        Ok(v6) => Some(v6),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            return Err(error).with_context(|| taken(port));
        }
        Err(_) => None,
    };
    Ok(Listeners { v4, v6 })
}

/// What a request is answered with, and what comes of it.
struct Reply {
    status: &'static str,
    text: &'static str,
    /// The code, or why there will be none; nothing for a request that has nothing to do with the login.
    outcome: Option<anyhow::Result<String>>,
}

/// Answers requests until one of them brings the code of the login with this state, or says with this state that there is none. Whatever
/// else comes ends nothing, and nobody who says nothing keeps others waiting.
///
/// # Errors
/// The provider refused.
pub(super) async fn wait_for_code(listeners: &Listeners, path: &str, state: &str) -> anyhow::Result<String> {
    let mut requests = JoinSet::new();
    let mut oldest = std::collections::VecDeque::new();
    loop {
        tokio::select! {
            accepted = listeners.accept() => {
                let socket = accepted.context("waiting for the browser")?;
                if oldest.len() >= MAX_REQUESTS {
                    oldest.pop_front().inspect(AbortHandle::abort);
                }
                let (path, state) = (path.to_owned(), state.to_owned());
                oldest.push_back(requests.spawn(async move { answer(socket, &path, &state).await }));
            }
            Some(ended) = requests.join_next() => {
                oldest.retain(|request: &AbortHandle| !request.is_finished());
                if let Ok(Some(outcome)) = ended {
                    return outcome;
                }
            }
        }
    }
}

/// Answers one request; what comes of it.
async fn answer(mut socket: TcpStream, path: &str, state: &str) -> Option<anyhow::Result<String>> {
    let head = tokio::time::timeout(REQUEST_TIMEOUT, read_head(&mut socket)).await.ok()??;
    let reply = reply(&head, path, state);
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, socket.write_all(page(&reply).as_bytes())).await;
    let _ = socket.shutdown().await;
    reply.outcome
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
        AuthorizationResponse::Denied { words, state: Some(same) } if same == state => Reply {
            status: "400 Bad Request",
            text: "The login was refused. This page can be closed.",
            outcome: Some(Err(anyhow::anyhow!("the provider said no: {words}"))),
        },
        AuthorizationResponse::Code { .. } | AuthorizationResponse::Denied { .. } => Reply {
            status: "400 Bad Request",
            text: "This answer belongs to another login; the one that waits goes on waiting.",
            outcome: None,
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
        for head in [
            "GET /back?code=c&state=other HTTP/1.1",
            "GET /back?code=c HTTP/1.1",
            "GET /back?error=x HTTP/1.1",
            "GET /back?error=x&state=other HTTP/1.1",
        ] {
            assert_eq!(outcome(head), None, "{head}");
            assert_eq!(reply(head, "/back", "mine").status, "400 Bad Request", "{head}");
        }
        let denied = outcome("GET /back?error=access_denied&state=mine HTTP/1.1").and_then(Result::err);
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
