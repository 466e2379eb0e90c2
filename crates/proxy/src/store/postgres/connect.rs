//! Connections to the shared database: a bounded pool, over TLS where the network is not this machine.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{self, ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Connection, Socket};

use super::errors::DatabaseProblem;
use crate::config::SharedStore;
use crate::config::database_url::DatabaseUrl;

/// How long a free connection is waited for.
const WAIT: Duration = Duration::from_secs(3);
/// How long one may take to be made: TCP, TLS and the login.
const CREATE: Duration = Duration::from_secs(5);

/// A pool, and one connection beside it that listens.
#[derive(Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    tls: Tls,
    pool: Pool,
}

impl Connector {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(settings: &SharedStore) -> Result<Self, DatabaseProblem> {
        let tls = Tls::new(&settings.url)?;
        let manager = Manager::from_config(
            settings.url.config().clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        // One connection listens.
        let pool = Pool::builder(manager)
            .max_size(settings.pool.saturating_sub(1).max(1))
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(CREATE), recycle: Some(WAIT) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| DatabaseProblem::Tls(error.to_string()))?;
        Ok(Self { url: settings.url.clone(), tls, pool })
    }

    /// Host, port and database.
    pub(super) fn name(&self) -> &str {
        self.url.name()
    }

    /// Does something with a connection within a time. One that took longer is closed: nobody knows what it would answer next.
    ///
    /// # Errors
    /// No connection is to be had, the database refuses, or it takes too long.
    pub(super) async fn with<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Object) -> Result<T, DatabaseProblem>,
    ) -> Result<T, DatabaseProblem> {
        let mut connection = Some(tokio::time::timeout(limit, self.pool.get()).await??);
        let result = match &mut connection {
            Some(connection) => tokio::time::timeout(limit, work(connection)).await,
            None => return Err(DatabaseProblem::Timeout),
        };
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(problem)) => {
                if !matches!(&problem, DatabaseProblem::Database(error) if error.as_db_error().is_some()) {
                    drop(connection.take().map(Object::take));
                }
                Err(problem)
            }
            Err(_) => {
                drop(connection.take().map(Object::take));
                Err(DatabaseProblem::Timeout)
            }
        }
    }

    /// Closes the connections that nobody uses at the moment.
    pub(super) fn forget_connections(&self) {
        drop(self.pool.retain(|_, _| false));
    }

    /// A connection of its own, and what drives it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) async fn alone(
        &self,
    ) -> Result<(Client, Connection<Socket, Encrypted<Socket>>), DatabaseProblem> {
        Ok(tokio::time::timeout(CREATE, self.url.config().connect(self.tls.clone())).await??)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("url", &self.url).finish_non_exhaustive()
    }
}

/// TLS as everywhere in latimer: rustls, the certificate always checked.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    fn new(url: &DatabaseUrl) -> Result<Self, DatabaseProblem> {
        let mut roots = RootCertStore::empty();
        if url.config().get_ssl_mode() != tokio_postgres::config::SslMode::Disable {
            if let Some(path) = url.ca_file() {
                let certificates = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| {
                        DatabaseProblem::Tls(format!(
                            "the sslrootcert `{}` cannot be used: {error}",
                            path.display()
                        ))
                    })?;
                roots.add_parsable_certificates(certificates);
            }
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| DatabaseProblem::Tls(error.to_string()))?;
        Ok(Self(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = TlsTo;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<TlsTo, Self::Error> {
        Ok(TlsTo { config: Arc::clone(&self.0), host: ServerName::try_from(host.to_owned())? })
    }
}

/// TLS to one host.
pub(super) struct TlsTo {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for TlsTo {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = tokio_rustls::TlsConnector::from(self.config).connect(self.host, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

/// A connection under TLS.
pub(super) struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tls::TlsStream for Encrypted<S> {
    /// None: the password is bound to no certificate, which is checked anyway.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, out)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
