//! Whom an `https` backend is checked against: the certificates that the charm was given, and
//! nothing else. No system store, no way to switch checking off.

use std::fs;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::config::ServerCertificate;

/// A TLS configuration that trusts exactly the certificates in `pem`, which are `certificate`'s;
/// and what to say of those that cannot be used, where others can.
///
/// # Errors
///
/// Says what is wrong when not one usable certificate is found.
pub(super) fn trusting(
    pem: &[u8],
    certificate: &ServerCertificate,
) -> Result<(TlsConfig, Option<String>), String> {
    let (certificates, broken) = sorted(pem);
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate in PEM form", described(certificate)));
    }
    let config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build();
    let of = broken + certificates.len();
    let doubt =
        || format!("{broken} of {of} certificates in {} cannot be used", described(certificate));
    Ok((config, (broken > 0).then(doubt)))
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

/// The certificates of a bundle that can serve as trust anchors, and how many cannot.
fn sorted(pem: &[u8]) -> (Vec<Certificate<'static>>, usize) {
    let mut store = RootCertStore::empty();
    let (mut usable, mut broken) = (Vec::new(), 0);
    for block in blocks(&String::from_utf8_lossy(pem)) {
        match CertificateDer::from_pem_slice(block.as_bytes()) {
            Ok(der) if store.add(der.clone()).is_ok() => {
                usable.push(Certificate::from_der(&der).to_owned());
            }
            _ => broken += 1,
        }
    }
    (usable, broken)
}

/// Each certificate's block, up to the next block of any kind: one that has no end takes nothing
/// from those behind it.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    let begins_line = |place: usize| pem[..place].chars().next_back().is_none_or(char::is_control);
    let starts = pem.match_indices("-----BEGIN ").map(|(place, _)| place);
    let starts: Vec<usize> = starts.filter(|place| begins_line(*place)).collect();
    let ends = starts.iter().copied().skip(1).chain([pem.len()]).collect::<Vec<_>>();
    let blocks = starts.into_iter().zip(ends).map(|(start, end)| &pem[start..end]);
    blocks.filter(|block| block.starts_with("-----BEGIN CERTIFICATE-----"))
}
