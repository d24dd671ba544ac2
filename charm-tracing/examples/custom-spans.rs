//! Spans of one's own, of the OpenTelemetry API and of the `tracing` crate:
//! `cargo run --example custom-spans`
//!
//! All of them find their place in the charm's trace by what is current where they begin. The spans
//! of `tracing` need the feature `tracing` and the layer in `charm`.

use std::process::{Command, ExitCode};

use charm_tracing::{current_span, event, layer, process, run, trace_charm, trace_function};
use charm_tracing_tests::{by_environment, show};
use opentelemetry::global;
use opentelemetry::trace::{TraceContextExt, Tracer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

struct HelloCharm;

#[trace_charm]
impl HelloCharm {
    fn new() -> Self {
        Self
    }

    fn on_start(&mut self) -> Result<(), std::io::Error> {
        let tracer = global::tracer("hello");
        tracer.in_span("migrate database", |context| {
            context.span().add_event("schema is new", Vec::new());
            library_call();
        });
        process::status(&mut Command::new("true"))?;
        event("database-ready", || jobs(3));
        Ok(())
    }
}

/// What a library does that is instrumented with `tracing`.
#[tracing::instrument]
fn library_call() {
    tracing::info!("at work");
}

#[trace_function(fields(jobs = count))]
fn jobs(count: u32) {
    if let Some(span) = current_span() {
        span.set_attribute("jobs.enough", count > 2);
    }
}

fn charm() -> ExitCode {
    tracing_subscriber::registry().with(layer::layer()).init();
    run(HelloCharm::new, |charm, event| match event.name() {
        "start" => charm.on_start(),
        _ => Ok(()),
    })
}

/// Shows what a charm's own `main`, here `charm`, sends when Juju runs it.
fn main() -> ExitCode {
    show(&["hooks/start"], by_environment, charm)
}
