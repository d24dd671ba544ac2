//! What becomes of a charm's errors and panics: on its exit code, its output and its spans.

use charm_tracing_tests::{CharmRun, Finished, Receiver, Span, Status, Trace, test_charm};

/// Runs it with and without tracing: exit code and output must be the same.
fn traced(run: &CharmRun) -> (Finished, Trace) {
    let receiver = Receiver::start();
    let run = run.clone().variable("TEST_CHARM_ENDPOINT", &receiver.endpoint());
    let untraced = run.clone().variable("CHARM_TRACING_ENABLED", "0").run();
    assert!(receiver.requests().is_empty(), "tracing is switched off");
    let finished = run.run();
    assert_eq!(finished.code, untraced.code);
    assert_eq!(finished.stdout, untraced.stdout);
    assert_eq!(without_pid(&finished), without_pid(&untraced));
    let trace = receiver.trace();
    trace.assert_times_nest();
    (finished, trace)
}

/// What it wrote to stderr, without the number of the process, which a panic's message has.
fn without_pid(finished: &Finished) -> String {
    finished.stderr.replace(&format!("({})", finished.pid), "(pid)")
}

fn failed<'a>(trace: &'a Trace, message: &str) -> Vec<&'a str> {
    let failed = trace.spans.iter().filter(|span| span.status == Status::error(message));
    failed.map(|span| span.name.as_str()).collect()
}

fn with_exception(trace: &Trace) -> Vec<&Span> {
    let has = |span: &&Span| span.event_names().contains(&"exception");
    trace.spans.iter().filter(has).collect()
}

#[test]
fn an_error_fails_every_span_it_passes_and_began_in_one() {
    let (finished, trace) = traced(&test_charm!().dispatch("hooks/fails"));
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.stderr, "Error: the store fails with 1 item\n");
    let names = failed(&trace, "the store fails with 1 item");
    assert_eq!(
        names,
        [
            "hello/0: fails event",
            "event: fails",
            "method call: TestCharm::on_event",
            "method call: TestCharm::outcome",
            "method call: Store::fail"
        ]
    );
    let [began] = with_exception(&trace)[..] else { panic!("one exception wanted:\n{trace:?}") };
    assert_eq!(began.name, "method call: Store::fail");
    assert_eq!(began.attribute("error.type"), Some("test_charm::Error"));
    let exception = &began.events[0].attributes;
    assert_eq!(exception["exception.message"], "the store fails with 1 item");
    assert_eq!(exception["exception.type"], "test_charm::Error");
}

#[test]
fn an_error_that_wraps_another_began_where_the_other_began() {
    let (_, trace) = traced(&test_charm!().dispatch("hooks/fails-wrapped"));
    let [began] = with_exception(&trace)[..] else { panic!("one exception wanted:\n{trace:?}") };
    assert_eq!(began.name, "method call: Store::fail");
    let status = &trace.find("method call: Store::fail_wrapped").status;
    assert_eq!(*status, Status::error("the operation fails"));
}

#[test]
fn causes_are_shown_where_the_error_began() {
    let (_, trace) = traced(&test_charm!().dispatch("hooks/fails-with-causes"));
    let [began] = with_exception(&trace)[..] else { panic!("one exception wanted:\n{trace:?}") };
    let exception = &began.events[0].attributes;
    assert_eq!(exception["exception.message"], "the operation fails");
    let causes = "the operation fails\n\nCaused by:\n    the store fails with 1 item";
    assert_eq!(exception["exception.stacktrace"], causes);
}

#[test]
fn an_error_of_its_own_begins_anew() {
    let (finished, trace) = traced(&test_charm!().dispatch("hooks/fails-anew"));
    assert_eq!(finished.code, Some(0));
    let began: Vec<&str> = with_exception(&trace).iter().map(|span| span.name.as_str()).collect();
    assert_eq!(began, ["method call: Store::fail_with_another_error", "method call: Store::fail"]);
    assert_eq!(trace.root().status, Status::Unset);
}

#[test]
fn an_error_that_is_handled_fails_only_where_it_was_returned() {
    let (finished, trace) = traced(&test_charm!().dispatch("hooks/fails-and-recovers"));
    assert_eq!(finished.code, Some(0));
    assert_eq!(failed(&trace, "the store fails with 1 item"), ["method call: Store::fail"]);
}

#[test]
fn a_panic_is_recorded_delivered_and_goes_on() {
    let (finished, trace) = traced(&test_charm!().dispatch("hooks/panics"));
    assert_eq!(finished.code, Some(101));
    assert_eq!(finished.stderr.matches("the store panics with 1 item").count(), 1);
    let [began] = with_exception(&trace)[..] else { panic!("one exception wanted:\n{trace:?}") };
    assert_eq!(began.name, "method call: Store::panic");
    let message = &began.events[0].attributes["exception.message"];
    assert!(message.starts_with("the store panics with 1 item ("), "{message}");
    assert_eq!(began.attribute("error.type"), Some("panic"));
    assert_eq!(failed(&trace, message).len(), 5, "{trace:?}");
}

#[test]
fn a_constructor_that_fails_is_traced_and_fails_the_hook() {
    let receiver = Receiver::start();
    let charm = test_charm!();
    let run = charm.dispatch("hooks/install").variable("TEST_CHARM_CONSTRUCTOR", "fails");
    // Nobody could ask the charm: its traces go where the environment says.
    let finished = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()).run();
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(1), "Error: the constructor fails\n")
    );
    let traces = receiver.traces();
    assert_eq!(traces[0].outline(), "hello/0: install event\n  method call: TestCharm::new\n");
    assert_eq!(traces[0].root().status, Status::error("the constructor fails"));
    assert_eq!(traces[0].resource["charm_type"], "TestCharm");
}

#[test]
fn a_constructor_that_panics_is_traced_and_panics() {
    let receiver = Receiver::start();
    let charm = test_charm!();
    let run = charm.dispatch("hooks/install").variable("TEST_CHARM_CONSTRUCTOR", "panics");
    let finished = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()).run();
    assert_eq!(finished.code, Some(101));
    let traces = receiver.traces();
    assert_eq!(with_exception(&traces[0])[0].name, "method call: TestCharm::new");
}
