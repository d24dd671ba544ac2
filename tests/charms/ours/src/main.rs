//! The charm with charm-tracing. Where its traces go, the environment says.

use std::io;
use std::process::ExitCode;

use charm_tracing::trace_charm;

#[derive(Debug)]
struct Charm {
    result: u64,
}

#[trace_charm(
    skip(new),
    buffer_max_events = work::number_in("CHARM_BUFFER_MAX_EVENTS").unwrap_or(100),
)]
impl Charm {
    fn new() -> Self {
        Self { result: 0 }
    }

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

fn main() -> ExitCode {
    charm_tracing::run(Charm::new, |charm, _| handle(charm))
}
