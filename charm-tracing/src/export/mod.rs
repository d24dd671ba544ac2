//! The way out: finished spans → OTLP request bytes → the network.

mod encode;
mod tls;
mod transport;

use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;

use crate::collector::Span;
use crate::config::Destination;
use opentelemetry::trace::SpanContext;

pub(crate) use self::encode::encode;
use self::transport::{Reply, Transport};

/// How large a request grows at most, in bytes: collectors take 20 MiB and answer 400 above it.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// What became of an execution's spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    /// Not delivered, and why.
    Lost(String),
}

/// Sends `spans` to `destination`, within `patience` all in all.
pub(crate) fn deliver(
    spans: Vec<Span>,
    trace: &SpanContext,
    resource: &Resource,
    destination: &Destination,
    patience: Duration,
) -> Outcome {
    let deadline = Instant::now() + patience;
    let bodies = match encode(spans, trace, resource) {
        Ok(bodies) => bodies,
        Err(error) => return Outcome::Lost(error),
    };
    let transport = match Transport::new(destination) {
        Ok(transport) => transport,
        Err(error) => return Outcome::Lost(error),
    };
    for body in merged(bodies) {
        match transport.post(&body, deadline) {
            Ok(Reply { status: 200..=299, .. }) => {}
            Ok(Reply { status, .. }) => {
                return Outcome::Lost(format!("the backend answered with status {status}"));
            }
            Err(error) => return Outcome::Lost(error.to_string()),
        }
    }
    Outcome::Delivered
}

/// Puts neighbouring requests end to end, which is one valid request, as long as they fit.
fn merged(bodies: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for body in bodies {
        match requests.last_mut() {
            Some(last) if last.len() + body.len() <= MAX_REQUEST_BYTES => last.extend(body),
            _ => requests.push(body),
        }
    }
    requests
}
