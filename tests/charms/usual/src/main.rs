//! The charm instrumented by hand, with OpenTelemetry's SDK.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracer;

#[derive(Debug)]
struct Charm {
    tracer: SdkTracer,
    result: u64,
}

impl Charm {
    fn new(tracer: SdkTracer) -> Self {
        Self { tracer, result: 0 }
    }

    fn render(&mut self, number: u64) {
        let rendered = self.tracer.in_span("Charm::render", |_| work::render(number));
        self.result ^= rendered;
    }
}

fn handle(charm: &mut Charm) -> io::Result<()> {
    for number in 0..work::calls() {
        charm.render(number);
    }
    work::finish(charm.result)
}

fn traced() -> Result<(), Box<dyn Error>> {
    let provider = pipeline::provider()?;
    let tracer = provider.tracer("usual");
    let mut charm = Charm::new(tracer.clone());
    tracer.in_span("hello/0: install event", |_| {
        tracer.in_span("event: install", |_| handle(&mut charm))
    })?;
    // A backend that is not there is no reason for a charm to fail.
    let _ = provider.shutdown();
    Ok(())
}

fn main() -> ExitCode {
    match traced() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
