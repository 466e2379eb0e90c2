//! Answering on the held socket when no proxy can be kept alive: a JSON error with the cause, instead of silence.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// Connections at once; others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest head or body that is read before the answer; a client that sends more gets it all the same.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// After how many seconds a client may ask again.
const RETRY_AFTER_SECS: u32 = 30;

/// Answers as long as it lives.
#[derive(Debug)]
pub struct MaintenanceServer {
    task: JoinHandle<()>,
}

impl MaintenanceServer {
    /// Begins to answer every request with this message.
    ///
    /// # Errors
    ///
    /// There is no descriptor left.
    pub fn begin(listener: &std::net::TcpListener, message: &str) -> std::io::Result<Self> {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        let answer: Arc<[u8]> = answer(message).into();
        Ok(Self { task: tokio::spawn(accept(listener, answer)) })
    }
}

impl Drop for MaintenanceServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(message: &str) -> Vec<u8> {
    let error = serde_json::json!({"error": {
        "message": message, "type": "server_error", "param": null, "code": "proxy_down",
    }});
    let body = error.to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\nretry-after: {RETRY_AFTER_SECS}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn accept(listener: TcpListener, answer: Arc<[u8]>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The set goes with this task, and the connections with the set.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    let _ = tokio::time::timeout(REQUEST_TIMEOUT, respond(stream, &answer)).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Reads the request, because an answer before its end looks like a broken connection to many clients.
async fn respond(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) && bytes.len() < MAX_REQUEST_BYTES {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    stream.write_all(answer).await?;
    stream.shutdown().await
}

/// Whether the head has ended, and the body too where its length is stated.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    bytes.len() - end - 4 >= length.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_told_why_and_the_next_proxy_gets_the_socket_back() {
        let listener = super::super::socket::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let maintenance = MaintenanceServer::begin(&listener, "it \"crashes\" at start").expect("begun");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"POST /v1/responses HTTP/1.1\r\nContent-Length: 2\r\n\r\n{").await.expect("sent");
        stream.write_all(b"}").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 30"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["error"]["message"], "it \"crashes\" at start");
        drop(maintenance);
        tokio::task::yield_now().await;
        let next = TcpListener::from_std(listener.try_clone().expect("cloned")).expect("usable");
        let client = tokio::spawn(TcpStream::connect(address));
        next.accept().await.expect("accepted by the next one");
        client.await.expect("joined").expect("connected");
    }

    #[test]
    fn a_request_is_whole_with_its_body() {
        let cases = [
            ("", false),
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", false),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", true),
            ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", true),
        ];
        for (text, whole) in cases {
            assert_eq!(is_whole(text.as_bytes()), whole, "{text:?}");
        }
    }
}
