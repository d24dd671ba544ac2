//! Which backend an execution's spans go to, and the rules of its URL.

use http::Uri;
use http::header::{self, HeaderName, HeaderValue};

use super::{Options, ServerCertificate, proxy};
use crate::juju::Environment;

/// What is appended to a base URL (OpenTelemetry Protocol exporter specification).
const TRACES_PATH: &str = "/v1/traces";

/// A backend, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The whole URL that requests go to.
    pub(crate) url: Uri,
    pub(crate) certificate: Option<ServerCertificate>,
    /// Headers that every request carries; they may hold secrets.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The URL of the proxy that requests go through.
    pub(crate) proxy: Option<String>,
}

/// The first destination that is set: the charm's own, Juju's, OpenTelemetry's. One that is set
/// and cannot be used is a problem, and not passed over: the charm's author named that one.
pub(super) fn resolve(
    options: Option<&Options>,
    environment: &Environment,
) -> Result<Option<Destination>, String> {
    let through_proxy = |destination: Destination| Destination {
        proxy: proxy::for_url(&destination.url, environment),
        ..destination
    };
    Ok(without_proxy(options, environment)?.map(through_proxy))
}

fn without_proxy(
    options: Option<&Options>,
    environment: &Environment,
) -> Result<Option<Destination>, String> {
    if let Some(endpoint) = options.and_then(|options| options.tracing_endpoint.as_deref()) {
        let certificate = options.and_then(|options| options.server_cert.clone());
        return destination("`tracing_endpoint`", endpoint, certificate).map(Some);
    }
    if let Some(endpoint) = environment.variable("JUJU_CHARM_TRACE_CONFIG_HTTP") {
        let certificate = environment.variable("JUJU_CHARM_TRACE_CONFIG_CA_CERT");
        let certificate = certificate.map(|pem| ServerCertificate::Pem(pem.to_owned()));
        return destination("`JUJU_CHARM_TRACE_CONFIG_HTTP`", endpoint, certificate).map(Some);
    }
    opentelemetry_destination(environment).transpose()
}

/// OpenTelemetry's variables: the one for traces outranks the one for every signal, and is taken
/// as it is.
fn opentelemetry_destination(environment: &Environment) -> Option<Result<Destination, String>> {
    let signal = environment.variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let url = match signal {
        Some(url) => parse("`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`", url),
        None => traces_url(
            "`OTEL_EXPORTER_OTLP_ENDPOINT`",
            environment.variable("OTEL_EXPORTER_OTLP_ENDPOINT")?,
        ),
    };
    let either = |signal, every| environment.variable(signal).or(environment.variable(every));
    let certificate =
        either("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
    let headers = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    Some(url.map(|url| Destination {
        url,
        certificate: certificate.map(|path| ServerCertificate::File(path.into())),
        headers: headers.map(parse_headers).unwrap_or_default(),
        proxy: None,
    }))
}

fn destination(
    source: &str,
    endpoint: &str,
    certificate: Option<ServerCertificate>,
) -> Result<Destination, String> {
    let url = traces_url(source, endpoint)?;
    Ok(Destination { url, certificate, headers: Vec::new(), proxy: None })
}

/// The URL for traces under a base URL. A base that already ends in `/v1/traces` is what its
/// author meant; a query stays behind the path.
fn traces_url(source: &str, base: &str) -> Result<Uri, String> {
    let base_url = parse(source, base)?;
    let path = base_url.path().trim_end_matches('/');
    let path = path.strip_suffix(TRACES_PATH).unwrap_or(path);
    let query = base_url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = base_url.clone().into_parts();
    parts.path_and_query = format!("{path}{TRACES_PATH}{query}").parse().ok();
    Uri::from_parts(parts).map_err(|error| not_a_url(source, base, &error.to_string()))
}

fn parse(source: &str, text: &str) -> Result<Uri, String> {
    let text = text.trim();
    let url: Uri = text.parse().map_err(|error| not_a_url(source, text, &format!("{error}")))?;
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(url),
        (Some("http" | "https"), _) => Err(not_a_url(source, text, "it names no host")),
        (Some(_), _) => Err(not_a_url(source, text, "its scheme is neither `http` nor `https`")),
        (None, _) => Err(not_a_url(source, text, "it does not begin with `http://` or `https://`")),
    }
}

