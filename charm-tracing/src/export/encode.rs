//! Finished spans into the bytes of OTLP requests (`ExportTraceServiceRequest`, protobuf).
//!
//! The encoding is opentelemetry-otlp's HTTP exporter; the client under it is ours, and all it does
//! is to keep the body of each request. Where that body goes is for others to decide: this file
//! knows no network and no disk.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};

use super::payload::Payload;
use crate::collector::{Span, nanos_to_time};

/// How many spans are taken together into one request's bytes. Bounds the memory of encoding;
/// requests are merged again before they are sent.
const SPANS_PER_BODY: usize = 1024;

/// Encodes `spans`, which belong to `trace` where they do not say otherwise, into the bodies of one
/// or more requests.
pub(crate) fn encode(
    spans: Vec<Span>,
    trace: &SpanContext,
    resource: &Resource,
) -> Result<Vec<Payload>, String> {
    let kept = Bodies::default();
    let exporter = exporter(kept.clone(), resource)?;
    let mut spans = span_data(spans, trace);
    loop {
        let batch: Vec<SpanData> = spans.by_ref().take(SPANS_PER_BODY).collect();
        if batch.is_empty() {
            return Ok(kept.take().into_iter().map(Payload::of_request).collect());
        }
        at_once(exporter.export(batch))?.map_err(|error| error.to_string())?;
    }
}

/// An exporter that hands every request to `client`, once, whatever the environment says.
fn exporter(client: Bodies, resource: &Resource) -> Result<impl SpanExporter, String> {
    let mut exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://localhost/")
        .with_http_client(client)
        .with_retry_policy(RetryPolicy::disabled())
        // How much goes into a request is decided when they are sent.
        .with_max_request_body_size(usize::MAX)
        .build()
        .map_err(|error| format!("the OTLP encoder cannot be built: {error}"))?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// Runs a future that never waits: its client answers at once.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("the OTLP encoder waits for something".to_owned()),
    }
}

/// The client under the exporter: keeps the bodies.
#[derive(Clone, Default)]
struct Bodies(Arc<Mutex<Vec<Vec<u8>>>>);

impl Bodies {
    fn take(&self) -> Vec<Vec<u8>> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Bodies")
    }
}

#[async_trait::async_trait]
impl HttpClient for Bodies {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.push(request.into_body().into());
        Ok(Response::new(Bytes::new()))
    }
}

/// `spans` as the OpenTelemetry SDK has them.
pub(crate) fn span_data(spans: Vec<Span>, trace: &SpanContext) -> impl Iterator<Item = SpanData> {
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    spans.into_iter().map(move |span| one_span_data(span, trace, &scope))
}

fn one_span_data(span: Span, trace: &SpanContext, scope: &InstrumentationScope) -> SpanData {
    let Span { id, parent, start, end, name, detail } = span;
    let detail = detail.map(|detail| *detail).unwrap_or_default();
    let mut events = SpanEvents::default();
    events.events = detail.events;
    let mut links = SpanLinks::default();
    links.links = detail.links;
    let (name, mut attributes) = name.describe();
    attributes.extend(detail.attributes);
    SpanData {
        span_context: detail.foreign_context.unwrap_or_else(|| with_id(trace, id)),
        parent_span_id: parent,
        parent_span_is_remote: detail.parent_is_remote,
        span_kind: detail.kind.unwrap_or(SpanKind::Internal),
        name,
        start_time: nanos_to_time(start),
        end_time: nanos_to_time(end),
        attributes,
        dropped_attributes_count: 0,
        events,
        links,
        status: detail.status,
        instrumentation_scope: detail.scope.unwrap_or_else(|| scope.clone()),
    }
}

fn with_id(trace: &SpanContext, id: SpanId) -> SpanContext {
    let (flags, state) = (trace.trace_flags(), trace.trace_state().clone());
    SpanContext::new(trace.trace_id(), id, flags, false, state)
}
