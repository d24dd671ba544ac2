//! A charm's own tests: what its code traces, as values to look at. Nothing is sent or written.
//!
//! ```
//! use charm_tracing::testing::capture;
//! use charm_tracing::{assert_tree, trace_function};
//!
//! #[trace_function]
//! fn render_config(workers: u32) -> String {
//!     format!("workers = {workers}")
//! }
//!
//! let trace = capture(|| {
//!     render_config(3);
//! });
//!
//! assert_tree!(
//!     trace,
//!     "
//!     capture
//!       function call: render_config
//!     "
//! );
//! assert_eq!(trace.find("function call: render_config").attributes.len(), 3);
//! ```
//!
//! Each capture is for itself, so that tests may run in parallel: it has the spans of the code that
//! it runs and of what that code carries elsewhere with [`carried`](crate::carried), but not of
//! threads that know nothing of it.

mod trace;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::trace::{Event, FutureExt, Link, SpanId, SpanKind};
use opentelemetry::{InstrumentationScope, KeyValue};

pub use self::trace::{Span, SpanEvent, Status, Trace};
#[doc(hidden)]
pub use self::tree::assert_tree;
use crate::collector::{self, Collector, Ending, time_to_nanos};
use crate::config::Config;
use crate::current::Reach;
use crate::juju::Environment;
use crate::resource::resource;
use crate::root;
use crate::span::Root;

/// The spans of what `code` runs.
pub fn capture<R>(code: impl FnOnce() -> R) -> Trace {
    Capture::new().run(code)
}

/// What `code` returns, and its spans.
///
/// ```
/// use charm_tracing::testing::{Status, capture_with};
/// use charm_tracing::trace_function;
///
/// #[trace_function]
/// fn workers(config: &str) -> Result<u32, std::num::ParseIntError> {
///     config.parse()
/// }
///
/// let (workers, trace) = capture_with(|| workers("three"));
/// assert!(workers.is_err());
/// assert!(matches!(trace.find("function call: workers").status, Status::Error(_)));
/// ```
pub fn capture_with<R>(code: impl FnOnce() -> R) -> (R, Trace) {
    Capture::new().run_with(code)
}

/// The spans of a future, from its first poll to its end.
///
/// ```
/// # use std::task::{Context, Poll, Waker};
/// use charm_tracing::testing::capture_async;
/// use charm_tracing::trace_function;
///
/// #[trace_function]
/// async fn pull_image() {}
///
/// async fn test() {
///     let trace = capture_async(pull_image()).await;
///     assert!(trace.has("function call: pull_image"));
/// }
/// # let polled = std::pin::pin!(test()).poll(&mut Context::from_waker(Waker::noop()));
/// # assert_eq!(polled, Poll::Ready(()));
/// ```
pub async fn capture_async<F: Future>(future: F) -> Trace {
    Capture::new().run_async(future).await
}

/// A capture with an environment of its own.
///
/// ```
/// use charm_tracing::juju::Environment;
/// use charm_tracing::testing::Capture;
///
/// let environment = Environment::from_pairs([
///     ("JUJU_UNIT_NAME", "hello/0"),
///     ("JUJU_DISPATCH_PATH", "hooks/install"),
/// ]);
/// let trace = Capture::new().environment(environment).run(|| {});
/// assert_eq!(trace.root().name, "hello/0: install event");
/// assert_eq!(trace.resource["juju_application"], "hello");
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is captured before `run`"]
pub struct Capture {
    environment: Option<Environment>,
}

impl Capture {
    /// A capture outside of Juju; its root is called `capture`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the captured code run as if Juju said `environment`.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// The spans of what `code` runs.
    pub fn run<R>(self, code: impl FnOnce() -> R) -> Trace {
        self.run_with(code).1
    }

    /// What `code` returns, and its spans.
    pub fn run_with<R>(self, code: impl FnOnce() -> R) -> (R, Trace) {
        let captured = Captured::begin(self.environment);
        let attached = captured.root.context.clone().attach();
        let returned = code();
        drop(attached);
        (returned, captured.end())
    }

    /// The spans of a future, from its first poll to its end.
    pub async fn run_async<F: Future>(self, future: F) -> Trace {
        self.run_async_with(future).await.1
    }

    /// What a future returns, and its spans from its first poll to its end.
    pub async fn run_async_with<F: Future>(self, future: F) -> (F::Output, Trace) {
        let captured = Captured::begin(self.environment);
        let returned = future.with_context(captured.root.context.clone()).await;
        (returned, captured.end())
    }
}

/// A capture under way.
#[derive(Debug)]
struct Captured {
    environment: Environment,
    collector: Arc<Collector>,
    root: Root,
}

impl Captured {
    #[expect(clippy::panic, reason = "a test cannot go on without its capture")]
    fn begin(environment: Option<Environment>) -> Self {
        let named = environment.is_some();
        let environment = environment.unwrap_or_default();
        let Some((collector, root)) = root::open(&environment, Reach::Lineage) else {
            panic!("a new collector takes spans");
        };
        if !named {
            root.key.edit(|span| span.rename("capture".into()));
        }
        Self { environment, collector, root }
    }

    fn end(self) -> Trace {
        // No span opens from now on.
        drop(self.root);
        let trace = self.collector.trace();
        let resource = resource(&Config::resolve(None, &self.environment), &self.environment);
        let resource =
            resource.into_iter().map(|pair| (pair.key.to_string(), pair.value.to_string()));
        let spans = self.collector.close(Ending::Whole).into_iter().map(Span::from);
        Trace::new(trace.trace_id().to_string(), resource.collect(), spans.collect())
    }
}

impl From<collector::Span> for Span {
    fn from(span: collector::Span) -> Self {
        let event = |event: Event| SpanEvent {
            name: event.name.into_owned(),
            time: time_to_nanos(event.timestamp),
            attributes: map_of(event.attributes),
        };
        let link = |link: Link| {
            (link.span_context.trace_id().to_string(), link.span_context.span_id().to_string())
        };
        let (name, mut attributes) = span.name.describe();
        let detail = span.detail.map(|detail| *detail).unwrap_or_default();
        attributes.extend(detail.attributes);
        let parent = Some(span.parent).filter(|id| *id != SpanId::INVALID);
        let scope =
            detail.scope.as_ref().map_or(env!("CARGO_PKG_NAME"), InstrumentationScope::name);
        Self {
            id: span.id.to_string(),
            parent: parent.map(|id| id.to_string()).unwrap_or_default(),
            name: name.into_owned(),
            scope: scope.to_owned(),
            start: span.start,
            end: span.end,
            attributes: map_of(attributes),
            events: detail.events.into_iter().map(event).collect(),
            links: detail.links.into_iter().map(link).collect(),
            status: detail.status.into(),
            kind: detail.kind.unwrap_or(SpanKind::Internal),
        }
    }
}

impl From<opentelemetry::trace::Status> for Status {
    fn from(status: opentelemetry::trace::Status) -> Self {
        use opentelemetry::trace::Status as Api;
        match status {
            Api::Unset => Self::Unset,
            Api::Ok => Self::Ok,
            Api::Error { description } => Self::Error(description.into_owned()),
        }
    }
}

fn map_of(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
}
