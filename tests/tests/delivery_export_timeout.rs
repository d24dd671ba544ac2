//! The option `export_timeout`: tracing holds the charm as long as its author said, whatever the
//! environment says. The bounds here are far from what is measured: a charm that did not heed the
//! option would miss them by seconds.

use std::time::Duration;

use charm_tracing_tests::{Answer, CharmDir, Manner, Receiver, Unit};

/// A unit of the charm whose option is `patience`, in an environment that says `otherwise`.
fn world(patience: Duration, otherwise: Duration) -> (Unit, Receiver) {
    let charm = CharmDir::new(env!("CARGO_BIN_EXE_patient-charm"), env!("CARGO_BIN_EXE_hook-tool"));
    let (mut unit, receiver) = (Unit::new(charm), Receiver::start());
    unit.send_to(&receiver.endpoint());
    unit.set("TEST_CHARM_PATIENCE", &patience.as_millis().to_string());
    unit.set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", &otherwise.as_millis().to_string());
    (unit, receiver)
}

#[test]
fn a_short_one_gives_up_early_and_the_trace_waits() {
    let (unit, receiver) = world(Duration::from_millis(300), Duration::from_secs(30));
    receiver.answer_always(Answer::given(Manner::Never));
    let first = unit.handle("first");
    assert!(first.held > 0.15, "it did not hang: {first:#?}");
    first.assert_held_at_most(5.0);
    assert_eq!((unit.waiting(), receiver.requests().len()), (1, 1));
    receiver.recover();
    unit.let_back_off_pass();
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
}

#[test]
fn a_long_one_waits_for_an_answer_that_others_would_not_have_waited_for() {
    let (unit, receiver) = world(Duration::from_secs(30), Duration::from_millis(100));
    // Later than the environment's, and than the default.
    receiver.answer_always(Answer::given(Manner::After(Duration::from_millis(1500))));
    let first = unit.handle("first");
    assert!(first.held > 1.2, "it did not wait: {first:#?}");
    assert_eq!(first.warnings, [""; 0]);
    assert_eq!(receiver.requests().len(), 1);
    receiver.recover();
    unit.handle("second");
    assert_eq!(receiver.events(), ["first", "second"]);
    assert_eq!(receiver.spans_sent_twice(), 0);
}
