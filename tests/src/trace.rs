//! Traces as a backend has them: decoded from what really arrived, with lookups for tests.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{self as proto, status::StatusCode};

/// All spans of one trace id.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The trace's id, 32 hexadecimal digits.
    pub id: String,
    /// The resource that the first span came with.
    pub resource: BTreeMap<String, String>,
    /// The spans in the order of their starts.
    pub spans: Vec<Span>,
    /// Span id → its place in `spans`.
    place: HashMap<String, usize>,
    /// Parent id → its children's places in `spans`.
    children: HashMap<String, Vec<usize>>,
}

/// One span.
#[derive(Debug, Clone)]
pub struct Span {
    /// The span's id, 16 hexadecimal digits.
    pub id: String,
    /// The parent's id; empty for a root.
    pub parent: String,
    /// The span's name.
    pub name: String,
    /// The instrumentation scope that it was recorded in.
    pub scope: String,
    /// Nanoseconds since the epoch.
    pub start: u64,
    /// Nanoseconds since the epoch.
    pub end: u64,
    /// Attributes; other values than text are written as Rust writes them.
    pub attributes: BTreeMap<String, String>,
    /// Span events in their order.
    pub events: Vec<SpanEvent>,
    /// The linked spans' (trace id, span id).
    pub links: Vec<(String, String)>,
    /// The span's status.
    pub status: Status,
    /// The span's kind, as the protocol numbers it.
    pub kind: i32,
}

/// An event within a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// The event's name.
    pub name: String,
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// Attributes, as in [`Span`].
    pub attributes: BTreeMap<String, String>,
}

/// A span's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing was said.
    Unset,
    /// Somebody said that it went well.
    Ok,
    /// It failed, with this description.
    Error(String),
}

impl Trace {
    /// The traces in `requests`, in the order in which their first spans came.
    pub fn all<'a>(requests: impl IntoIterator<Item = &'a ExportTraceServiceRequest>) -> Vec<Self> {
        let mut traces: Vec<Self> = Vec::new();
        let mut by_id = HashMap::new();
        for resource_spans in requests.into_iter().flat_map(|request| &request.resource_spans) {
            let resource = resource_spans.resource.as_ref();
            let resource =
                resource.map(|resource| map_of(&resource.attributes)).unwrap_or_default();
            for scope_spans in &resource_spans.scope_spans {
                let scope = scope_spans.scope.as_ref().map(|s| s.name.clone()).unwrap_or_default();
                for span in &scope_spans.spans {
                    let id = hex(&span.trace_id);
                    let index = *by_id.entry(id.clone()).or_insert_with(|| {
                        traces.push(Self::new(id, resource.clone()));
                        traces.len() - 1
                    });
                    if let Some(trace) = traces.get_mut(index) {
                        trace.spans.push(Span::of(span, &scope));
                    }
                }
            }
        }
        for trace in &mut traces {
            trace.index();
        }
        traces
    }

    fn new(id: String, resource: BTreeMap<String, String>) -> Self {
        let (spans, place, children) = Default::default();
        Self { id, resource, spans, place, children }
    }

    fn index(&mut self) {
        self.spans.sort_by_key(|span| span.start);
        for (index, span) in self.spans.iter().enumerate() {
            self.place.insert(span.id.clone(), index);
            self.children.entry(span.parent.clone()).or_default().push(index);
        }
    }

    /// The one span without a parent in this trace.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    #[expect(clippy::panic, reason = "an assertion of tests")]
    pub fn root(&self) -> &Span {
        let mut roots = self.spans.iter().filter(|span| self.parent_of(span).is_none());
        match (roots.next(), roots.next()) {
            (Some(root), None) => root,
            (first, second) => panic!("one root wanted, found {first:?} and {second:?}"),
        }
    }

    /// The one span of that name.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    #[expect(clippy::panic, reason = "an assertion of tests")]
    pub fn find(&self, name: &str) -> &Span {
        let named: Vec<&Span> = self.spans.iter().filter(|span| span.name == name).collect();
        match named[..] {
            [span] => span,
            ref spans => panic!("one span `{name}` wanted, found {} in\n{self}", spans.len()),
        }
    }

    /// Whether there is a span of that name.
    pub fn has(&self, name: &str) -> bool {
        self.spans.iter().any(|span| span.name == name)
    }

    /// The span that `span` hangs under, if it is in this trace.
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        self.place.get(&span.parent).and_then(|&place| self.spans.get(place))
    }

    /// The spans that hang under `span`, in the order of their starts.
    pub fn children<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        let places = self.children.get(&span.id);
        places.into_iter().flatten().filter_map(|&place| self.spans.get(place))
    }

    /// The names from the root down to `span`.
    pub fn path(&self, span: &Span) -> Vec<&str> {
        let mut path: Vec<&str> = Vec::new();
        let mut next = self.place.get(&span.id).and_then(|&place| self.spans.get(place));
        while let Some(span) = next {
            path.push(&span.name);
            next = self.parent_of(span);
        }
        path.reverse();
        path
    }

    /// The names as an indented tree, two spaces a level: what a test compares with.
    pub fn outline(&self) -> String {
        let mut lines = String::new();
        for root in self.spans.iter().filter(|span| self.parent_of(span).is_none()) {
            self.outline_from(root, 0, &mut lines);
        }
        lines
    }

    fn outline_from(&self, span: &Span, depth: usize, lines: &mut String) {
        lines.push_str(&"  ".repeat(depth));
        lines.push_str(&span.name);
        lines.push('\n');
        for child in self.children(span) {
            self.outline_from(child, depth + 1, lines);
        }
    }

    /// Checks what must be true of every trace: spans end after they start, and children lie
    /// inside their parents.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn assert_times_nest(&self) {
        for span in &self.spans {
            assert!(span.start <= span.end, "{span:?} ends before it starts");
            if let Some(parent) = self.parent_of(span) {
                let inside = parent.start <= span.start && span.end <= parent.end;
                assert!(inside, "{span:?} is not inside {parent:?}");
            }
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.outline())
    }
}

impl Span {
    fn of(span: &proto::Span, scope: &str) -> Self {
        let event = |event: &proto::span::Event| SpanEvent {
            name: event.name.clone(),
            time: event.time_unix_nano,
            attributes: map_of(&event.attributes),
        };
        Self {
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name.clone(),
            scope: scope.to_owned(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: map_of(&span.attributes),
            events: span.events.iter().map(event).collect(),
            links: span.links.iter().map(|l| (hex(&l.trace_id), hex(&l.span_id))).collect(),
            status: Status::of(span.status.as_ref()),
            kind: span.kind,
        }
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// The names of its events.
    pub fn event_names(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.name.as_str()).collect()
    }
}

impl Status {
    fn of(status: Option<&proto::Status>) -> Self {
        let Some(status) = status else {
            return Self::Unset;
        };
        match status.code() {
            StatusCode::Unset => Self::Unset,
            StatusCode::Ok => Self::Ok,
            StatusCode::Error => Self::Error(status.message.clone()),
        }
    }

    /// An error with this description.
    pub fn error(description: &str) -> Self {
        Self::Error(description.to_owned())
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
