#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "trace"),
    expect(
        dead_code,
        reason = "without a recording nothing opens a root, and no span is ever open"
    )
)]

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod call_site;
mod collector;
mod config;
mod current;
mod event;
mod execution;
#[cfg(feature = "trace")]
mod export;
mod failure;
mod ids;
pub mod juju;
#[cfg(feature = "tracing")]
pub mod layer;
mod panics;
pub mod process;
#[cfg(feature = "trace")]
mod recording;
#[cfg(not(feature = "trace"))]
#[path = "recording_absent.rs"]
mod recording;
#[cfg(feature = "trace")]
mod resource;
#[cfg(feature = "trace")]
mod root;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod trace_context;
#[cfg(feature = "trace")]
mod tracer;
mod type_name;
#[cfg(feature = "trace")]
mod watch;

pub use charm_tracing_macros::{trace_charm, trace_function, trace_method, trace_type};
pub use config::{Charm, Options, ServerCert, ServerCertificate, TracingEndpoint};
pub use event::event;
// No more of the API: to see its `Value::String` makes the compiler write `std::string::String` in
// every error of the charm's.
pub use opentelemetry::KeyValue;

pub use execution::{Construct, Execution, Outcome, run, run_async};
pub use span::{CurrentSpan, Suppressed, carried, carried_future, current_span, suppressed};
