//! The spans of one execution: the open ones, and the finished ones that wait to leave.
//!
//! Invariants: a span is in exactly one of the two places; its end is never before its start; every
//! time comes from one clock that never runs backwards. This file knows neither threads' current
//! spans (`span.rs`, `current.rs`) nor where finished spans go (`export/`).

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use slab::Slab;

use crate::call_site::Name;
use crate::failure::FailureText;
use crate::ids;
use crate::threads::lock;

/// One span, open or finished. Most spans have a name and two times and nothing else: the rest is
/// boxed away.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) id: SpanId,
    pub(crate) parent: SpanId,
    /// Nanoseconds since the epoch.
    pub(crate) start: u64,
    /// Nanoseconds since the epoch; 0 while the span is open.
    pub(crate) end: u64,
    pub(crate) name: Name,
    pub(crate) detail: Option<Box<Detail>>,
}

/// What only some spans have.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    pub(crate) kind: Option<SpanKind>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) events: Vec<Event>,
    pub(crate) links: Vec<Link>,
    pub(crate) status: Status,
    /// Absent for spans of our own.
    pub(crate) scope: Option<InstrumentationScope>,
    /// Present where a span is not of the execution's own trace.
    pub(crate) foreign_context: Option<SpanContext>,
    pub(crate) parent_is_remote: bool,
    /// The message of the child that failed last: an error that says the same did not begin here.
    pub(crate) failed_child: Option<String>,
}

impl Span {
    pub(crate) fn detail_mut(&mut self) -> &mut Detail {
        self.detail.get_or_insert_default()
    }

    /// Gives the span another name. What else its call site says of it stays.
    pub(crate) fn rename(&mut self, name: Cow<'static, str>) {
        let was = mem::replace(&mut self.name, Name::Text(name));
        let (_, mut attributes) = was.describe();
        if !attributes.is_empty() {
            attributes.append(&mut self.detail_mut().attributes);
            self.detail_mut().attributes = attributes;
        }
    }

    /// Sets `key`, in the place of an earlier value if there is one.
    pub(crate) fn set_attribute(&mut self, attribute: KeyValue) {
        let attributes = &mut self.detail_mut().attributes;
        match attributes.iter_mut().find(|known| known.key == attribute.key) {
            Some(known) => *known = attribute,
            None => attributes.push(attribute),
        }
    }

    /// Sets the status by the specification's order: `Ok` is final, `Error` outranks `Unset`.
    pub(crate) fn set_status(&mut self, status: Status) {
        let known = &mut self.detail_mut().status;
        if *known != Status::Ok && status != Status::Unset {
            *known = status;
        }
    }
}

impl Span {
    fn record_failure(&mut self, failure: &FailureText, at: SystemTime) {
        let failed_child = self.detail_mut().failed_child.take();
        if !failed_child.is_some_and(|child| failure.carries(&child)) {
            self.detail_mut().events.push(exception(failure, at));
        }
        self.set_attribute(KeyValue::new("error.type", Value::from(failure.error_type.clone())));
        self.set_status(Status::error(failure.message.clone()));
    }
}

/// What a new span starts with.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) parent: &'a SpanContext,
    pub(crate) name: Name,
    /// Where absent: now.
    pub(crate) time: Option<SystemTime>,
    pub(crate) detail: Option<Box<Detail>>,
}

/// Collects the spans of one execution.
#[derive(Debug)]
pub(crate) struct Collector {
    clock: Clock,
    /// The context of the trace that the execution belongs to; spans of other traces carry their
    /// own.
    trace: SpanContext,
    root: OnceLock<RootSpan>,
    spans: Mutex<Spans>,
    outlet: OnceLock<Outlet>,
    /// Held while spans leave: who closes the collector waits for those that are on their way.
    leaving: Mutex<()>,
}

#[derive(Debug, Default)]
struct Spans {
    open: Slab<Span>,
    finished: Vec<Span>,
    closed: bool,
    /// Other traces that spans were opened in, below parents from outside.
    other_traces: Vec<TraceId>,
    /// When finished spans last left, in nanoseconds since the epoch.
    last_left: u64,
}

/// Where the finished spans of a long execution go before its end.
struct Outlet(Box<dyn Fn(Vec<Span>) + Send + Sync>);

impl fmt::Debug for Outlet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Outlet")
    }
}

/// How an execution comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself: its root has nothing more to wait for.
    Whole,
    /// By force.
    CutShort,
}

/// So many finished spans do not wait any longer.
const MANY_SPANS: usize = 512;
/// Nor do any that wait for so long.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// Names one span of a collector. Outlives the span: what is said of a finished span is ignored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    index: usize,
    id: SpanId,
}

/// The root span of a collector's trace.
#[derive(Debug, Clone)]
pub(crate) struct RootSpan {
    pub(crate) slot: Slot,
    pub(crate) context: SpanContext,
}

impl Collector {
    /// A collector for the trace that `trace` names (its span id is of no meaning here).
    pub(crate) fn new(trace: SpanContext) -> Arc<Self> {
        let clock = Clock::new();
        let spans = Mutex::new(Spans { last_left: clock.epoch_nanos, ..Spans::default() });
        let (root, outlet, leaving) = Default::default();
        Arc::new(Self { clock, trace, root, spans, outlet, leaving })
    }

