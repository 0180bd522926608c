//! Where a URL leads, and the transport to it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::Args;

/// What the client talks over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// Where a URL leads.
pub(super) struct Target {
    place: Place,
    secure: bool,
    /// The Host header.
    pub(super) host: String,
    pub(super) path: String,
}

enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Target {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("ws+unix:") {
            return Ok(Self {
                place: Place::Unix(path.into()),
                secure: false,
                host: "localhost".into(),
                path: "/".into(),
            });
        }
        let url = url::Url::parse(text).with_context(|| {
            format!("`{text}` is not a URL; it must look like ws://127.0.0.1:9000/")
        })?;
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            other => {
                bail!("`{other}://` is not a WebSocket URL: use ws://, wss:// or ws+unix:PATH")
            }
        };
        if url.fragment().is_some() {
            // RFC 6455, 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
            bail!("a WebSocket URL has no fragment (#…)");
        }
        let name = url
            .host_str()
            .ok_or_else(|| anyhow!("`{text}` names no host"))?
            .to_owned();
        let port = url
            .port_or_known_default()
            .unwrap_or(if secure { 443 } else { 80 });
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.clone(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let name = name.trim_matches(['[', ']']).to_owned();
        Ok(Self {
            place: Place::Tcp(name, port),
            secure,
            host,
            path,
        })
    }

    pub(super) async fn open(&self, args: &Args) -> anyhow::Result<Box<dyn Transport>> {
        match &self.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .with_context(|| format!("cannot connect to {}", path.display()))?;
                Ok(Box::new(stream))
            }
            Place::Tcp(name, port) => {
                let stream = TcpStream::connect((name.as_str(), *port))
                    .await
                    .with_context(|| format!("cannot connect to {name} port {port}"))?;
                stream.set_nodelay(true)?;
                if !self.secure {
                    return Ok(Box::new(stream));
                }
                let server = ServerName::try_from(name.clone())
                    .with_context(|| format!("`{name}` cannot be a server's name"))?;
                let connector = TlsConnector::from(Arc::new(tls(args)?));
                let stream = connector
                    .connect(server, stream)
                    .await
                    .context("TLS handshake failed")?;
                Ok(Box::new(stream))
            }
        }
    }
}

fn tls(args: &Args) -> anyhow::Result<rustls::ClientConfig> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    if args.insecure {
        let verifier = Arc::new(danger::AnyCertificate(provider));
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    if let Some(file) = &args.ca_file {
        let mut roots = rustls::RootCertStore::empty();
        let read = || format!("cannot read certificates from {}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).with_context(read)? {
            roots.add(certificate.with_context(read)?)?;
        }
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

mod danger {
    //! A verifier that verifies nothing but signatures, for `--insecure`.

    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyCertificate {
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
            verify_tls12_signature(
                message,
                certificate,
                signature,
                &self.0.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                certificate,
                signature,
                &self.0.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_gives_host_header_and_path() {
        let target = Target::parse("ws://[::1]:9000/a%20b?c=d").unwrap();
        assert_eq!(
            (target.host.as_str(), target.path.as_str()),
            ("[::1]:9000", "/a%20b?c=d")
        );
        assert!(matches!(target.place, Place::Tcp(name, 9000) if name == "::1"));
        let target = Target::parse("wss://example.com").unwrap();
        assert_eq!(
            (target.host.as_str(), target.path.as_str(), target.secure),
            ("example.com", "/", true)
        );
        assert!(matches!(target.place, Place::Tcp(_, 443)));
        for wrong in ["http://a", "a", "ws://a/#b", "ws://"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
