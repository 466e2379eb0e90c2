//! Connections of a client: to a host itself, or through the proxy that its rules name. The handshakes are hyper-util's.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tower_service::Service;

use super::outbound::{Outbound, ProxyScheme, ProxyUrl};
use super::roots;

type BoxError = Box<dyn Error + Send + Sync>;
/// To a proxy over TLS, or to anything else plainly.
type TcpOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections by the rules of an [`Outbound`].
#[derive(Debug, Clone)]
pub(super) struct OutboundConnector {
    tcp: HttpConnector,
    outbound: Outbound,
    ca_file: Option<PathBuf>,
    /// Made at the first connection to a proxy that speaks TLS.
    tls: Arc<OnceCell<HttpsConnector<HttpConnector>>>,
}

/// A connection, and whether it ends at a proxy that wants whole addresses.
#[derive(Debug)]
pub(super) struct OutboundStream {
    io: TcpOrTls,
    at_proxy: bool,
}

/// A proxy did not connect.
#[derive(Debug)]
pub(super) struct ProxyError {
    proxy: Arc<ProxyUrl>,
    source: BoxError,
}

impl OutboundConnector {
    /// Over these TCP connections; a private CA is also trusted for a proxy that speaks TLS.
    pub(super) fn new(tcp: HttpConnector, outbound: Outbound, ca_file: Option<PathBuf>) -> Self {
        Self { tcp, outbound, ca_file, tls: Arc::default() }
    }

    async fn connect(mut self, uri: Uri) -> Result<OutboundStream, BoxError> {
        let Some(proxy) = self.outbound.proxy(&uri).cloned() else {
            let io = self.tcp.call(uri).await?.into();
            return Ok(OutboundStream { io, at_proxy: false });
        };
        self.through(&proxy, uri).await.map_err(|source| ProxyError { proxy, source }.into())
    }

    async fn through(mut self, proxy: &ProxyUrl, uri: Uri) -> Result<OutboundStream, BoxError> {
        let at = proxy.uri().ok_or("its address is none")?;
        match proxy.scheme() {
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
                let uri = if proxy.scheme() == ProxyScheme::Socks5 { resolved(&uri).await? } else { uri };
                // The error type of its handshake hides why there is no connection.
                let ready = ReadyConnection(Some(self.tcp.call(at.clone()).await?));
                let socks = SocksV5::new(at, ready);
                let mut socks = match proxy.login() {
                    Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
                    None => socks,
                };
                Ok(OutboundStream { io: socks.call(with_port(&uri)?).await?.into(), at_proxy: false })
            }
            ProxyScheme::Http if uri.scheme_str() == Some("https") => Ok(OutboundStream {
                io: tunnel(proxy, at, self.tcp).call(uri).await?.into(),
                at_proxy: false,
            }),
            ProxyScheme::Http => Ok(OutboundStream { io: self.tcp.call(at).await?.into(), at_proxy: true }),
            ProxyScheme::Https => {
                let mut tls = self.tls.get_or_try_init(|| self.tls()).await?.clone();
                if uri.scheme_str() == Some("https") {
                    let io = tunnel(proxy, at, tls).call(uri).await?;
                    return Ok(OutboundStream { io, at_proxy: false });
                }
                Ok(OutboundStream { io: tls.call(at).await?, at_proxy: true })
            }
        }
    }

    async fn tls(&self) -> Result<HttpsConnector<HttpConnector>, BoxError> {
        let config = roots::client_config(self.ca_file.as_deref())
            .await
            .map_err(|failure| String::from(failure.message))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        // A proxy is spoken to in HTTP/1.1.
        Ok(builder.enable_http1().wrap_connector(self.tcp.clone()))
    }
}

/// A connection that is there already.
struct ReadyConnection(Option<TokioIo<TcpStream>>);

impl Service<Uri> for ReadyConnection {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

fn tunnel<C>(proxy: &ProxyUrl, at: Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(at, connector);
    match proxy.authorization() {
        Some(authorization) => tunnel.with_auth(authorization),
        None => tunnel,
    }
}

/// The address with its port: SOCKS knows no schemes.
fn with_port(uri: &Uri) -> Result<Uri, BoxError> {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().ok_or("the address has no host")?;
    Ok(format!("http://{host}:{}/", uri.port_u16().unwrap_or(usual)).parse()?)
}

/// The address with the first that its name stands for.
async fn resolved(uri: &Uri) -> Result<Uri, BoxError> {
    let uri = with_port(uri)?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let mut found = tokio::net::lookup_host((host, uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| format!("dns error: {error}"))?;
    let address = found.next().ok_or("dns error: the name stands for no address")?;
    Ok(format!("http://{address}/").parse()?)
}

impl Service<Uri> for OutboundConnector {
    type Response = OutboundStream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<OutboundStream, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl Connection for OutboundStream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.at_proxy)
    }
}

impl Read for OutboundStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl Write for OutboundStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }
}

impl ProxyError {
    /// Which proxy it was.
    pub(super) fn proxy(&self) -> &ProxyUrl {
        &self.proxy
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} did not connect", self.proxy)
    }
}

impl Error for ProxyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
