//! Certificates: who is trusted, and what is said when somebody is not.

#![expect(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use latimer_adapters::transport::http::{Http, HttpOptions, HttpResponse};
use latimer_adapters::transport::outbound::Outbound;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, FailureKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Serves every connection in a thread of its own.
fn serve(connection: impl Fn(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || listener.incoming().flatten().for_each(connection));
    address
}

fn serve_tls(name: &str) -> SocketAddr {
    let certificate =
        CertificateDer::from(std::fs::read(file(&format!("{name}.der"))).expect("a certificate"));
    let key = std::fs::read(file(&format!("{name}.key.der"))).expect("a key");
    let key = PrivateKeyDer::try_from(key).expect("PKCS #8");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("defaults")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a pair");
    let config = Arc::new(config);
    serve(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, socket);
        // A client that does not trust us hangs up here.
        if stream.read(&mut [0; 4096]).is_ok() {
            let _ = stream.write_all(HELLO).and_then(|()| stream.flush());
        }
    })
}

async fn get(address: SocketAddr, connect: Duration) -> Result<HttpResponse, Failure> {
    let http = Http::new(HttpOptions { outbound: Outbound::Direct, connect, ca_file: Some(file("ca.pem")) });
    http.get(&format!("https://{address}/v1/models"), &[], Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_private_ca_is_trusted_where_it_is_named() {
    let address = serve_tls("loopback");
    let answer = get(address, Duration::from_secs(5)).await.expect("trusted");
    assert_eq!(read_error_body(answer.body, 100, Duration::from_secs(5)).await, b"hello");

    let http =
        Http::new(HttpOptions { outbound: Outbound::Direct, connect: Duration::from_secs(5), ca_file: None });
    let url = format!("https://{address}/v1/models");
    let failure = http.get(&url, &[], Duration::from_secs(5)).await.expect_err("not trusted without it");
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("certificate"), "{failure}");
}

#[tokio::test]
async fn wrong_certificates_are_never_taken() {
    for name in ["elsewhere", "expired"] {
        let address = serve_tls(name);
        let failure = get(address, Duration::from_secs(5)).await.expect_err(name);
        assert_eq!(failure.kind, FailureKind::Unreachable, "{name}");
        assert!(failure.message.contains("TLS certificate of 127.0.0.1"), "{name}: {failure}");
    }
}

#[tokio::test]
async fn a_plain_server_is_said_to_be_one() {
    let address = serve(|mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let failure = get(address, Duration::from_secs(5)).await.expect_err("no TLS");
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("http://"), "{failure}");
}

#[tokio::test]
async fn a_handshake_without_an_answer_runs_into_the_connect_limit() {
    let held = std::sync::Mutex::new(Vec::new());
    let address = serve(move |socket| held.lock().expect("one thread").push(socket));
    let failure = get(address, Duration::from_millis(150)).await.expect_err("silence");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("timeouts.connect"), "{failure}");
}
