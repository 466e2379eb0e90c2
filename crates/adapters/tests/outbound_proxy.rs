//! Outbound proxies over real sockets: a tunnel by CONNECT, whole addresses, SOCKS 5, and TLS to the proxy itself.

#![expect(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latimer_adapters::transport::exceptions::Exceptions;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_adapters::transport::outbound::{Outbound, ProxyUrl};
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, FailureKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
/// A name that only a proxy of these tests knows, and that one of the test's certificates is for.
const PROVIDER: &str = "elsewhere.example";

/// What a server was told, a line for each thing.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Serves every connection in a thread of its own.
fn serve(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let connection = Arc::new(connection);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = Arc::clone(&connection);
            std::thread::spawn(move || connection(socket));
        }
    });
    address
}

fn tls_config(name: &str) -> Arc<ServerConfig> {
    let certificate =
        CertificateDer::from(std::fs::read(file(&format!("{name}.der"))).expect("a certificate"));
    let key = std::fs::read(file(&format!("{name}.key.der"))).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("defaults")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key).expect("PKCS #8"));
    Arc::new(config.expect("a pair"))
}

/// A provider that speaks TLS under its name.
fn provider() -> SocketAddr {
    let config = tls_config("elsewhere");
    serve(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, socket);
        if stream.read(&mut [0; 4096]).is_ok() {
            let _ = stream.write_all(HELLO).and_then(|()| stream.flush());
        }
    })
}

/// The head of a request: its first line, and the header that names the user.
fn head(stream: &mut impl Read) -> Option<(String, Option<String>)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let user = text.lines().find_map(|line| {
        line.strip_prefix("proxy-authorization: ").or(line.strip_prefix("Proxy-Authorization: "))
    });
    Some((text.lines().next()?.to_owned(), user.map(str::to_owned)))
}

/// Copies both ways until one side ends.
fn join(client: TcpStream, port: u16) {
    let Ok(upstream) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (mut from_client, mut to_upstream) =
        (client.try_clone().expect("a clone"), upstream.try_clone().expect("a clone"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_upstream);
        let _ = to_upstream.shutdown(Shutdown::Write);
    });
    let (mut from_upstream, mut to_client) = (upstream, client);
    let _ = std::io::copy(&mut from_upstream, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Write);
}

fn port_of(target: &str) -> u16 {
    target.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
}

/// A proxy that knows every name: it is this machine. It answers whole addresses itself.
fn http_proxy(told: &Told, answer: &'static str) -> SocketAddr {
    let told = told.clone();
    serve(move |mut socket| {
        let Some((line, user)) = head(&mut socket) else { return };
        told.add(format!("{line} {}", user.unwrap_or_default()).trim_end());
        let target = line.split(' ').nth(1).expect("a target").to_owned();
        if !line.starts_with("CONNECT") {
            let _ = socket.write_all(HELLO);
        } else if socket.write_all(answer.as_bytes()).is_ok() && answer.contains(" 200 ") {
            join(socket, port_of(&target));
        }
    })
}

/// A SOCKS 5 proxy that wants a user name and a password, if it wants anything.
fn socks_proxy(told: &Told, wants_login: bool) -> SocketAddr {
    let told = told.clone();
    serve(move |socket| {
        let mut reader = BufReader::new(socket.try_clone().expect("a clone"));
        let mut writer = socket;
        let read = |reader: &mut BufReader<TcpStream>, count: usize| {
            let mut bytes = vec![0; count];
            reader.read_exact(&mut bytes).map(|()| bytes)
        };
        let word = |reader: &mut BufReader<TcpStream>| {
            let length = usize::from(read(reader, 1)?[0]);
            read(reader, length).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut talk = || -> std::io::Result<u16> {
            let methods = usize::from(read(&mut reader, 2)?[1]);
            read(&mut reader, methods)?;
            writer.write_all(&[5, if wants_login { 2 } else { 0 }])?;
            if wants_login {
                read(&mut reader, 1)?;
                let (user, password) = (word(&mut reader)?, word(&mut reader)?);
                told.add(format!("{user}/{password}"));
                writer.write_all(&[1, 0])?;
            }
            let request = read(&mut reader, 4)?;
            let host = match request[3] {
                1 => read(&mut reader, 4)?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
                3 => word(&mut reader)?,
                other => format!("type {other}"),
            };
            let port = read(&mut reader, 2)?;
            let port = u16::from_be_bytes([port[0], port[1]]);
            told.add(format!("{host} {}", if request[3] == 1 { "by address" } else { "by name" }));
            writer.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
            Ok(port)
        };
        if let Ok(port) = talk() {
            assert!(reader.buffer().is_empty(), "a client waits for the handshake");
            join(writer, port);
        }
    })
}

fn through(proxy: &str) -> Outbound {
    Outbound::Through(Arc::new(ProxyUrl::parse(proxy).expect("a proxy")), Exceptions::default())
}

async fn get(outbound: Outbound, url: &str) -> Result<String, Failure> {
    let options = HttpOptions { outbound, connect: Duration::from_secs(5), ca_file: Some(file("ca.pem")) };
    let answer = Http::new(options).get(url, &[], Duration::from_secs(5)).await?;
    let body = read_error_body(answer.body, 100, Duration::from_secs(5)).await;
    Ok(format!("{} {}", answer.status.as_u16(), String::from_utf8_lossy(&body)))
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_the_users_name() {
    let told = Told::default();
    let proxy = http_proxy(&told, "HTTP/1.1 200 Connected\r\n\r\n");
    let port = provider().port();
    let url = format!("https://{PROVIDER}:{port}/v1/models");
    let answer = get(through(&format!("http://me:p%40ss@{proxy}")), &url).await;
    assert_eq!(answer.expect("an answer"), "200 hello");
    assert_eq!(told.lines(), [format!("CONNECT {PROVIDER}:{port} HTTP/1.1 Basic bWU6cEBzcw==")]);
}

#[tokio::test]
async fn plain_http_is_asked_by_its_whole_address() {
    let told = Told::default();
    let proxy = http_proxy(&told, "");
    let answer =
        get(through(&format!("http://me:pass@{proxy}")), "http://provider.test:8000/v1/models").await;
    assert_eq!(answer.expect("an answer"), "200 hello");
    assert_eq!(told.lines(), ["GET http://provider.test:8000/v1/models HTTP/1.1 Basic bWU6cGFzcw=="]);
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let config = tls_config("elsewhere");
    let told = Told::default();
    let seen = told.clone();
    let proxy = serve(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, socket);
        if let Some((line, _)) = head(&mut stream) {
            seen.add(line);
            let _ = stream.write_all(HELLO).and_then(|()| stream.flush());
        }
    });
    // Its certificate is for a name, and its address is this machine's: the name is checked.
    let failure =
        get(through(&format!("https://{proxy}")), "http://provider.test/").await.expect_err("another name");
    assert!(failure.message.contains("no TLS connection to it"), "{failure}");
    assert!(told.lines().is_empty());
    let trusted = tls_config("loopback");
    let seen = told.clone();
    let proxy = serve(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&trusted)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, socket);
        if let Some((line, _)) = head(&mut stream) {
            seen.add(line);
            let _ = stream.write_all(HELLO).and_then(|()| stream.flush());
        }
    });
    let answer = get(through(&format!("https://{proxy}")), "http://provider.test/").await;
    assert_eq!(answer.expect("an answer"), "200 hello");
    assert_eq!(told.lines(), ["GET http://provider.test/ HTTP/1.1"]);
}

