//! Asks a running proxy over HTTP: where it may be, whether it is ours, how it is, and what any of its paths answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use latimer_protocol::status::Health;
use latimer_protocol::turn::SealKey;
use latimer_proxy::config::{Config, state};
use latimer_proxy::server::proof::{CHALLENGE, PROOF};

use crate::configuration::local_address;
use crate::proxy_file;
use crate::runtime::runtime;

/// How long connecting, and each part of an answer, may take: the proxy is on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Where a proxy of this state directory may answer: where it said it does, and where it is configured to.
fn urls(state_dir: &Path, config: &Config) -> Vec<String> {
    let configured = format!("http://{}", local_address(config.server.listen));
    proxy_file::url(state_dir).into_iter().chain([configured]).collect()
}

/// A proxy that proved to be the one of our state directory. Only to such a one the token is sent.
#[derive(Debug)]
pub(crate) struct ProvenProxy {
    pub(crate) url: String,
    token: Option<Secret>,
}

/// Who answers where our proxy should.
#[derive(Debug)]
enum Answering {
    Ours,
    Nobody,
    /// A latimer that has another secret: of another state directory, or of another person.
    OtherLatimer,
    /// Something else.
    Stranger,
}

/// Finds the running proxy of this state directory, and has it prove that it is the one; `None` when nobody answers.
///
/// # Errors
/// Somebody else answers in its place, or the secret that only our own proxy shares cannot be read.
pub(crate) fn find(state_dir: &Path, config: &Config) -> anyhow::Result<Option<ProvenProxy>> {
    let secret = state::token(state_dir).context("the access token")?;
    let mut problem = None;
    for url in urls(state_dir, config) {
        let who = match answering(&url, &secret) {
            Answering::Ours => {
                // It may need the token although the file no longer says so.
                return Ok(Some(ProvenProxy { url, token: Some(secret) }));
            }
            Answering::Nobody => continue,
            Answering::OtherLatimer => "a latimer of another state directory, perhaps another person's,",
            Answering::Stranger => "something that is no latimer",
        };
        problem = Some(format!(
            "{who} answers at {url}; it gets neither token nor client. Stop it, or give latimer another address (`server.listen`)"
        ));
    }
    problem.map_or(Ok(None), |problem| bail!(problem))
}

/// What to say where a running proxy is needed, and none is.
pub(crate) fn nobody(config: &Config) -> anyhow::Error {
    anyhow!(
        "no proxy answers at http://{}; start one with `latimer serve`",
        local_address(config.server.listen)
    )
}

/// Asks for a proof, without the token.
fn answering(url: &str, secret: &Secret) -> Answering {
    let Ok(challenge) = state::random_secret() else { return Answering::Nobody };
    let challenge = challenge.expose();
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let (Ok(name), Ok(value)) = (HeaderName::try_from(CHALLENGE), HeaderValue::try_from(challenge)) else {
        return Answering::Nobody;
    };
    let Some(answer) = get(&format!("{url}/"), &[(name, value)], REQUEST_TIMEOUT) else {
        return Answering::Nobody;
    };
    let expected = SealKey::from_secret(secret.expose().as_bytes()).proof(challenge, port);
    if answer.headers.get(PROOF).is_some_and(|proof| proof.as_bytes() == expected.as_bytes()) {
        return Answering::Ours;
    }
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if document["error"]["code"] == "proxy_down" {
        // A watchdog in the place of its proxy. Ours is found by its own socket, and nothing is sent to another one.
        return Answering::Nobody;
    }
    if document["name"] == "latimer" { Answering::OtherLatimer } else { Answering::Stranger }
}

impl ProvenProxy {
    /// Its health; `None` when it has gone meanwhile, or does not take the token.
    pub(crate) fn health(&self) -> Option<Health> {
        let (_, body) = self.get("/health")?;
        serde_json::from_slice(&body).ok()
    }

