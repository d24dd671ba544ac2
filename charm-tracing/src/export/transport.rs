//! One request to the backend, bounded in time and in what is read of the answer.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant, SystemTime};

use http::Uri;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use ureq::tls::TlsConfig;
use ureq::{Agent, Proxy};

use super::gate::Rejected;
use super::payload::Payload;
use super::protobuf::{self, Value};
use super::tls;
use crate::config::Destination;

/// How much of an answer is read, in bytes: what matters of it fits, an endless one does no harm.
const MAX_REPLY_BYTES: u64 = 64 * 1024;

/// What a connection's buffers hold, in each direction. Most requests fit; larger ones need no
/// more, and the memory for them costs every execution.
const CONNECTION_BUFFER_BYTES: usize = 16 * 1024;

/// A backend that can be asked, over a connection that is kept alive between requests.
#[derive(Debug)]
pub(super) struct Transport {
    agent: Agent,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    fingerprint: u64,
    /// The time was over before an answer was.
    hung: Cell<bool>,
    /// What is wrong with the certificates, though some are good.
    doubt: Option<String>,
}

/// What the backend said.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) rejected: Option<Rejected>,
    /// It was asked in plaintext and speaks TLS.
    pub(super) wants_tls: bool,
}

/// The backend said nothing that can be understood, in time.
#[derive(Debug)]
pub(super) struct NoReply(ureq::Error);

impl fmt::Display for NoReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ureq::Error::Timeout(_) => formatter.write_str("no answer in time"),
            error => error.fmt(formatter),
        }
    }
}

impl Transport {
    /// # Errors
    ///
    /// Why the destination cannot be asked yet: `https` needs certificates to check it against.
    pub(super) fn new(destination: &Destination) -> Result<Self, String> {
        let mut fingerprint = DefaultHasher::new();
        destination.url.to_string().hash(&mut fingerprint);
        let mut doubt = None;
        let tls = match (destination.url.scheme_str(), &destination.certificate) {
            (Some("https"), Some(certificate)) => {
                let pem = tls::read(certificate)?;
                pem.hash(&mut fingerprint);
                let (trusted, broken) = tls::trusting(&pem, certificate)?;
                doubt = broken;
                trusted
            }
            (Some("https"), None) => {
                return Err("the backend is `https` and there is no CA certificate yet".to_owned());
            }
            _ => TlsConfig::default(),
        };
        let proxy = destination.proxy.as_deref().map(proxy).transpose()?;
        Ok(Self {
            agent: agent(tls, proxy),
            url: destination.url.clone(),
            headers: destination.headers.clone(),
            fingerprint: fingerprint.finish(),
            hung: Cell::new(false),
            doubt,
        })
    }

    /// What is wrong with the certificates that the backend is checked against, though some are
    /// good.
    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Whether an answer that had begun did not end in time. Its status counts, but who answers so
    /// holds every execution for as long as it may be held.
    pub(super) fn has_hung(&self) -> bool {
        self.hung.get()
    }

    /// Tells this backend, seen through these certificates, from any other.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The backend as it may be logged: no path, no query, no password.
    pub(super) fn name(&self) -> String {
        let host = self.url.host().unwrap_or_default();
        let port = self.url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.url.scheme_str().unwrap_or_default())
    }

    /// Posts one `ExportTraceServiceRequest`.
    pub(super) fn post(&self, payload: &Payload, deadline: Instant) -> Result<Reply, NoReply> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(left))
            .build()
            .content_type("application/x-protobuf");
        if payload.is_gzip() {
            request = request.header("content-encoding", "gzip");
        }
        for (key, value) in &self.headers {
            request = request.header(key, value);
        }
        let mut answer = request.send(payload.bytes()).map_err(NoReply)?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| retry_after_of(value, SystemTime::now()));
        // The status decides; a body that does not come or does not end takes nothing from it.
        let body = answer.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        self.hung.set(matches!(body, Err(ureq::Error::Timeout(_))));
        let body = body.unwrap_or_default();
        let wants_tls = self.url.scheme_str() == Some("http") && status == 400 && wants_tls(&body);
        Ok(Reply { status, retry_after, rejected: rejected_in(&body), wants_tls })
    }
}

/// The proxy's URL may hold a password; the error does not repeat it.
fn proxy(url: &str) -> Result<Proxy, String> {
    Proxy::new(url).map_err(|error| format!("the proxy cannot be used: {error}"))
}

fn agent(tls: TlsConfig, proxy: Option<Proxy>) -> Agent {
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .input_buffer_size(CONNECTION_BUFFER_BYTES)
        .output_buffer_size(CONNECTION_BUFFER_BYTES)
        .proxy(proxy)
        .user_agent(concat!("charm-tracing/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// The value of `Retry-After`: seconds, or an HTTP date.
fn retry_after_of(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

/// Whether a 400 is what servers answer to plaintext on a port for TLS: Go's, nginx and Apache, in
/// this order.
fn wants_tls(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    ["to an HTTPS server", "sent to HTTPS port", "SSL-enabled server port"]
        .iter()
        .any(|explanation| body.contains(explanation))
}

/// The partial success in an `ExportTraceServiceResponse`, if it says anything.
fn rejected_in(body: &[u8]) -> Option<Rejected> {
    let is_partial_success = |(number, value)| match value {
        Value::Bytes(message) if number == 1 => Some(message),
        _ => None,
    };
    let partial = protobuf::fields(body)?.into_iter().find_map(is_partial_success)?;
    let mut rejected = Rejected { spans: 0, message: String::new() };
    for field in protobuf::fields(partial)? {
        match field {
            (1, Value::Varint(spans)) => rejected.spans = spans.cast_signed(),
            (2, Value::Bytes(text)) => {
                rejected.message = String::from_utf8_lossy(text).into_owned();
            }
            _ => {}
        }
    }
    (rejected.spans != 0 || !rejected.message.is_empty()).then_some(rejected)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;

    fn answer(partial_success: Option<ExportTracePartialSuccess>) -> Vec<u8> {
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    #[test]
    fn what_a_backend_rejects_is_read_as_opentelemetry_proto_writes_it() {
        for (spans, text) in [(3, "no room"), (0, "a warning"), (-1, ""), (i64::MAX, "ü")] {
            let error_message = text.to_owned();
            let partial = ExportTracePartialSuccess { rejected_spans: spans, error_message };
            let rejected = Rejected { spans, message: text.to_owned() };
            assert_eq!(rejected_in(&answer(Some(partial))), Some(rejected));
        }
        let nothing = [answer(None), answer(Some(ExportTracePartialSuccess::default()))];
        for body in nothing.iter().map(Vec::as_slice).chain([&b"{}"[..], b"OK", b"\x0a\x05abc"]) {
            assert_eq!(rejected_in(body), None, "{body:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let seconds = |value| retry_after_of(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(77));
        assert_eq!(seconds("Sat, 06 Nov 1993 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }
}
