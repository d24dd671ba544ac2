//! From the two relations to the two options of `#[trace_charm]`.

use std::path::{Path, PathBuf};

use super::log::Level;
use super::{CaBundle, CertificateTransferRequirer, Protocol, TracingEndpointRequirer};

/// What may answer for an `https` backend: a PEM file that may be there, or certificates that a
/// relation may have given.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot vouch for a backend",
    label = "expected a path or a `&CertificateTransferRequirer`"
)]
pub trait Authorities {
    /// What the option `server_cert` is given.
    type Certificate;

    /// The certificates, if they are there yet.
    fn certificate(&self) -> Option<Self::Certificate>;
}

impl Authorities for Path {
    type Certificate = PathBuf;

    fn certificate(&self) -> Option<PathBuf> {
        self.is_file().then(|| self.to_owned())
    }
}

impl Authorities for PathBuf {
    type Certificate = PathBuf;

    fn certificate(&self) -> Option<PathBuf> {
        self.as_path().certificate()
    }
}

impl Authorities for str {
    type Certificate = PathBuf;

    fn certificate(&self) -> Option<PathBuf> {
        Path::new(self).certificate()
    }
}

impl Authorities for String {
    type Certificate = PathBuf;

    fn certificate(&self) -> Option<PathBuf> {
        self.as_str().certificate()
    }
}

impl Authorities for CertificateTransferRequirer {
    type Certificate = CaBundle;

    fn certificate(&self) -> Option<CaBundle> {
        self.ca_bundle().ok().cloned()
    }
}

impl<T: Authorities + ?Sized> Authorities for &T {
    type Certificate = T::Certificate;

    fn certificate(&self) -> Option<T::Certificate> {
        T::certificate(self)
    }
}

/// What the options `tracing_endpoint` and `server_cert` of `#[trace_charm]` are to be, as the
/// Python library's function of this name has it:
///
/// | the backend | endpoint | certificate |
/// | --- | --- | --- |
/// | not ready, or none that receives OTLP over HTTP | none | none |
/// | `http` | its URL | none |
/// | `https`, certificates are there | its URL | the path, or the certificates |
/// | `https`, certificates are not there | none, and an error in the log | none |
/// | Juju's own ([`TracingEndpointRequirer::default`]) | none: Juju's variables decide | none |
///
/// Where there is no endpoint the environment decides, and without a word from there traces wait on
/// disk. For a charm that never has certificates `tracing.endpoint(Protocol::OtlpHttp)` is enough;
/// here it would have to say of which type it has none, `None::<&str>`.
///
/// ```
/// use std::path::PathBuf;
///
/// use charm_tracing::juju::{Protocol, TracingEndpointRequirer, charm_tracing_config};
///
/// let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
/// let (tracing_endpoint, server_cert): (Option<String>, Option<PathBuf>) =
///     charm_tracing_config(&tracing, Some("/usr/local/share/ca-certificates/ca.crt"));
/// ```
pub fn charm_tracing_config<A: Authorities>(
    requirer: &TracingEndpointRequirer,
    authorities: Option<A>,
) -> (Option<String>, Option<A::Certificate>) {
    let own = Some(requirer).filter(|requirer| !requirer.is_jujus());
    let Some(endpoint) = own.and_then(|requirer| requirer.endpoint(Protocol::OtlpHttp)) else {
        return (None, None);
    };
    if !is_https(endpoint) {
        return (Some(endpoint.to_owned()), None);
    }
    let certificate = authorities.and_then(|authorities| authorities.certificate());
    if certificate.is_none() {
        let why = "the backend is `https` and there is no CA certificate yet; traces wait on disk";
        requirer.relations().say(Level::Error, why);
        return (None, None);
    }
    (Some(endpoint.to_owned()), certificate)
}

/// URLs' schemes know no case.
fn is_https(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}
