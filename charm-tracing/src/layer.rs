//! Spans and events of the `tracing` crate in the charm's trace.
//!
//! Libraries that a charm uses may be instrumented with [`tracing`](https://docs.rs/tracing). With
//! this layer what they record appears in the charm's trace at its place, under the method that
//! called them; one line at the beginning of `main`:
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt;
//! use tracing_subscriber::util::SubscriberInitExt;
//!
//! tracing_subscriber::registry().with(charm_tracing::layer::layer()).init();
//! ```
//!
//! A filter says how much of it: `layer().with_filter(LevelFilter::INFO)`. Records of the `log`
//! crate come along if they are bridged, by `tracing_log::LogTracer` or the feature `tracing-log`
//! of tracing-subscriber. What those libraries record of their arguments is theirs to answer for.

use tracing_core::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::tracer;

/// A layer that puts spans and events of `tracing` into the execution that is current where they
/// happen. Outside of an execution it does nothing.
pub fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    tracing_opentelemetry::layer().with_tracer(tracer::for_scope("tracing"))
}
