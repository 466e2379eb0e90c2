//! How a connection comes in: from this machine as it likes, from others by TLS or through a proxy that is trusted.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use latimer_adapters::transport::network::Network;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::watch::Version;
use crate::config::{Exposure, TlsFiles};
use crate::sync::{lock, read, write};

/// How long a client may take for its first byte, and for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What every TLS connection begins with: the type of a record of the handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What somebody is told who speaks plain HTTP from another machine.
const NEEDS_TLS: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 125\r\n\r\n{\"error\":{\"message\":\"this port speaks TLS; use https://\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"tls_required\"}}\n";

/// What protects connections from other machines.
pub struct Protection(Kind);

enum Kind {
    /// Nothing: nobody else can connect.
    Loopback,
    Tls(Certificate),
    BehindProxy(Vec<Network>),
}

impl Protection {
    /// What is needed for this exposure.
    ///
    /// # Errors
    /// The certificate or its key cannot be read, or they do not belong together.
    pub fn load(exposure: &Exposure) -> io::Result<Self> {
        Ok(Self(match exposure {
            Exposure::Loopback => Kind::Loopback,
            Exposure::Tls(files) => Kind::Tls(Certificate::load(files)?),
            Exposure::BehindProxy(trusted) => Kind::BehindProxy(trusted.clone()),
        }))
    }

    /// Whether there is a certificate that may be renewed.
    pub(super) const fn has_certificate(&self) -> bool {
        matches!(self.0, Kind::Tls(_))
    }

    /// Takes up a certificate that was renewed. One that cannot be used is reported, and the old one stays.
    pub(super) fn refresh(&self) {
        if let Kind::Tls(certificate) = &self.0 {
            certificate.refresh();
        }
    }

    /// Whom a connection comes from.
    pub(super) fn origin(&self, stream: &TcpStream) -> ConnectionOrigin {
        match (stream.peer_addr(), stream.local_addr()) {
            (Ok(peer), Ok(local)) => self.origin_of(peer.ip().to_canonical(), local.ip().to_canonical()),
            _ => ConnectionOrigin::Untrusted,
        }
    }

    fn origin_of(&self, peer: IpAddr, local: IpAddr) -> ConnectionOrigin {
        let Kind::BehindProxy(trusted) = &self.0 else { return ConnectionOrigin::Direct };
        if trusted.iter().any(|network| network.contains(peer)) {
            ConnectionOrigin::TrustedProxy
        } else if is_this_machine(peer, local) {
            ConnectionOrigin::Direct
        } else {
            ConnectionOrigin::Untrusted
        }
    }

    /// Does what has to be done before HTTP is spoken; `None` where it is not.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<Connection> {
        let Kind::Tls(certificate) = &self.0 else { return Some(Connection::Plain(stream)) };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, certificate.accept(stream)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::debug!(event = "tls.refused", error = %error);
                None
            }
            Err(_) => None,
        }
    }
}

/// Whom a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionOrigin {
    /// A client.
    Direct,
    /// The proxy in front: it says for whom it asks.
    TrustedProxy,
    /// Somebody who goes around the proxy in front. Told whether latimer lives, and nothing else.
    Untrusted,
}

fn is_this_machine(peer: IpAddr, local: IpAddr) -> bool {
    peer.is_loopback() || peer == local
}

/// A certificate that may be renewed while it is used.
struct Certificate {
    files: TlsFiles,
    acceptor: RwLock<TlsAcceptor>,
    seen: Mutex<[Version; 2]>,
}

impl Certificate {
    fn load(files: &TlsFiles) -> io::Result<Self> {
        let seen = versions(files);
        Ok(Self { acceptor: RwLock::new(acceptor(files)?), files: files.clone(), seen: Mutex::new(seen) })
    }

    fn refresh(&self) {
        let now = versions(&self.files);
        let mut seen = lock(&self.seen);
        if *seen == now {
            return;
        }
        *seen = now;
        match acceptor(&self.files) {
            Ok(renewed) => {
                *write(&self.acceptor) = renewed;
                tracing::info!(event = "tls.renewed", cert = %self.files.cert.display());
            }
            Err(error) => {
                tracing::error!(event = "tls.renewal_refused", error = %error, note = "the old certificate stays");
            }
        }
    }

    /// TLS from everybody; plain HTTP from this machine only.
    async fn accept(&self, mut stream: TcpStream) -> io::Result<Option<Connection>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first[0] == TLS_HANDSHAKE {
            let acceptor = read(&self.acceptor).clone();
            return Ok(Some(Connection::Tls(Box::new(acceptor.accept(stream).await?))));
        }
        if is_this_machine(stream.peer_addr()?.ip().to_canonical(), stream.local_addr()?.ip().to_canonical())
        {
            return Ok(Some(Connection::Plain(stream)));
        }
        stream.write_all(NEEDS_TLS.as_bytes()).await?;
        Ok(None)
    }
}

fn versions(files: &TlsFiles) -> [Version; 2] {
    [Version::of(&files.cert), Version::of(&files.key)]
}

fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let wrong = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
        io::Error::other(format!("{what} `{}` cannot be used: {error}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&files.cert, "the certificate", &error))?;
    if chain.is_empty() {
        return Err(wrong(&files.cert, "the certificate", &"there is none in the file"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&files.key, "the private key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&files.cert, "the certificate", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection on which HTTP is spoken.
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_counts_its_bytes() {
        let (head, body) = NEEDS_TLS.split_once("\r\n\r\n").expect("a head and a body");
        let stated = head.split_once("content-length: ").expect("stated").1;
        assert_eq!(stated.parse(), Ok(body.len()));
    }

    #[test]
    fn only_listed_proxies_and_this_machine_are_listened_to() {
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        let behind = Protection::load(&Exposure::BehindProxy(trusted)).expect("nothing to load");
        let origin = |peer: &str| {
            let [peer, local] = [peer, "192.0.2.1"].map(|address| address.parse().expect("an address"));
            behind.origin_of(peer, local)
        };
        assert_eq!(origin("10.1.2.3"), ConnectionOrigin::TrustedProxy);
        assert_eq!(
            (origin("127.0.0.1"), origin("192.0.2.1")),
            (ConnectionOrigin::Direct, ConnectionOrigin::Direct)
        );
        assert_eq!(
            (origin("192.0.2.2"), origin("203.0.113.1")),
            (ConnectionOrigin::Untrusted, ConnectionOrigin::Untrusted)
        );
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        let files = TlsFiles { cert: "/none/cert.pem".into(), key: "/none/key.pem".into() };
        let error = Protection::load(&Exposure::Tls(files)).err().expect("refused").to_string();
        assert!(error.contains("/none/cert.pem"), "{error}");
    }
}
