//! The `certificate_transfer` relation as the one that is given certificates sees it, in both of
//! its versions and in all spellings that are met.
//!
//! Version 1 is one list in the application's databag. Version 0 is three values in the databag of
//! each unit, as PEM or as JSON text of it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::Environment;
use super::hook_tools::{self, Databag};
use super::relation::{NotReady, RelationChange, Relations, json, kind, text};
use crate::config::{ServerCert, ServerCertificate};

/// Certificates of authorities that a TLS backend is checked against.
///
/// It may be given to `#[trace_charm]` as `server_cert` as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    certificates: Vec<String>,
}

impl CaBundle {
    /// The certificates in `texts`, each once, in their order; whatever else stands there is left
    /// out. The two characters `\n` count as the end of a line.
    ///
    /// ```
    /// use charm_tracing::juju::CaBundle;
    ///
    /// let text = r"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    /// let bundle = CaBundle::from_pem([text]).unwrap();
    /// let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    /// assert_eq!(bundle.to_pem(), pem);
    /// assert_eq!(CaBundle::from_pem(["no certificate"]), None);
    /// ```
    pub fn from_pem<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut certificates = Vec::new();
        for certificate in texts.into_iter().flat_map(|text| certificates_in(text.as_ref())) {
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        (!certificates.is_empty()).then_some(Self { certificates })
    }

    /// The certificates, each in PEM form and with a line end behind it.
    pub fn certificates(&self) -> &[String] {
        &self.certificates
    }

    /// All of them end to end: a PEM file.
    pub fn to_pem(&self) -> String {
        self.certificates.concat()
    }

    /// Writes the PEM file, if it does not say the same already.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let pem = self.to_pem();
        let is_there = fs::read(&path).is_ok_and(|there| there == pem.as_bytes());
        if is_there { Ok(()) } else { fs::write(path, pem) }
    }
}

impl ServerCert for CaBundle {
    fn server_cert(&self) -> Option<ServerCertificate> {
        Some(ServerCertificate::Pem(self.to_pem()))
    }
}

/// The end of a `certificate_transfer` relation that is given certificates.
///
/// It takes the certificates of every relation of that name. Like
/// [`TracingEndpointRequirer`](super::TracingEndpointRequirer) it reads them once in an execution,
/// and when they are first wanted: a charm whose backend is `http` does not pay for it.
///
/// ```
/// use charm_tracing::juju::{
///     CertificateTransferRequirer, Protocol, TracingEndpointRequirer, charm_tracing_config,
/// };
///
/// let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
/// let authorities = CertificateTransferRequirer::new("receive-ca-cert");
/// let (tracing_endpoint, server_cert) = charm_tracing_config(&tracing, Some(&authorities));
/// ```
#[derive(Debug)]
pub struct CertificateTransferRequirer {
    relations: Relations,
    bundle: OnceLock<Result<CaBundle, NotReady>>,
}

impl CertificateTransferRequirer {
    /// The requirer of the relation that `charmcraft.yaml` calls `relation`.
    ///
    /// In an event of that relation the leader asks at once for version 1.
    pub fn new(relation: impl Into<String>) -> Self {
        let relations = Relations::new(relation.into(), Environment::from_process());
        let requirer = Self { relations, bundle: OnceLock::new() };
        if requirer.relations.is_concerned() {
            requirer.is_ready();
        }
        requirer
    }

    /// Whether there are certificates.
    pub fn is_ready(&self) -> bool {
        self.ca_bundle().is_ok()
    }

    /// The certificates.
    ///
    /// # Errors
    ///
    /// Says why there are none; where that is not as it should be, so does the log.
    pub fn ca_bundle(&self) -> Result<&CaBundle, &NotReady> {
        let bundle =
            self.bundle.get_or_init(|| self.read().inspect_err(|why| self.relations.explain(why)));
        bundle.as_ref()
    }

