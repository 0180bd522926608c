//! TLS of the server: files to a rustls configuration, replaced while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::stream::Socket;

/// PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. What was in use before stays in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or has no PEM section of the kind.
    #[error("cannot use {file} as {what}: {cause}")]
    File {
        /// The file.
        file: PathBuf,
        /// `a certificate chain`, `a private key` or `trusted certificates`.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// Key and certificate do not make a pair, or rustls refuses them.
    #[error("cannot use the key {key} with the certificate {certificate}: {cause}")]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// A PEM file. The bundle of all roots that browsers trust has a quarter of a MiB.
const PEM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The server's side of TLS.
pub struct Tls {
    files: TlsFiles,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(load(&files)?)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        Ok(Self {
            files,
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Reads the files again. Handshakes from here on use what they hold; open connections are not touched.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(load(&self.files)?));
        Ok(())
    }

    pub fn files(&self) -> [&Path; 2] {
        [&self.files.certificate, &self.files.key]
    }

    pub async fn accept(&self, socket: Socket) -> std::io::Result<TlsStream<Socket>> {
        self.acceptor.accept(socket).await
    }
}

/// Reads a certificate chain and its key.
pub fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate, "a certificate chain")?;
    let what = "a private key";
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key, what)?)
        .map_err(|error| file_error(&files.key, what, describe(&error)))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|cause| {
        TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            cause,
        }
    })
}

/// Reads the certificates of a PEM file: at least one.
pub fn certificates(
    file: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(file, what)?)
        .collect::<Result<_, _>>()
        .map_err(|error| file_error(file, what, describe(&error)))?;
    if certificates.is_empty() {
        let cause = "it holds no CERTIFICATE section".into();
        return Err(file_error(file, what, cause));
    }
    Ok(certificates)
}

fn read(file: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    wsrun_os::file::read(file, PEM_BYTES_MAX)
        .map_err(|error| file_error(file, what, error.to_string()))
}

fn file_error(file: &Path, what: &'static str, cause: String) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        what,
        cause,
    }
}

fn describe(error: &rustls::pki_types::pem::Error) -> String {
    if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
        return "it holds no PEM section of that kind".into();
    }
    error.to_string()
}

/// The certificate in use.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
