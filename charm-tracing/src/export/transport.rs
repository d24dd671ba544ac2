//! One request to the backend, bounded in time and in what is read of the answer.

use std::fmt;
use std::time::Instant;

use http::Uri;
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::tls;
use crate::config::Destination;

/// How much of an answer is read, in bytes: what matters of it fits, an endless one does not hurt.
const MAX_REPLY_BYTES: u64 = 64 * 1024;

/// A backend that can be asked, over a connection that is kept alive between requests.
#[derive(Debug)]
pub(crate) struct Transport {
    agent: Agent,
    url: Uri,
    headers: Vec<(String, String)>,
}

/// What the backend said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
}

/// The backend said nothing that can be understood, in time.
#[derive(Debug)]
pub(crate) struct NoReply(ureq::Error);

impl fmt::Display for NoReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ureq::Error::Timeout(_) => formatter.write_str("no answer in time"),
            error => error.fmt(formatter),
        }
    }
}

impl Transport {
    pub(crate) fn new(destination: &Destination) -> Result<Self, String> {
        let tls = match (destination.url.scheme_str(), &destination.certificate) {
            (Some("https"), Some(certificate)) => tls::trusting(certificate)?,
            (Some("https"), None) => {
                return Err("the backend is `https` and there is no CA certificate yet".to_owned());
            }
            _ => TlsConfig::default(),
        };
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("charm-tracing/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, url: destination.url.clone(), headers: destination.headers.clone() })
    }

    /// Posts one `ExportTraceServiceRequest`.
    pub(crate) fn post(&self, body: &[u8], deadline: Instant) -> Result<Reply, NoReply> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(left))
            .build()
            .content_type("application/x-protobuf");
        for (key, value) in &self.headers {
            request = request.header(key, value);
        }
        let mut answer = request.send(body).map_err(NoReply)?;
        let status = answer.status().as_u16();
        // The status decides; a body that does not come or does not end takes nothing from it.
        let _ = answer.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        Ok(Reply { status })
    }
}
