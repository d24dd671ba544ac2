//! Records of the `log` crate in the charm's trace, where the charm bridges them to `tracing`. In a
//! process of its own: a logger is for the whole process.

use charm_tracing::testing::capture;
use charm_tracing::trace_function;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[trace_function]
fn ours() {
    tracing::info_span!("library").in_scope(|| log::warn!("from a library that logs"));
}

#[test]
fn records_of_log_are_events_of_the_span_they_happen_in() {
    // With its feature `tracing-log`, `init` bridges `log` as well.
    tracing_subscriber::registry().with(charm_tracing::layer::layer()).init();
    let trace = capture(ours);
    assert_eq!(trace.find("library").event_names(), ["from a library that logs"]);
}
