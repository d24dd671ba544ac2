//! The root of a trace: what it is called, and its place in the trace that Juju itself keeps.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceFlags, TraceState};

use crate::collector::{Collector, Detail};
use crate::current::Reach;
use crate::ids;
use crate::juju::{Environment, Event};
use crate::span::Root;
use crate::tracer;

/// Opens the root span of an execution in `environment`, with a collector of its own.
pub(crate) fn open(environment: &Environment, reach: Reach) -> Option<(Arc<Collector>, Root)> {
    tracer::install();
    let event = environment.event();
    let (trace, parent, link) = place_in_jujus_trace(environment.trace_parent());
    let collector = Collector::new(trace);
    let path = event.dispatch_path();
    let path = path.map(|path| KeyValue::new("juju.dispatch_path", path.to_owned()));
    let detail = Detail {
        attributes: path.into_iter().collect(),
        links: link.into_iter().collect(),
        ..Detail::default()
    };
    let root = Root::open(&collector, &parent, name(environment, &event), detail, reach)?;
    Some((collector, root))
}

/// The trace that the root belongs to, its parent, and what it links to: a child of Juju's own span
/// where Juju samples that, else a trace of its own, with a link to Juju's if there is one.
fn place_in_jujus_trace(juju: Option<SpanContext>) -> (SpanContext, SpanContext, Option<Link>) {
    let trace =
        |id, state| SpanContext::new(id, SpanId::INVALID, TraceFlags::SAMPLED, false, state);
    match juju {
        Some(parent) if parent.is_sampled() => {
            (trace(parent.trace_id(), parent.trace_state().clone()), parent, None)
        }
        unsampled => {
            let own = trace(ids::trace_id(), TraceState::NONE);
            (own, SpanContext::NONE, unsampled.map(Link::with_context))
        }
    }
}

/// `hello/0: config-changed event`, as the Python library calls it.
fn name(environment: &Environment, event: &Event) -> String {
    match environment.unit() {
        Some(unit) => format!("{unit}: {} event", event.name()),
        None => format!("{} event", event.name()),
    }
}
