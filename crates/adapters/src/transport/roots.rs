//! Who is trusted: the machine's own store, and a private CA where an endpoint names one.

use std::path::Path;

use latimer_protocol::failure::{Failure, FailureKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// Read once per process: the store is a directory of some hundred files, and every endpoint trusts the same one.
static NATIVE: OnceCell<Vec<CertificateDer<'static>>> = OnceCell::const_new();

/// The TLS settings of one endpoint. Certificates are always checked; nothing turns that off.
pub(super) async fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        roots.add_parsable_certificates(private(path)?);
    }
    match NATIVE.get_or_try_init(native).await {
        Ok(certificates) => {
            roots.add_parsable_certificates(certificates.iter().cloned());
        }
        // A private CA alone is enough for the endpoint that names it.
        Err(_) if !roots.is_empty() => {}
        Err(failure) => return Err(failure),
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Internal, format!("TLS cannot be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn native() -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found =
        tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await.map_err(|error| {
            Failure::new(FailureKind::Internal, format!("reading the trust store failed: {error}"))
        })?;
    if found.certs.is_empty() {
        let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(Failure::new(
            FailureKind::Unreachable,
            format!(
                "this machine has no trusted certificates{detail}, so no https provider can be checked. Install the \
                 system's CA certificates (package `ca-certificates`), or set SSL_CERT_FILE."
            ),
        ));
    }
    Ok(found.certs)
}

fn private(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failure = |detail: String| {
        Failure::new(
            FailureKind::Unreachable,
            format!("the `ca_file` {} cannot be used: {detail}", path.display()),
        )
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failure(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failure("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_ca_file_is_named() {
        let failure = client_config(Some(Path::new("nowhere/ca.pem"))).await.expect_err("no such file");
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(failure.message.contains("nowhere/ca.pem"), "{failure}");
    }
}