    /// Status and body of the answer to a `GET` of this path; `None` when nobody answers any more.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        self.get_within(path, REQUEST_TIMEOUT)
    }

    /// The same with another patience.
    pub(crate) fn get_within(&self, path: &str, timeout: Duration) -> Option<(u16, Vec<u8>)> {
        let answer = get(&format!("{}{path}", self.url), &self.credentials()?, timeout)?;
        Some((answer.status, answer.body))
    }

    /// Status and body of the answer to a `DELETE` of this path; `None` when nobody answers any more.
    pub(crate) fn delete(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let (url, headers) = (format!("{}{path}", self.url), self.credentials()?);
        runtime().ok()?.block_on(async {
            let answer = client().delete(&url, &headers, REQUEST_TIMEOUT).await.ok()?;
            let status = answer.status.as_u16();
            Some((status, read_error_body(answer.body, MAX_BODY_BYTES, REQUEST_TIMEOUT).await))
        })
    }

    /// Status and body of the answer to a `PATCH` of this path; `None` when nobody answers any more.
    pub(crate) fn patch(&self, path: &str, body: &serde_json::Value) -> Option<(u16, Vec<u8>)> {
        let (url, mut headers) = (format!("{}{path}", self.url), self.credentials()?);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        runtime().ok()?.block_on(async {
            let answer =
                client().patch(&url, &headers, body.to_string().into(), REQUEST_TIMEOUT).await.ok()?;
            let status = answer.status.as_u16();
            Some((status, read_error_body(answer.body, MAX_BODY_BYTES, REQUEST_TIMEOUT).await))
        })
    }

    fn credentials(&self) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let Some(token) = &self.token else { return Some(Vec::new()) };
        Some(vec![(AUTHORIZATION, format!("Bearer {}", token.expose()).parse().ok()?)])
    }

    /// Status and body of the answer to a `POST` of this JSON to this path; `None` when nobody answers any more.
    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> Option<(u16, Vec<u8>)> {
        self.post_within(path, body, REQUEST_TIMEOUT)
    }

    /// The same with another patience: a turn takes as long as its model.
    pub(crate) fn post_within(
        &self,
        path: &str,
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Option<(u16, Vec<u8>)> {
        let url = format!("{}{path}", self.url);
        runtime().ok()?.block_on(post_as(&url, self.token.as_ref(), body, timeout))
    }
}

/// Status and body of the answer to a `POST` of this JSON; `None` when nobody answers in time.
pub(crate) async fn post_as(
    url: &str,
    token: Option<&Secret>,
    body: &serde_json::Value,
    timeout: Duration,
) -> Option<(u16, Vec<u8>)> {
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Some(token) = token {
        headers.push((AUTHORIZATION, format!("Bearer {}", token.expose()).parse().ok()?));
    }
    let answer = client().post(url, &headers, body.to_string().into(), timeout).await.ok()?;
    let status = answer.status.as_u16();
    Some((status, read_error_body(answer.body, MAX_BODY_BYTES, timeout).await))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn client() -> Http {
    Http::new(HttpOptions { outbound: Outbound::Direct, connect: REQUEST_TIMEOUT, ca_file: None })
}

fn get(url: &str, headers: &[(HeaderName, HeaderValue)], timeout: Duration) -> Option<Answer> {
    runtime().ok()?.block_on(async {
        let answer = client().get(url, headers, timeout).await.ok()?;
        let (status, headers) = (answer.status.as_u16(), answer.headers);
        Some(Answer { status, headers, body: read_error_body(answer.body, MAX_BODY_BYTES, timeout).await })
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn the_announced_url_comes_before_the_configured_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = load_text("[server]\nlisten = \"127.0.0.1:7\"\n").expect("a configuration").config;
        assert_eq!(urls(dir.path(), &config), ["http://127.0.0.1:7"]);
        proxy_file::write(dir.path(), "http://127.0.0.1:8").expect("written");
        assert_eq!(urls(dir.path(), &config), ["http://127.0.0.1:8", "http://127.0.0.1:7"]);
    }

    /// Answers every request with this, and tells what was asked.
    fn stranger(answer: &'static str) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 1024];
                let length = stream.read(&mut request).expect("read");
                stream.write_all(answer.as_bytes()).expect("sent");
                let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
            }
        });
        (url, asked)
    }

    #[test]
    fn whoever_does_not_prove_to_be_ours_never_sees_the_token() {
        let latimer = "HTTP/1.1 200 OK\r\nx-latimer-proof: 00\r\ncontent-length: 18\r\nconnection: close\r\n\r\n{\"name\":\"latimer\"}";
        let other = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        for (answer, words) in [(latimer, "another person's"), (other, "no latimer")] {
            let (url, asked) = stranger(answer);
            let dir = tempfile::tempdir().expect("a directory");
            let token = state::token(dir.path()).expect("a token");
            let listen = url.trim_start_matches("http://");
            let config =
                load_text(&format!("[server]\nlisten = \"{listen}\"\n")).expect("a configuration").config;
            proxy_file::write(dir.path(), &url).expect("written");
            let error = find(dir.path(), &config).expect_err("a stranger").to_string();
            assert!(error.contains(words) && error.contains(&url), "{error}");
            for request in asked.try_iter() {
                assert!(request.contains(CHALLENGE) && !request.contains(token.expose()), "{request}");
            }
        }
    }

    #[test]
    fn where_nobody_answers_the_place_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = load_text("[server]\nlisten = \"127.0.0.1:9\"\n").expect("a configuration").config;
        assert!(find(dir.path(), &config).expect("no stranger").is_none());
        assert_eq!(
            nobody(&config).to_string(),
            "no proxy answers at http://127.0.0.1:9; start one with `latimer serve`"
        );
    }
}
