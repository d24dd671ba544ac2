//! Charms whose functions are `async`, on a multi-threaded executor, as processes.

use charm_tracing_tests::{CharmDir, Finished, Receiver, Status, Trace, assert_tree};

fn run(event: &str) -> (Finished, Trace) {
    let tools = env!("CARGO_BIN_EXE_hook-tool");
    let charm = CharmDir::new(env!("CARGO_BIN_EXE_async-charm"), tools);
    let receiver = Receiver::start();
    let run = charm.dispatch(&format!("hooks/{event}"));
    let finished = run.variable("TEST_CHARM_ENDPOINT", &receiver.endpoint()).run();
    let trace = receiver.trace();
    trace.assert_times_nest();
    (finished, trace)
}

#[test]
fn spans_of_every_api_and_of_two_threads_nest() {
    let (finished, trace) = run("everything");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_tree!(
        trace,
        "
        hello/0: everything event
          method call: AsyncCharm::new
          event: everything
            method call: AsyncCharm::on_event
              method call: AsyncCharm::on_everything
                library_call
                  function call: compute
                opentelemetry in a thread
                  function call: compute
          function call: compute
        "
    );
    assert_eq!(trace.find("library_call").event_names(), ["library at work"]);
}

#[test]
fn carried_tasks_hang_under_their_span_and_others_under_the_root() {
    let (finished, trace) = run("tasks");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let computed = |parent| {
        let children = trace.children(parent);
        children.filter(|span| span.name == "function call: compute").count()
    };
    assert_eq!(computed(trace.find("method call: AsyncCharm::on_tasks")), 10);
    assert_eq!(computed(trace.root()), 10);
}

#[test]
fn errors_of_async_methods_are_recorded_and_fail_the_hook() {
    let (finished, trace) = run("fails");
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(1), "Error: the charm fails\n"));
    let failed = trace.spans.iter().filter(|span| span.status == Status::error("the charm fails"));
    assert_eq!(failed.count(), 4);
    assert_eq!(trace.find("method call: AsyncCharm::on_fails").event_names(), ["exception"]);
    assert!(trace.root().event_names().is_empty());
}

#[test]
fn panics_of_async_methods_are_recorded_and_go_on() {
    let (finished, trace) = run("panics");
    assert_eq!(finished.code, Some(101), "{finished:?}");
    assert_eq!(finished.stderr.matches("the charm panics").count(), 1);
    assert_eq!(trace.find("method call: AsyncCharm::on_panics").event_names(), ["exception"]);
    assert!(matches!(trace.root().status, Status::Error(_)));
}
