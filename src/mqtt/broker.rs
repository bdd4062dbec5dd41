//! A broker as it is configured: where it is, who we are there, and whom to trust with TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;

use super::fault::{AuthoritySource, Fault};

/// A broker and how to log in.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `None` talks plainly.
    pub tls: Option<Tls>,
    /// `None` connects anonymously.
    pub login: Option<Login>,
}

/// A user name and its password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The broker's name for us.
    pub user: String,
    /// Never shown.
    pub password: SecretString,
}

impl Broker {
    /// `host:port`, as messages have it.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Talk TLS, and whom to trust.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM file of the authority that signed the broker's certificate; `None` trusts whom the system trusts. Read anew
    /// for every connection, so that a mended file needs no restart.
    pub ca_file: Option<PathBuf>,
}

/// rustls' configuration, with the ring provider whatever else the process installed.
pub(super) fn client_config(tls: &Tls, broker: &str) -> Result<Arc<ClientConfig>, Fault> {
    let from = tls.ca_file.clone().map_or(AuthoritySource::System, AuthoritySource::File);
    let trouble =
        |why: String| Fault::Authority { broker: broker.to_owned(), from: from.clone(), why };
    let certificates: Vec<CertificateDer<'static>> = match &tls.ca_file {
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| trouble(error.to_string()))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(trouble("it holds no usable certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls { broker: broker.to_owned(), why: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