    /// What the event that the charm is run for did to the certificates, if it was about them.
    pub fn change(&self) -> Option<RelationChange> {
        self.relations.change(|| self.is_ready())
    }

    /// The certificates of all relations that have some. Where none has, the last one's reason.
    fn read(&self) -> Result<CaBundle, NotReady> {
        let mut texts = Vec::new();
        let mut why_not = NotReady::NoRelation { relation: self.relations.name.clone() };
        for id in self.relations.ids()? {
            match self.read_one(&id) {
                Ok(found) => texts.extend(found),
                Err(why) => why_not = why,
            }
        }
        CaBundle::from_pem(texts).ok_or(why_not)
    }

    fn read_one(&self, id: &str) -> Result<Vec<String>, NotReady> {
        let databag = self.relations.answer(id)?.unwrap_or_default();
        let listed = version_1(&databag).transpose();
        if self.relations.is_new(id) || listed.is_none() {
            self.relations.request(id, "version", &Value::from(1));
        }
        let texts = match listed {
            Some(texts) => texts,
            None => said_by_units(id)?,
        };
        let texts = texts.map_err(|problem| NotReady::Malformed { id: id.to_owned(), problem })?;
        if texts.iter().all(|text| certificates_in(text).is_empty()) {
            return Err(NotReady::Unanswered { id: id.to_owned() });
        }
        Ok(texts)
    }
}

impl ServerCert for CertificateTransferRequirer {
    fn server_cert(&self) -> Option<ServerCertificate> {
        self.ca_bundle().ok()?.server_cert()
    }
}

/// What all units at the other end say, in version 0; or what is wrong with it.
fn said_by_units(id: &str) -> Result<Result<Vec<String>, String>, NotReady> {
    let units = hook_tools::remote_units(id)?;
    let databags: Result<Vec<Databag>, _> =
        units.iter().map(|unit| hook_tools::unit_databag(id, unit)).collect();
    let texts: Result<Vec<Vec<String>>, String> = databags?.iter().map(version_0).collect();
    Ok(texts.map(|texts| texts.concat()))
}

/// `certificates` of an application's databag; absent in version 0.
fn version_1(databag: &Databag) -> Result<Option<Vec<String>>, String> {
    let list = json(databag, "certificates")?.filter(|value| !value.is_null());
    list.map(|list| texts_of("certificates", &list)).transpose()
}

/// `ca` and `chain` of a unit's databag, or `certificate` where it stands alone.
///
/// The chain may begin with the certificate of the server itself. That is no authority: whoever has
/// its key could make certificates for others with it, so it is left out.
fn version_0(databag: &Databag) -> Result<Vec<String>, String> {
    let certificate = text(databag, "certificate")?.map(decoded).unwrap_or_default();
    let ca = text(databag, "ca")?.map(decoded).unwrap_or_default();
    let chain = match text(databag, "chain")? {
        None => Vec::new(),
        Some(chain) if chain.starts_with('[') => {
            let list = serde_json::from_str(chain);
            texts_of("chain", &list.map_err(|_not_json| "`chain` is not JSON".to_owned())?)?
        }
        Some(chain) => vec![decoded(chain)],
    };
    let of_chain = chain.iter().flat_map(|text| certificates_in(text));
    let authorities = certificates_in(&ca);
    let servers_own = certificates_in(&certificate);
    let is_authority = |one: &String| authorities.contains(one) || !servers_own.contains(one);
    let found: Vec<String> =
        authorities.iter().cloned().chain(of_chain.filter(is_authority)).collect();
    Ok(if found.is_empty() { servers_own } else { found })
}

/// A list of texts, or one text.
fn texts_of(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(vec![decoded(text)]),
        Value::Array(values) => values
            .iter()
            .map(|value| match value {
                Value::String(text) => Ok(decoded(text)),
                other => Err(format!("`{key}` holds {}, not text", kind(other))),
            })
            .collect(),
        other => Err(format!("`{key}` is {}, not a list", kind(other))),
    }
}