    /// From now on finished spans leave through `outlet`: whenever there are many of them, on the
    /// thread that finished the last, and when [`Collector::let_leave`] finds some that have waited
    /// long.
    pub(crate) fn leave_through(&self, outlet: impl Fn(Vec<Span>) + Send + Sync + 'static) {
        // A second outlet would be a second execution's; there is none.
        let _ = self.outlet.set(Outlet(Box::new(outlet)));
    }

    pub(crate) fn trace(&self) -> &SpanContext {
        &self.trace
    }

    /// Opens the root span. Called once.
    pub(crate) fn start_root(&self, start: Start<'_>) -> Option<&RootSpan> {
        let parent = start.parent;
        let slot = self.start(start)?;
        let context = self.context_of(slot, parent);
        Some(self.root.get_or_init(|| RootSpan { slot, context }))
    }

    pub(crate) fn root(&self) -> Option<&RootSpan> {
        self.root.get()
    }

    /// The parent of what is opened where `current` is the current span: that one, where it is of
    /// this execution or comes from another process; else the root. It may be of no execution at
    /// all, or of one that is over, or of a tracer that delivers elsewhere.
    pub(crate) fn parent<'a>(&'a self, current: &'a SpanContext) -> &'a SpanContext {
        let trace = current.trace_id();
        if trace == self.trace.trace_id() || (current.is_valid() && self.is_welcome(current)) {
            return current;
        }
        self.root.get().map_or(current, |root| &root.context)
    }

    fn is_welcome(&self, current: &SpanContext) -> bool {
        current.is_remote() || self.lock().other_traces.contains(&current.trace_id())
    }

    /// Opens a span, unless the execution is over.
    pub(crate) fn start(&self, start: Start<'_>) -> Option<Slot> {
        let Start { parent, name, time, detail } = start;
        let id = ids::span_id();
        let now = self.clock.now();
        let start = time.map_or(now, |time| place(time, now));
        let mut span = Span { id, parent: parent.span_id(), start, end: 0, name, detail };
        let is_elsewhere = parent.is_valid() && parent.trace_id() != self.trace.trace_id();
        if is_elsewhere || parent.is_remote() {
            let detail = span.detail_mut();
            detail.parent_is_remote = parent.is_remote();
            detail.foreign_context = is_elsewhere.then(|| in_trace(parent, id));
        }
        let mut spans = self.lock();
        if spans.closed {
            return None;
        }
        if is_elsewhere && !spans.other_traces.contains(&parent.trace_id()) {
            spans.other_traces.push(parent.trace_id());
        }
        let index = spans.open.insert(span);
        Some(Slot { index, id })
    }

    /// The context of a span that was started below `parent`.
    pub(crate) fn context_of(&self, slot: Slot, parent: &SpanContext) -> SpanContext {
        in_trace(if parent.is_valid() { parent } else { &self.trace }, slot.id)
    }

    /// Whether the span is still open.
    pub(crate) fn is_open(&self, slot: Slot) -> bool {
        self.edit(slot, |_| ()).is_some()
    }

    /// Changes the span if it is still open.
    pub(crate) fn edit<R>(&self, slot: Slot, change: impl FnOnce(&mut Span) -> R) -> Option<R> {
        self.lock().open_mut(slot).map(change)
    }

    /// Adds an event; where `time` is absent it happens now.
    pub(crate) fn add_event(
        &self,
        slot: Slot,
        name: Cow<'static, str>,
        time: Option<SystemTime>,
        attributes: Vec<KeyValue>,
    ) {
        let now = self.clock.now();
        let at = nanos_to_time(time.map_or(now, |time| place(time, now)));
        self.edit(slot, |span| {
            span.detail_mut().events.push(Event::new(name, at, attributes, 0));
        });
    }

    /// Ends the span; where `time` is absent it ends now. A second end is ignored.
    pub(crate) fn finish(&self, slot: Slot, time: Option<SystemTime>) {
        let now = self.clock.now();
        let end = time.map_or(now, |time| place(time, now));
        let finished = {
            let mut spans = self.lock();
            spans.finish(slot, end);
            spans.finished.len()
        };
        if finished >= MANY_SPANS {
            self.leave(MANY_SPANS, now);
        }
    }

    /// Records that the call failed: status Error on this span, and an `exception` event where the
    /// error began, which is here unless a child of this span failed with the same error.
    pub(crate) fn fail(&self, slot: Slot, failure: FailureText) {
        let at = nanos_to_time(self.clock.now());
        let mut spans = self.lock();
        let Some(span) = spans.open_mut(slot) else {
            return;
        };
        span.record_failure(&failure, at);
        let parent = span.parent;
        if let Some((_, parent)) = spans.open.iter_mut().find(|(_, span)| span.id == parent) {
            parent.detail_mut().failed_child = Some(failure.message);
        }
    }

