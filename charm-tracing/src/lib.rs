#![doc = include_str!("../README.md")]

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod collector;
mod config;
mod event;
mod execution;
mod export;
pub mod juju;
#[cfg(feature = "tracing")]
pub mod layer;
pub mod process;
mod recording;
mod resource;
mod root;
mod span;
mod terminate;
#[cfg(feature = "testing")]
pub mod testing;
mod trace_context;
mod tracer;

pub use charm_tracing_macros::{trace_charm, trace_function, trace_method, trace_type};
pub use config::{Charm, Options, ServerCert, ServerCertificate, TracingEndpoint};
pub use event::event;
pub use execution::{Construct, Execution, Outcome, run, run_async};
pub use span::{CurrentSpan, Suppressed, carried, carried_future, current_span, suppressed};
