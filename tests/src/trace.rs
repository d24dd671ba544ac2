//! Traces of what really arrived: OTLP requests, decoded.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use charm_tracing::testing::{Span, SpanEvent, Status, Trace};
use opentelemetry::trace::SpanKind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{self as proto, status::StatusCode};

/// The traces in `requests`, in the order in which their first spans came.
pub fn decode<'a>(requests: impl IntoIterator<Item = &'a ExportTraceServiceRequest>) -> Vec<Trace> {
    let mut found: Vec<(String, BTreeMap<String, String>, Vec<Span>)> = Vec::new();
    let mut by_id = HashMap::new();
    for resource_spans in requests.into_iter().flat_map(|request| &request.resource_spans) {
        let resource = resource_spans.resource.as_ref();
        let resource = resource.map(|resource| map_of(&resource.attributes)).unwrap_or_default();
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.as_ref().map(|s| s.name.clone()).unwrap_or_default();
            for span in &scope_spans.spans {
                let id = hex(&span.trace_id);
                let index = *by_id.entry(id.clone()).or_insert_with(|| {
                    found.push((id, resource.clone(), Vec::new()));
                    found.len() - 1
                });
                if let Some((_, _, spans)) = found.get_mut(index) {
                    spans.push(span_of(span, &scope));
                }
            }
        }
    }
    found.into_iter().map(|(id, resource, spans)| Trace::new(id, resource, spans)).collect()
}

fn span_of(span: &proto::Span, scope: &str) -> Span {
    let event = |event: &proto::span::Event| SpanEvent {
        name: event.name.clone(),
        time: event.time_unix_nano,
        attributes: map_of(&event.attributes),
    };
    Span {
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        scope: scope.to_owned(),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: map_of(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(|l| (hex(&l.trace_id), hex(&l.span_id))).collect(),
        status: status_of(span.status.as_ref()),
        kind: kind_of(span.kind()),
    }
}

fn status_of(status: Option<&proto::Status>) -> Status {
    let Some(status) = status else {
        return Status::Unset;
    };
    match status.code() {
        StatusCode::Unset => Status::Unset,
        StatusCode::Ok => Status::Ok,
        StatusCode::Error => Status::Error(status.message.clone()),
    }
}

fn kind_of(kind: proto::span::SpanKind) -> SpanKind {
    match kind {
        proto::span::SpanKind::Client => SpanKind::Client,
        proto::span::SpanKind::Server => SpanKind::Server,
        proto::span::SpanKind::Producer => SpanKind::Producer,
        proto::span::SpanKind::Consumer => SpanKind::Consumer,
        proto::span::SpanKind::Internal | proto::span::SpanKind::Unspecified => SpanKind::Internal,
    }
}

fn map_of(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|kv| (kv.key.clone(), text_of(kv.value.as_ref()))).collect()
}

fn text_of(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
