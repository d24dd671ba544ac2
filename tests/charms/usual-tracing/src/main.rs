//! The charm with the `tracing` crate's attributes, its spans sent by OpenTelemetry's SDK.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use opentelemetry::trace::TracerProvider as _;
use tracing::{info_span, instrument};
use tracing_subscriber::prelude::*;

#[derive(Debug)]
struct Charm {
    result: u64,
}

impl Charm {
    fn new() -> Self {
        Self { result: 0 }
    }

    #[instrument(skip_all)]
    fn render(&mut self, number: u64) {
        self.result ^= work::render(number);
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
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("usual"));
    tracing_subscriber::registry().with(layer).try_init()?;
    let mut charm = Charm::new();
    info_span!("hello/0: install event")
        .in_scope(|| info_span!("event: install").in_scope(|| handle(&mut charm)))?;
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