fn not_a_url(source: &str, text: &str, why: &str) -> String {
    let text = without_credentials(text);
    format!("{source} is not the URL of a backend: {why} (`{text}`)")
}

/// A URL as it may be logged: `http://user:password@host?token=x` without the secrets.
fn without_credentials(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        (None, Some((_, host))) => format!("***@{host}"),
        (_, None) => text.to_owned(),
    }
}

/// Headers that say what the request is; nobody else has a say in them.
const RESERVED: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

/// What is no header in HTTP is left out: a request with it could never be sent.
fn parse_headers(text: &str) -> Vec<(HeaderName, HeaderValue)> {
    let header = |(key, value): (&str, String)| {
        let key: HeaderName = key.parse().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        (!RESERVED.contains(&key)).then_some((key, value))
    };
    pairs(text).filter_map(header).collect()
}

/// `key=value,key=value`, values percent-encoded, as the OpenTelemetry specification has it for its
/// variables. What is not of that form is left out.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split(',').filter_map(|item| {
        let (key, value) = item.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim(), value.into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(endpoint: &str) -> Result<String, String> {
        traces_url("`tracing_endpoint`", endpoint).map(|url| url.to_string())
    }

    #[test]
    fn traces_path_is_appended_to_the_base() {
        for (base, url) in [
            ("http://tempo:4318", "http://tempo:4318/v1/traces"),
            ("http://tempo:4318/", "http://tempo:4318/v1/traces"),
            ("https://host/a/b//", "https://host/a/b/v1/traces"),
            ("http://tempo:4318/v1/traces", "http://tempo:4318/v1/traces"),
            ("http://tempo/x?tenant=1", "http://tempo/x/v1/traces?tenant=1"),
            (" http://[::1]:4318 ", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(url_of(base).as_deref(), Ok(url), "{base}");
        }
    }

    #[test]
    fn what_is_no_url_is_said_to_be_none() {
        for (base, why) in [
            ("tempo:4318", "does not begin with"),
            ("ftp://tempo", "neither `http` nor `https`"),
            ("http://", "is not the URL"),
            ("not a url", "is not the URL"),
        ] {
            let problem = url_of(base).unwrap_err();
            assert!(problem.contains(why), "{base}: {problem}");
        }
    }

    #[test]
    fn secrets_in_a_url_are_not_logged() {
        for base in ["ftp://user:hunter2@tempo", "user:hunter2@tempo", "ftp://tempo?key=hunter2"] {
            let problem = url_of(base).unwrap_err();
            assert!(problem.contains("tempo") && !problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn first_that_is_set_is_the_destination() {
        let juju = ("JUJU_CHARM_TRACE_CONFIG_HTTP", "http://juju");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://signal/as/it/is");
        let every = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://every");
        let options = Options::new("HelloCharm").tracing_endpoint("http://charm");
        let url = |options, pairs: &[(&str, &str)]| {
            let environment = Environment::from_pairs(pairs.iter().copied());
            resolve(options, &environment).unwrap().map(|found| found.url.to_string())
        };
        let all = [juju, traces, every];
        assert_eq!(url(Some(&options), &all).as_deref(), Some("http://charm/v1/traces"));
        assert_eq!(url(None, &all).as_deref(), Some("http://juju/v1/traces"));
        assert_eq!(url(None, &all[1..]).as_deref(), Some("http://signal/as/it/is"));
        assert_eq!(url(None, &all[2..]).as_deref(), Some("http://every/v1/traces"));
        assert_eq!(url(None, &[]), None);
        assert_eq!(url(None, &[("JUJU_CHARM_TRACE_CONFIG_HTTP", "")]), None);
    }

    #[test]
    fn headers_are_percent_decoded_and_stay_with_their_destination() {
        let environment = Environment::from_pairs([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://every"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20x, a = b ,odd,=c,d=%0d%0a,e e=f,Content-Length=7",
            ),
        ]);
        let found = resolve(None, &environment).unwrap().unwrap();
        let headers = [("authorization", "Bearer x"), ("a", "b")];
        let found =
            found.headers.iter().map(|(key, value)| (key.as_str(), value.to_str().unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), headers);
        let options = Options::new("HelloCharm").tracing_endpoint("http://charm");
        assert!(resolve(Some(&options), &environment).unwrap().unwrap().headers.is_empty());
    }
}