    /// Lets finished spans leave if some may have waited long, and says when to ask again.
    pub(crate) fn let_leave(&self) -> Duration {
        let now = self.clock.now();
        let since = Duration::from_nanos(now.saturating_sub(self.lock().last_left));
        let left = LONG_WAIT.saturating_sub(since);
        if left.is_zero() {
            self.leave(1, now);
            return LONG_WAIT;
        }
        left
    }

    /// Lets the finished spans leave if there are so many; unless a thread is about that already.
    fn leave(&self, least: usize, now: u64) {
        let Some(Outlet(outlet)) = self.outlet.get() else { return };
        let Ok(_leaving) = self.leaving.try_lock() else { return };
        let leaving = self.lock().leaving(least, now);
        if let Some(leaving) = leaving {
            outlet(leaving);
        }
    }

    /// Closes the collector: what is open ends now, the root with the rest, and is marked where it
    /// ought to have ended before. Nothing can be opened afterwards. What was leaving has left when
    /// this returns.
    pub(crate) fn close(&self, ending: Ending) -> Vec<Span> {
        let _leaving = lock(&self.leaving);
        let ends_here = self.root().filter(|_| ending == Ending::Whole).map(|root| root.slot.id);
        let mut spans = self.lock();
        spans.closed = true;
        // Read under the lock: nothing that is finished ends after it.
        let now = self.clock.now();
        let open = mem::take(&mut spans.open);
        let mut finished = mem::take(&mut spans.finished);
        finished.extend(open.into_iter().map(|(_, mut span)| {
            span.end = now.max(span.start);
            if Some(span.id) != ends_here {
                span.set_attribute(KeyValue::new("charm_tracing.unfinished", true));
            }
            span
        }));
        finished
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        // A thread that panicked while it held the lock left whole spans behind: every change is
        // one assignment.
        lock(&self.spans)
    }
}

impl Spans {
    /// The finished spans, if there are so many.
    fn leaving(&mut self, least: usize, now: u64) -> Option<Vec<Span>> {
        (self.finished.len() >= least).then(|| {
            self.last_left = now;
            mem::take(&mut self.finished)
        })
    }

    fn finish(&mut self, slot: Slot, end: u64) {
        if self.open_mut(slot).is_some() {
            let mut span = self.open.remove(slot.index);
            span.end = end.max(span.start);
            self.finished.push(span);
        }
    }

    fn open_mut(&mut self, slot: Slot) -> Option<&mut Span> {
        self.open.get_mut(slot.index).filter(|span| span.id == slot.id)
    }
}

/// The context of a span in the trace of `trace`.
fn in_trace(trace: &SpanContext, id: SpanId) -> SpanContext {
    let (flags, state) = (trace.trace_flags(), trace.trace_state().clone());
    SpanContext::new(trace.trace_id(), id, flags, false, state)
}

/// OpenTelemetry's attribute for what led to an exception, whatever form the language gives it.
pub(crate) const STACKTRACE: &str = "exception.stacktrace";

fn exception(failure: &FailureText, at: SystemTime) -> Event {
    let mut attributes = vec![
        KeyValue::new("exception.type", Value::from(failure.error_type.clone())),
        KeyValue::new("exception.message", failure.message.clone()),
    ];
    attributes.extend(failure.stacktrace().map(|trace| KeyValue::new(STACKTRACE, trace)));
    Event::new("exception", at, attributes, 0)
}

/// Wall-clock time that never runs backwards: read from the system once, then carried on by the
/// monotonic clock.
#[derive(Debug)]
struct Clock {
    epoch_nanos: u64,
    started: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { epoch_nanos: time_to_nanos(SystemTime::now()), started: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.epoch_nanos.saturating_add(nanos(self.started.elapsed()))
    }
}

/// Puts a system time on the collector's clock. What the OpenTelemetry API calls "now" is read from
/// the system's clock, which may have been set since the execution began: anything within a
/// millisecond of our own now is our own now.
fn place(time: SystemTime, now: u64) -> u64 {
    const SAME_MOMENT: u64 = 1_000_000;
    let given = time_to_nanos(time);
    if given.abs_diff(now) <= SAME_MOMENT { now } else { given }
}

pub(crate) fn time_to_nanos(time: SystemTime) -> u64 {
    nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

pub(crate) fn nanos_to_time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_end_nothing_outlives_the_root_and_what_was_open_is_marked() {
        for (ending, marked) in [(Ending::Whole, [false, true]), (Ending::CutShort, [true, true])] {
            let collector = Collector::new(SpanContext::NONE);
            let start = |name: &'static str, parent| Start {
                parent,
                name: Name::Text(name.into()),
                time: None,
                detail: None,
            };
            let root = collector.start_root(start("root", &SpanContext::NONE)).cloned().unwrap();
            collector.start(start("open", &root.context)).unwrap();
            let spans = collector.close(ending);
            assert!(spans.iter().all(|span| span.end == spans[0].end), "{spans:?}");
            let is_marked = |span: &Span| {
                span.detail.as_ref().is_some_and(|detail| !detail.attributes.is_empty())
            };
            assert_eq!(spans.iter().map(is_marked).collect::<Vec<_>>(), marked);
        }
    }
}
