//! TLS of the client role: trust in servers, and client certificates.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    OtherError, RootCertStore, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::tls::TlsFiles;
use crate::tls::{TlsError, certificates, load};
use wsrun_contract::Verify;

/// The certificates that are trusted.
#[derive(Debug)]
pub enum Trust {
    /// Certificates issued by the platform's roots, or by these.
    Platform(Vec<CertificateDer<'static>>),
    /// Certificates issued by these roots only.
    Only(Vec<CertificateDer<'static>>),
    /// Any certificate.
    DangerAnybody,
}

/// Reads the certificates of a PEM file of roots.
pub fn roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(file, "trusted certificates")
}

/// Configurations by the way to verify and the name of the client certificate.
type Configs = HashMap<(Verify, Option<String>), Arc<ClientConfig>>;

/// The client's side of TLS. A configuration is made when it is first needed, and kept. It holds
/// the tickets for resumption, which belong to one identity and one way to verify.
#[derive(Debug)]
pub struct ClientTls {
    trust: Trust,
    identities: BTreeMap<String, Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
    /// The lock is held while files are read, only by [`make`](Self::make).
    verifier: Mutex<Option<Arc<dyn ServerCertVerifier>>>,
    /// At most two configurations for each identity, and two for none. Workers take them from here,
    /// and never wait for files.
    configs: Mutex<Configs>,
}

impl ClientTls {
    pub fn new(trust: Trust, identities: &BTreeMap<String, TlsFiles>) -> Result<Self, TlsError> {
        let identities = identities
            .iter()
            .map(|(name, files)| Ok((name.clone(), Arc::new(load(files)?))));
        Ok(Self {
            trust,
            identities: identities.collect::<Result<_, TlsError>>()?,
            provider: Arc::new(aws_lc_rs::default_provider()),
            verifier: Mutex::default(),
            configs: Mutex::default(),
        })
    }

    pub(super) fn has_identity(&self, name: &str) -> bool {
        self.identities.contains_key(name)
    }

    /// Returns a configuration, if it was made before.
    pub(super) fn made(&self, verify: Verify, identity: Option<&str>) -> Option<Arc<ClientConfig>> {
        let configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (verify, identity.map(str::to_owned));
        configs.get(&key).map(Arc::clone)
    }

    /// Makes a configuration. This may read files.
    pub(super) fn make(
        &self,
        verify: Verify,
        identity: Option<String>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let full = self.verifier()?;
        let verifier = match verify {
            Verify::Full => full,
            Verify::AllowSelfSigned => Arc::new(AcceptSelfSigned(full)),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let key = identity.as_ref().and_then(|name| self.identities.get(name));
        let mut config = match key {
            Some(key) => {
                let resolver = SingleCertAndKey::from(Arc::clone(key));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let config = configs
            .entry((verify, identity))
            .or_insert_with(|| Arc::new(config));
        Ok(Arc::clone(config))
    }

    /// Returns the verifier of [`Verify::Full`]. It is made once, since the roots of the platform
    /// are many files.
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let mut made = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifier) = &*made {
            return Ok(Arc::clone(verifier));
        }
        Ok(Arc::clone(made.insert(self.make_verifier()?)))
    }

    fn make_verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let provider = Arc::clone(&self.provider);
        Ok(match &self.trust {
            Trust::Platform(extra) => Arc::new(
                rustls_platform_verifier::Verifier::new_with_extra_roots(extra.clone(), provider)?,
            ),
            Trust::Only(roots) => {
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(root.clone())?;
                }
                let builder = WebPkiServerVerifier::builder_with_provider(store.into(), provider);
                let built = builder.build();
                built.map_err(|error| Error::Other(OtherError(Arc::new(error))))?
            }
            Trust::DangerAnybody => Arc::new(AcceptAny(provider)),
        })
    }
}

/// Returns the error's text, with advice for the user where there is any.
pub(super) fn describe(error: &Error) -> String {
    // The alerts of a server that requires a client certificate.
    let wants_identity = [
        AlertDescription::CertificateRequired,
        AlertDescription::BadCertificate,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
    ];
    if *error == Error::InvalidCertificate(CertificateError::UnknownIssuer) {
        return "the certificate is not issued by a trusted authority".to_owned();
    }
    if is_no_tls(error) {
        return "the server does not speak TLS on this port: use ws:// for one without, or the port that has it".to_owned();
    }
    if is_authority_as_server(error) {
        return "the server shows the certificate of an authority (CA:TRUE) as its own: give it one with CA:FALSE \
                (openssl req … -addext basicConstraints=critical,CA:FALSE), or accept one that is self-signed (--allow-self-signed)"
            .to_owned();
    }
    if let Error::AlertReceived(alert) = error
        && wants_identity.contains(alert)
    {
        return format!("{error}: the server refuses the client certificate, or wants one");
    }
    error.to_string()
}

/// Returns true when the server's answer is not TLS, such as the "bad request" of an HTTP server.
fn is_no_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion
        )
    )
}

/// Returns true when the server's own certificate is one for issuing others. rustls has no variant
/// for this case, and passes on the error of webpki.
fn is_authority_as_server(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))
            if inner.to_string() == "CaUsedAsEndEntity"
    )
}

/// A verifier that accepts what the inner verifier accepts, and self-signed certificates. These
/// must have the right name, must be valid now, and must be for servers. The server proves that it
/// has the key of such a certificate, but nothing proves who it is.
#[derive(Debug)]
struct AcceptSelfSigned(Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for AcceptSelfSigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(certificate) = self_signed(end_entity) else {
            let Self(inner) = self;
            return inner.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > certificate.validity().not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        let for_servers = match certificate.extended_key_usage() {
            Ok(None) => true,
            Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
            Err(_) => false,
        };
        if !for_servers {
            return Err(CertificateError::InvalidPurpose.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Returns the certificate if it is signed with its own key.
fn self_signed<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    let is_own_issuer = certificate.subject().as_raw() == certificate.issuer().as_raw();
    (rest.is_empty() && is_own_issuer && certificate.verify_signature(None).is_ok())
        .then_some(certificate)
}

/// A verifier that accepts every certificate whose key the server has.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
