//! TLS 1.3 between sides that pin each other's certificates.

use super::identity::{Fingerprint, Identity, Validity};
use crate::{Error, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};
use std::sync::Arc;

/// Verifier that accepts the certificates of a list while they are valid.
#[derive(Debug)]
struct Pinned {
    known: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn new(known: Vec<Fingerprint>) -> Arc<Self> {
        Arc::new(Self { known, provider: Arc::new(ring::default_provider()) })
    }

    fn check(&self, certificate: &CertificateDer<'_>) -> std::result::Result<(), rustls::Error> {
        let found = Fingerprint::of(certificate);
        if !self.known.contains(&found) {
            return Err(rustls::Error::General(format!("its certificate {found} is not one that cluster.toml pins for it")));
        }
        match Validity::of(certificate).map_err(|e| rustls::Error::General(e.to_string()))?.fault() {
            None => Ok(()),
            Some(fault) => Err(rustls::Error::General(fault)),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
}

/// Error for TLS 1.2, which no side speaks.
fn tls12() -> rustls::Error {
    rustls::Error::General("TLS 1.3 only".into())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Configuration of the side that dials and expects this one certificate.
pub(super) fn dialler(identity: &Identity, expected: Fingerprint) -> Result<Arc<ClientConfig>> {
    let pinned = Pinned::new(vec![expected]);
    let mut config = ClientConfig::builder_with_provider(pinned.provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(failed)?;
    // every session starts from nothing
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Configuration of the side that listens, for these certificates.
pub(super) fn listener(identity: &Identity, known: Vec<Fingerprint>) -> Result<Arc<ServerConfig>> {
    let pinned = Pinned::new(known);
    let mut config = ServerConfig::builder_with_provider(pinned.provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(pinned)
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(failed)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn failed(e: rustls::Error) -> Error {
    Error::Input(format!("the key and certificate cannot be used for TLS: {e}"))
}
