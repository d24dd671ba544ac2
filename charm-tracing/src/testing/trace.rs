//! A trace as a test looks at it: spans in a tree, with lookups, and a comparison that shows what
//! is different.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use opentelemetry::trace::SpanKind;

/// All spans of one trace id.
///
/// ```
/// use charm_tracing::testing::capture;
///
/// let trace = capture(|| {
///     charm_tracing::event("database-ready", || charm_tracing::event("jobs-changed", || ()));
/// });
/// let event = trace.find("event: jobs-changed");
/// assert_eq!(trace.path(event), ["capture", "event: database-ready", "event: jobs-changed"]);
/// assert_eq!(event.attribute("event_type"), Some("custom"));
/// assert_eq!(trace.children(trace.root()).count(), 1);
/// ```
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
    /// What part it has in a conversation between processes.
    pub kind: SpanKind,
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
    /// A trace of these spans.
    pub fn new(id: String, resource: BTreeMap<String, String>, mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| span.start);
        let mut children: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            children.entry(span.parent.clone()).or_default().push(index);
        }
        let place =
            spans.iter().enumerate().map(|(index, span)| (span.id.clone(), index)).collect();
        Self { id, resource, spans, place, children }
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

    /// Checks what is true of a trace whose threads and tasks are waited for: spans end after they
    /// start, and children lie inside their parents. What was [`carried`](crate::carried) elsewhere
    /// and left to itself may end after the span that it hangs under.
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
    /// An error with this description.
    pub fn error(description: &str) -> Self {
        Self::Error(description.to_owned())
    }
}
