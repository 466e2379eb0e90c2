//! Asks a running proxy over HTTP: where it may be, how it is, and what any of its paths answers.

use std::path::Path;
use std::time::Duration;

use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::secret::Secret;
use latimer_protocol::status::Health;
use latimer_proxy::config::Config;

use crate::proxy_file;
use crate::runtime::runtime;

/// How long connecting, and each part of an answer, may take: the proxy is on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Where a proxy of this state directory may answer: where it said it does, and where it is configured to.
pub(crate) fn urls(state_dir: &Path, config: &Config) -> Vec<String> {
    let configured = format!("http://{}", config.server.listen);
    proxy_file::url(state_dir).into_iter().chain([configured]).collect()
}

/// The health of the proxy at this URL; `None` when none answers there, or not to this token.
pub(crate) fn health(url: &str, token: Option<&Secret>) -> Option<Health> {
    let (_, body) = get(&format!("{url}/health"), token)?;
    serde_json::from_slice(&body).ok()
}

/// Status and body of the answer to a `GET`; `None` when nobody answers.
pub(crate) fn get(url: &str, token: Option<&Secret>) -> Option<(u16, Vec<u8>)> {
    runtime().ok()?.block_on(async {
        let http = Http::new(HttpOptions { connect: REQUEST_TIMEOUT, ca_file: None });
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push((hyper::header::AUTHORIZATION, format!("Bearer {}", token.expose()).parse().ok()?));
        }
        let answer = http.get(url, &headers, REQUEST_TIMEOUT).await.ok()?;
        let status = answer.status.as_u16();
        Some((status, read_error_body(answer.body, MAX_BODY_BYTES, REQUEST_TIMEOUT).await))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

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

    #[test]
    fn an_answer_is_read_and_the_token_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("read");
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnone";
            stream.write_all(answer.as_bytes()).expect("sent");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = get(&format!("{url}/health"), Some(&Secret::new("the-token")));
        assert_eq!(answer, Some((404, b"none".to_vec())));
        let request = server.join().expect("served");
        assert!(request.starts_with("GET /health ") && request.contains("Bearer the-token"), "{request}");
        assert_eq!(health(&url, None), None, "nobody listens any more");
    }
}
