//! Whom an `https` backend is checked against: the certificates that the charm was given, and
//! nothing else. No system store, no way to switch checking off.

use std::fs;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::config::ServerCertificate;

/// A TLS configuration that trusts exactly the certificates in `pem`, which are `certificate`'s.
///
/// # Errors
///
/// Says what is wrong when not one usable certificate is found; where some are usable, the others
/// are passed over.
pub(super) fn trusting(pem: &[u8], certificate: &ServerCertificate) -> Result<TlsConfig, String> {
    let certificates = usable(pem);
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate in PEM form", described(certificate)));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

/// The bytes of a bundle.
///
/// # Errors
///
/// Says why it cannot be read.
pub(super) fn read(certificate: &ServerCertificate) -> Result<Vec<u8>, String> {
    match certificate {
        ServerCertificate::File(path) => {
            fs::read(path).map_err(|error| format!("{}: {error}", described(certificate)))
        }
        ServerCertificate::Pem(text) => Ok(text.clone().into_bytes()),
    }
}

fn described(certificate: &ServerCertificate) -> String {
    match certificate {
        ServerCertificate::File(path) => format!("the CA file `{}`", path.display()),
        ServerCertificate::Pem(_) => "the given CA certificate".to_owned(),
    }
}

/// The certificates of a bundle that can serve as trust anchors.
fn usable(pem: &[u8]) -> Vec<Certificate<'static>> {
    let mut store = RootCertStore::empty();
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter(|der| store.add(der.clone()).is_ok())
        .map(|der| Certificate::from_der(&der).to_owned())
        .collect()
}
