//! The OpenTelemetry API's way in: spans that any library opens through `opentelemetry::global`
//! are spans of the execution that is current where they are opened.
//!
//! The provider has no state of its own: it finds the execution through the context. Before,
//! between and after executions its spans are no-ops.

use std::sync::Once;

use opentelemetry::trace::{SpanBuilder, SpanContext, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, global};

use crate::call_site::Name;
use crate::collector::{Collector, Detail, Start};
use crate::current::{Here, Owner, at};
use crate::span::RecordedSpan;

/// Makes this crate the process's tracer provider, once.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| global::set_tracer_provider(ExecutionTracerProvider));
}

/// A tracer for spans of the instrumentation scope `name`.
#[cfg(feature = "tracing")]
pub(crate) fn for_scope(name: &'static str) -> impl Tracer<Span = RecordedSpan> + Send + Sync {
    ExecutionTracer { scope: InstrumentationScope::builder(name).build() }
}

#[derive(Debug)]
struct ExecutionTracerProvider;

impl TracerProvider for ExecutionTracerProvider {
    type Tracer = ExecutionTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Self::Tracer {
        ExecutionTracer { scope }
    }
}

#[derive(Debug)]
struct ExecutionTracer {
    scope: InstrumentationScope,
}

impl Tracer for ExecutionTracer {
    type Span = RecordedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> RecordedSpan {
        self.record(builder, parent).unwrap_or(RecordedSpan::IGNORED)
    }
}

impl ExecutionTracer {
    fn record(&self, builder: SpanBuilder, parent: &Context) -> Option<RecordedSpan> {
        let given = parent.span();
        let given = given.span_context();
        let start = |Here { context, collector, owner }: Here<'_>| {
            // The parent that the caller gives is kept, wherever it comes from; where there is none
            // the span hangs under what is current, at last the root.
            let current = context.span();
            let parent =
                if given.is_valid() { given } else { collector.parent(current.span_context()) };
            self.start(builder, collector, owner, parent)
        };
        if parent.is_telemetry_suppressed() {
            return None;
        }
        at(parent, start)
    }

    fn start(
        &self,
        builder: SpanBuilder,
        collector: &Collector,
        owner: Owner,
        parent: &SpanContext,
    ) -> Option<RecordedSpan> {
        let detail = Detail {
            kind: builder.span_kind,
            attributes: builder.attributes.unwrap_or_default(),
            events: builder.events.unwrap_or_default(),
            links: builder.links.unwrap_or_default(),
            scope: Some(self.scope.clone()),
            ..Detail::default()
        };
        let (name, time) = (Name::Text(builder.name), builder.start_time);
        let start = Start { parent, name, time, detail: Some(Box::new(detail)) };
        let slot = collector.start(start)?;
        Some(RecordedSpan::new(owner, slot, collector.context_of(slot, parent)))
    }
}
