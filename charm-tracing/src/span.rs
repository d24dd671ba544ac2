//! Spans as a thread sees them: which one is current, the guards that hold one open, and how the
//! outcome of a call is recorded.
//!
//! Where a span is current is the OpenTelemetry API's own `Context`, so that its users and ours
//! see the same thing; which execution a context belongs to is `current.rs`'s to know.
//! Invariant: nothing here panics or calls user code while the collector is locked.

use std::borrow::Cow;
use std::error::Error;
use std::future::poll_fn;
use std::iter;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use opentelemetry::trace::{FutureExt, SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, ContextGuard, Key, KeyValue, Value};

use crate::call_site::{CallSite, Name};
use crate::collector::{Collector, Detail, STACKTRACE, Slot, Span, Start};
use crate::current::{Here, Owner, Reach, Registration, here, is_tracing, prepare_thread};
use crate::failure::{Failure, FailureText};
use crate::panics::{last_panic, note_panics};

/// An open root span, and the registration that lets spans open under it. It ends when its
/// collector is closed.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) context: Context,
    pub(crate) key: SpanKey,
    _registration: Registration,
}

impl Root {
    /// Opens the root span of `collector`'s execution under `parent` (invalid: none).
    pub(crate) fn open(
        collector: &Arc<Collector>,
        parent: &SpanContext,
        name: String,
        detail: Detail,
        reach: Reach,
    ) -> Option<Self> {
        let name = Name::Text(name.into());
        let detail = Some(Box::new(detail));
        let root = collector.start_root(Start { parent, name, time: None, detail })?;
        note_panics();
        let registration = Registration::new(collector, reach);
        let key = SpanKey { owner: registration.owner.clone(), slot: root.slot };
        let span = RecordedSpan::guarded(key.clone(), root.context.clone());
        let context = registration.context().with_span(span);
        Some(Self { context, key, _registration: registration })
    }
}

/// Names one span of one execution. Outlives both: what is said of what is over is ignored.
#[derive(Debug, Clone)]
pub(crate) struct SpanKey {
    owner: Owner,
    slot: Slot,
}

impl SpanKey {
    fn tell<R>(&self, tell: impl FnOnce(&Collector, Slot) -> R) -> Option<R> {
        self.owner.with(|collector| tell(collector, self.slot))
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut Span)) {
        self.tell(|collector, slot| collector.edit(slot, change));
    }

    pub(crate) fn fail(&self, failure: FailureText) {
        self.tell(|collector, slot| collector.fail(slot, failure));
    }

    fn add_event(
        &self,
        name: Cow<'static, str>,
        at: Option<SystemTime>,
        attributes: Vec<KeyValue>,
    ) {
        self.tell(|collector, slot| collector.add_event(slot, name, at, attributes));
    }

    fn finish(&self) {
        self.tell(|collector, slot| collector.finish(slot, None));
    }

    /// Ends the span of a call, failed if a panic is unwinding through it.
    fn close(&self, opened_in_panic: bool) {
        if !opened_in_panic && thread::panicking() {
            self.fail(last_panic());
        }
        self.finish();
    }
}

/// A span as the OpenTelemetry API sees it.
#[derive(Debug)]
pub(crate) struct RecordedSpan {
    /// Absent where nothing is being traced: then everything said here is ignored.
    key: Option<SpanKey>,
    context: SpanContext,
    end: End,
}

/// What ends a span, if nothing does before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// That the API's span is dropped.
    Drop,
    /// A guard of ours.
    Guard,
}

impl RecordedSpan {
    pub(crate) const IGNORED: Self =
        Self { key: None, context: SpanContext::NONE, end: End::Guard };

    pub(crate) fn new(owner: Owner, slot: Slot, context: SpanContext) -> Self {
        Self { key: Some(SpanKey { owner, slot }), context, end: End::Drop }
    }

    fn guarded(key: SpanKey, context: SpanContext) -> Self {
        Self { key: Some(key), context, end: End::Guard }
    }

    fn tell<R>(&self, tell: impl FnOnce(&Collector, Slot) -> R) -> Option<R> {
        self.key.as_ref()?.tell(tell)
    }

    fn edit(&self, change: impl FnOnce(&mut Span)) {
        self.tell(|collector, slot| collector.edit(slot, change));
    }
}

impl opentelemetry::trace::Span for RecordedSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, at: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.tell(|collector, slot| collector.add_event(slot, name.into(), Some(at), attributes));
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.tell(Collector::is_open).unwrap_or(false)
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.edit(|span| span.set_attribute(attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.edit(|span| span.set_status(status));
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.edit(|span| span.rename(name.into()));
    }

    fn add_link(&mut self, context: SpanContext, attributes: Vec<KeyValue>) {
        let link = opentelemetry::trace::Link::new(context, attributes, 0);
        self.edit(|span| span.detail_mut().links.push(link));
    }

    fn end_with_timestamp(&mut self, at: SystemTime) {
        self.tell(|collector, slot| collector.finish(slot, Some(at)));
        self.end = End::Guard;
    }
}

