//! Certificates made on the spot, and clients that trust them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// A self-signed certificate for `localhost` and 127.0.0.1, and its key, as files.
#[derive(Debug)]
pub struct Certificate {
    /// PEM of the certificate.
    pub certificate_file: PathBuf,
    /// PEM of the key.
    pub key_file: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    /// Makes a certificate and writes `cert.pem` and `key.pem`, in place of what is there.
    pub fn write_to(folder: &Path) -> Self {
        Self::write(folder, IsCa::NoCa)
    }

    /// The same, and the certificate says that it is an authority's, as those of `openssl req -x509` do.
    pub fn write_authority_to(folder: &Path) -> Self {
        Self::write(folder, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn write(folder: &Path, is_ca: IsCa) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("the names are valid");
        params.is_ca = is_ca;
        let signing_key = KeyPair::generate().expect("a key can be made");
        let cert = params
            .self_signed(&signing_key)
            .expect("the key can sign its own certificate");
        let certificate_file = folder.join("cert.pem");
        let key_file = folder.join("key.pem");
        // Key first: whoever watches the certificate finds both when it changes.
        replace(&key_file, &signing_key.serialize_pem());
        replace(&certificate_file, &cert.pem());
        Self {
            certificate_file,
            key_file,
            certificate: cert.der().clone(),
        }
    }

    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// A client that trusts this certificate only.
    pub fn trusting_client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .expect("the certificate can be a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// Writes beside and renames, as those who renew certificates do: nobody reads half a file.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("the folder can be written");
    std::fs::rename(&new, path).expect("a file can be renamed in its folder");
}
