//! TLS for `wss`.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use tokio_rustls::TlsConnector;

use crate::transport::Transport;

/// The handshake of TLS.
pub(crate) async fn connect(connector: Option<&TlsConnector>, host: &str, tcp: TcpStream) -> io::Result<Transport> {
    let connector = match connector {
        Some(connector) => connector,
        None => platform_connector()?,
    };
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(connector.connect(name, tcp).await?.into())
}

/// A connector with the certificate authorities of the platform, which are read from disk once.
fn platform_connector() -> io::Result<&'static TlsConnector> {
    static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();

    if let Some(connector) = CONNECTOR.get() {
        return Ok(connector);
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the platform has no certificate authorities"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONNECTOR.get_or_init(|| TlsConnector::from(Arc::new(config))))
}