impl Drop for RecordedSpan {
    fn drop(&mut self) {
        if self.end == End::Drop {
            self.tell(|collector, slot| collector.finish(slot, None));
        }
    }
}

/// An open span that is not current anywhere by itself. Dropping it ends it.
#[derive(Debug)]
pub struct SpanHandle(Option<OpenSpan>);

#[derive(Debug)]
struct OpenSpan {
    key: SpanKey,
    context: Context,
    /// A span opened while a panic was already unwinding has nothing to do with that panic.
    opened_in_panic: bool,
}

impl OpenSpan {
    #[inline]
    fn start(name: Name, detail: Option<Box<Detail>>) -> Option<Self> {
        here(|Here { context, collector, owner }| {
            let current = context.span();
            let parent = collector.parent(current.span_context());
            let slot = collector.start(Start { parent, name, time: None, detail })?;
            let key = SpanKey { owner, slot };
            let span = RecordedSpan::guarded(key.clone(), collector.context_of(slot, parent));
            let opened_in_panic = thread::panicking();
            Some(Self { key, context: context.with_span(span), opened_in_panic })
        })
    }
}

impl SpanHandle {
    /// Opens a span under the current one.
    pub(crate) fn open(name: Name) -> Self {
        Self(OpenSpan::start(name, None))
    }

    pub(crate) fn named(name: Name, detail: Detail) -> Self {
        Self(OpenSpan::start(name, Some(Box::new(detail))))
    }

    /// Makes the span current on this thread until the guard is dropped.
    pub fn attach(&self) -> Option<ContextGuard> {
        prepare_thread();
        self.0.as_ref().map(|span| span.context.clone().attach())
    }

    /// The context in which the span is current.
    pub(crate) fn context(&self) -> Context {
        self.0.as_ref().map_or_else(Context::current, |span| span.context.clone())
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        if let Some(span) = &self.0 {
            span.key.edit(|span| span.set_attribute(KeyValue::new(key, value)));
        }
    }

    /// Adds an event.
    pub(crate) fn add_event(&self, name: Cow<'static, str>) {
        if let Some(span) = &self.0 {
            span.key.add_event(name, None, Vec::new());
        }
    }

    /// Records that the call failed.
    pub fn fail(&self, failure: Failure<'_>) {
        if let Some(span) = &self.0 {
            span.key.fail(failure.into_text());
        }
    }

    /// Whether anything is recorded here.
    pub(crate) fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Records that a future was dropped before it was done.
    pub(crate) fn cancel(&self) {
        if let Some(span) = &self.0 {
            span.key.edit(|span| span.set_status(Status::error("cancelled")));
        }
    }
}

impl Drop for SpanHandle {
    fn drop(&mut self) {
        if let Some(span) = &self.0 {
            span.key.close(span.opened_in_panic);
        }
    }
}

/// An open span that is current on this thread. Dropping it ends it, and notices a panic that is
/// unwinding through it.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct SpanGuard(Option<CurrentOnThread>);

#[derive(Debug)]
struct CurrentOnThread {
    key: SpanKey,
    opened_in_panic: bool,
    _attached: ContextGuard,
}

/// Opens the span of a call under the current one and makes it current.
#[inline]
pub fn enter(site: &'static CallSite) -> SpanGuard {
    SpanGuard::enter(Name::Call(site))
}

impl SpanGuard {
    /// Opens a span under the current one and makes it current.
    #[inline]
    pub(crate) fn enter(name: Name) -> Self {
        Self(if is_tracing() { CurrentOnThread::start(name) } else { None })
    }

    /// Whether anything is recorded here.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        if let Some(span) = &self.0 {
            span.key.edit(|span| span.set_attribute(KeyValue::new(key, value)));
        }
    }

    /// Records that the call failed.
    #[cold]
    pub fn fail(&self, failure: Failure<'_>) {
        if let Some(span) = &self.0 {
            span.key.fail(failure.into_text());
        }
    }
}

impl CurrentOnThread {
    #[inline(never)]
    fn start(name: Name) -> Option<Self> {
        let OpenSpan { key, context, opened_in_panic } = OpenSpan::start(name, None)?;
        Some(Self { key, opened_in_panic, _attached: context.attach() })
    }
}

impl Drop for CurrentOnThread {
    fn drop(&mut self) {
        self.key.close(self.opened_in_panic);
    }
}

/// The span that is current here, whoever opened it; `None` where nothing is being traced.
///
/// ```
/// if let Some(span) = charm_tracing::current_span() {
///     span.set_attribute("jobs", 3);
///     span.add_event("scrape jobs updated", []);
/// }
/// ```
pub fn current_span() -> Option<CurrentSpan> {
    let context = current_context()?;
    context.span().is_recording().then_some(CurrentSpan { context })
}