#[tokio::test]
async fn socks_resolves_names_where_the_scheme_says() {
    let told = Told::default();
    let proxy = socks_proxy(&told, true);
    let port = provider().port();
    let url = format!("https://{PROVIDER}:{port}/v1/models");
    let answer = get(through(&format!("socks5h://me:pass@{proxy}")), &url).await;
    assert_eq!(answer.expect("an answer"), "200 hello");
    assert_eq!(told.lines(), ["me/pass".to_owned(), format!("{PROVIDER} by name")]);
    // Nobody here knows that name.
    let open = socks_proxy(&told, false);
    let failure = get(through(&format!("socks5://{open}")), &url).await.expect_err("no such name");
    assert!(failure.message.contains("cannot be resolved"), "{failure}");
    assert_eq!(told.lines().len(), 2);
    let plain = serve(|mut socket| {
        if head(&mut socket).is_some() {
            let _ = socket.write_all(HELLO);
        }
    });
    // An address needs no name.
    let answer =
        get(through(&format!("socks5://{open}")), &format!("http://192.0.2.7:{}/", plain.port())).await;
    assert_eq!(answer.expect("an answer"), "200 hello");
    assert_eq!(told.lines().last().map(String::as_str), Some("192.0.2.7 by address"));
}

#[tokio::test]
async fn a_failure_names_the_proxy_and_never_its_password() {
    let told = Told::default();
    let wants_a_user = http_proxy(&told, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let forbids = http_proxy(&told, "HTTP/1.1 403 Forbidden\r\n\r\n");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let cases = [
        (format!("http://me:hunter2@{wants_a_user}"), "wants a user name and a password"),
        (format!("http://me:hunter2@{forbids}"), "does not connect to this host"),
        (format!("http://me:hunter2@{gone}"), "refused the connection"),
        (format!("socks5h://me:hunter2@{gone}"), "refused the connection"),
        ("http://me:hunter2@proxy.invalid:1".to_owned(), "cannot be resolved"),
    ];
    for (proxy, words) in cases {
        let failure = get(through(&proxy), "https://provider.test/v1").await.expect_err(words);
        assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
        let shown = ProxyUrl::parse(&proxy).expect("a proxy").to_string();
        assert!(failure.message.contains(words) && failure.message.contains(&shown), "{failure}");
        assert!(
            !failure.message.contains("hunter2") && failure.message.contains("provider.test"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn this_machine_and_exceptions_are_asked_directly() {
    let told = Told::default();
    let proxy = http_proxy(&told, "");
    let direct = serve(|mut socket| {
        if head(&mut socket).is_some() {
            let _ = socket.write_all(HELLO);
        }
    });
    let env = |name: &str| match name {
        "ALL_PROXY" => Some(format!("http://{proxy}")),
        "NO_PROXY" => Some("*.nowhere.invalid".to_owned()),
        _ => None,
    };
    let outbound = || Outbound::from_environment(&env).expect("fine");
    for host in ["127.0.0.1", "localhost"] {
        let answer = get(outbound(), &format!("http://{host}:{}/", direct.port())).await;
        assert_eq!(answer.expect("an answer"), "200 hello");
    }
    let failure = get(outbound(), "http://a.nowhere.invalid/").await.expect_err("no such host");
    assert!(!failure.message.contains("proxy"), "{failure}");
    assert!(told.lines().is_empty(), "{:?}", told.lines());
    assert_eq!(get(outbound(), "http://provider.test/").await.expect("an answer"), "200 hello");
    assert_eq!(told.lines(), ["GET http://provider.test/ HTTP/1.1"]);
}