/// The text itself, or what it is JSON of.
fn decoded(text: &str) -> String {
    let text = text.trim();
    let is_json = text.starts_with('"');
    let inner = is_json.then(|| serde_json::from_str(text).ok()).flatten();
    inner.unwrap_or_else(|| text.to_owned())
}

/// The certificates in a text, one by one. What is not a certificate, a key above all, is left out.
fn certificates_in(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = text.replace("\\r", "").replace("\\n", "\n").replace('\r', "");
    let blocks = text.split(BEGIN).skip(1).filter_map(|block| block.split_once(END));
    let certificate = |(body, _): (&str, &str)| {
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
        let body: String = lines.flat_map(|line| [line, "\n"]).collect();
        format!("{BEGIN}\n{body}{END}\n")
    };
    blocks.map(certificate).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn databag(value: Value) -> Databag {
        match value {
            Value::Object(databag) => databag,
            other => panic!("{other} is no databag"),
        }
    }

    fn bundle(texts: Vec<String>) -> Vec<String> {
        CaBundle::from_pem(texts).map(|bundle| bundle.certificates).unwrap_or_default()
    }

    #[test]
    fn version_1_is_a_list_of_certificates() {
        let (one, two) = (pem("AAAA"), pem("BBBB"));
        let list = json!([one, two.replace('\n', "\\n"), one]).to_string();
        let found = version_1(&databag(json!({ "certificates": list, "version": "1" })));
        assert_eq!(bundle(found.unwrap().unwrap()), [one, two]);
        assert_eq!(version_1(&databag(json!({ "version": "1" }))), Ok(None));
    }

    #[test]
    fn version_0_is_raw_json_or_has_literal_line_ends() {
        let (server, ca, middle) = (pem("SERVER"), pem("CA"), pem("MIDDLE"));
        let chain = json!([server, middle, ca]).to_string();
        let quoted = |text: &str| Value::from(text).to_string();
        let escaped = |text: &str| text.replace('\n', "\\n");
        for (certificate, ca_text) in [
            (server.clone(), ca.clone()),
            (quoted(&server), quoted(&ca)),
            (escaped(&server), escaped(&ca)),
            (server.replace('\n', "\r\n"), format!("  {ca}\n\n")),
        ] {
            let unit = json!({ "certificate": certificate, "ca": ca_text, "chain": chain });
            let found = bundle(version_0(&databag(unit)).unwrap());
            assert_eq!(found, [ca.clone(), middle.clone()], "{ca_text:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_its_own_authority_is_kept() {
        let ca = pem("CA");
        let chain = json!([ca]).to_string();
        let unit = databag(json!({ "certificate": ca, "ca": ca, "chain": chain }));
        assert_eq!(bundle(version_0(&unit).unwrap()), std::slice::from_ref(&ca));
        let alone = databag(json!({ "certificate": ca }));
        assert_eq!(bundle(version_0(&alone).unwrap()), [ca]);
    }

    #[test]
    fn keys_and_prose_are_left_out() {
        let text = format!(
            "# the CA\n{}-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
            pem("CA")
        );
        assert_eq!(bundle(vec![text]), [pem("CA")]);
        assert_eq!(CaBundle::from_pem(["-----BEGIN CERTIFICATE-----\nAAAA"]), None);
    }

    #[test]
    fn another_type_in_any_place_is_malformed() {
        for certificates in ["{}", "1", "[1]", "[[]]", "not json", "true"] {
            let databag = databag(json!({ "certificates": certificates }));
            assert!(version_1(&databag).is_err(), "{certificates}");
        }
        for (key, value) in [
            ("ca", json!(1)),
            ("chain", json!("[1]")),
            ("chain", json!("[")),
            ("certificate", json!({})),
        ] {
            assert!(version_0(&databag(json!({ key: value }))).is_err(), "{key}");
        }
    }
}