/// The context here, or where the thread has no span of the execution's, one in which the root is
/// current.
pub(crate) fn current_context() -> Option<Context> {
    here(|Here { context, collector, owner }| {
        let current = context.span();
        let root = collector.root()?;
        if collector.parent(current.span_context()).span_id() != root.context.span_id() {
            return Some(context.clone());
        }
        let key = SpanKey { owner, slot: root.slot };
        Some(context.with_span(RecordedSpan::guarded(key, root.context.clone())))
    })
}

/// The span that was current when [`current_span`] was called.
///
/// It may be sent to other threads; what it is told after the span has ended is ignored.
#[derive(Debug, Clone)]
pub struct CurrentSpan {
    context: Context,
}

impl CurrentSpan {
    /// Sets an attribute, in the place of an earlier value of that key.
    pub fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Adds a span event that happens now.
    pub fn add_event(
        &self,
        name: impl Into<Cow<'static, str>>,
        attributes: impl IntoIterator<Item = KeyValue>,
    ) {
        self.context.span().add_event(name, attributes.into_iter().collect());
    }

    /// Sets the status. By the specification `Ok` is final and `Error` outranks `Unset`.
    ///
    /// # Examples
    ///
    /// What is no `Err` in the code may be an error to whoever reads the trace:
    ///
    /// ```
    /// use charm_tracing::current_span;
    /// use opentelemetry::trace::Status;
    ///
    /// if let Some(span) = current_span() {
    ///     span.set_status(Status::error("two of three units do not answer"));
    /// }
    /// ```
    pub fn set_status(&self, status: Status) {
        self.context.span().set_status(status);
    }

    /// Records an error that the code handled: an `exception` event with what it says and what it
    /// wraps. The status stays as it is.
    ///
    /// ```
    /// # fn refresh() -> Result<(), std::io::Error> { Ok(()) }
    /// if let Err(error) = refresh() {
    ///     // What is there will do. The trace shows that it is not fresh.
    ///     charm_tracing::current_span().inspect(|span| span.record_error(&error));
    /// }
    /// ```
    pub fn record_error(&self, error: &(dyn Error + 'static)) {
        // In words before the API's lock on the span is held: a `Display` may look at the span.
        let error = Failure { error_type: "", message: &error, source: error.source() }.into_text();
        let stacktrace = error.stacktrace().map(|trace| KeyValue::new(STACKTRACE, trace));
        let message = KeyValue::new("exception.message", error.message);
        let attributes = iter::once(message).chain(stacktrace).collect();
        self.context.span().add_event("exception", attributes);
    }

    /// The ids of the span, as the OpenTelemetry API has them.
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }
}

/// A closure that runs with the span that is current here and now as its current span, wherever it
/// is run: on another thread, in a pool. It may outlive that span, and so may its own.
///
/// ```
/// let handle = std::thread::spawn(charm_tracing::carried(|| {
///     // spans opened here hang under the span that spawned the thread
/// }));
/// # handle.join().unwrap();
/// ```
pub fn carried<F: FnOnce() -> R, R>(code: F) -> impl FnOnce() -> R {
    let context = Context::current();
    move || {
        prepare_thread();
        let _attached = context.attach();
        code()
    }
}

/// A future that is polled with the span that is current here and now as its current span, wherever
/// it is polled: as a task of its own, on another thread.
///
/// # Examples
///
/// ```
/// use charm_tracing::{carried_future, trace_function};
///
/// #[trace_function]
/// async fn pull() -> &'static str {
///     "pulled"
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tokio::task::JoinError> {
/// // `function call: pull` hangs under the span that spawned the task.
/// let image = tokio::spawn(carried_future(pull()));
/// assert_eq!(image.await?, "pulled");
/// # Ok(())
/// # }
/// ```
pub fn carried_future<F: Future>(future: F) -> impl Future<Output = F::Output> {
    on_prepared_threads(future).with_current_context()
}

/// The same future; what it runs on are threads that may open spans until they are gone.
async fn on_prepared_threads<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        prepare_thread();
        future.as_mut().poll(context)
    })
    .await
}

/// Switches tracing off for what this thread does while the guard lives: nothing is recorded, by
/// whatever API. What is already open stays open.
///
/// ```
/// let _off = charm_tracing::suppressed();
/// assert!(charm_tracing::current_span().is_none());
/// ```
pub fn suppressed() -> Suppressed {
    prepare_thread();
    Suppressed { _attached: Context::enter_telemetry_suppressed_scope() }
}

/// While it lives this thread records nothing.
#[derive(Debug)]
#[must_use = "tracing is on again when this is dropped"]
pub struct Suppressed {
    _attached: ContextGuard,
}
