//! A charm whose author said how long tracing may hold it.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use charm_tracing::juju::Event;
use charm_tracing::trace_charm;

/// Of the name that the tests' ground looks for.
struct TestCharm {
    endpoint: Option<String>,
}

#[trace_charm(
    tracing_endpoint = endpoint,
    export_timeout = Duration::from_millis(patience()),
)]
impl TestCharm {
    fn new() -> Self {
        Self { endpoint: env::var("TEST_CHARM_ENDPOINT").ok() }
    }

    #[expect(clippy::unused_self, reason = "a charm's handler, which has nothing to do")]
    fn on_event(&mut self, _: &Event) {}
}

/// In milliseconds.
fn patience() -> u64 {
    env::var("TEST_CHARM_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

fn main() -> ExitCode {
    charm_tracing::run(TestCharm::new, TestCharm::on_event)
}
