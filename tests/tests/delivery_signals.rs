//! Signals: a charm that is told to end loses nothing, and signals do what they do without tracing.

use std::fs::File;
use std::hint;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use charm_tracing_tests::told::{self, SIGTERM, Told, counted, delivered};
use charm_tracing_tests::{Answer, Manner, Receiver, Unit, test_charm};

fn world() -> (Unit, Receiver) {
    told::world(test_charm!())
}

#[test]
fn a_charm_that_is_told_to_end_loses_nothing_that_is_finished() {
    for (round, count) in [0, 1, 300, 511, 513, 3000].into_iter().enumerate() {
        let (unit, receiver) = world();
        let mut told = Told::start(&unit);
        told.tell(&format!("spans {count}"));
        assert_eq!(told.end_by(SIGTERM), "", "round {round}");
        assert!(unit.charm.juju_log().is_empty());
        unit.handle("next");
        assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
        let trace = receiver.traces().into_iter().find(|trace| trace.has("event: told")).unwrap();
        assert_eq!(counted(&trace), count);
        let root = trace.root();
        assert_eq!(root.name, "hello/0: told event");
        assert_eq!(root.attribute("charm_tracing.unfinished"), Some("true"));
    }
}

#[test]
fn a_charm_that_is_told_to_end_in_the_midst_of_work_loses_nothing_that_is_finished() {
    for lines in [1, 9, 30] {
        let (unit, receiver) = world();
        let mut told = Told::start(&unit);
        let finished = told.work_for(lines);
        told.end_by(SIGTERM);
        let arrived = delivered(&unit, &receiver).as_ref().map_or(0, counted);
        assert!(arrived >= finished, "{arrived} of at least {finished}");
    }
}

#[test]
fn a_charm_that_ignores_the_signal_goes_on() {
    let (unit, receiver) = world();
    let mut told = Told::start_without_sigterm(&unit);
    told.tell("spans 2");
    told.signal(SIGTERM);
    told.tell("spans 3");
    told.end();
    assert_eq!(counted(&receiver.trace()), 5);
}

#[test]
fn a_signal_while_a_trace_is_delivered_waits_for_that() {
    let (unit, receiver) = world();
    // Until it is answered, the trace is nowhere but in the process.
    receiver.answer_next([Answer::status(503).in_manner(Manner::Held)]);
    let mut told = Told::start(&unit);
    told.tell("spans 3");
    let ending = told.let_end();
    receiver.wait_for_requests(1);
    ending.signal(SIGTERM);
    receiver.release();
    let status = ending.wait();
    assert_eq!(status.signal(), Some(SIGTERM), "{status}");
    unit.let_back_off_pass();
    assert_eq!(counted(&delivered(&unit, &receiver).unwrap()), 3);
}

#[test]
fn a_signal_at_any_moment_of_the_end_loses_nothing() {
    let (unit, receiver) = world();
    for moment in 0..60 {
        let mut told = Told::start(&unit);
        told.tell("spans 3");
        let (ending, began) = (told.let_end(), Instant::now());
        // From before the end begins to after it is over.
        while began.elapsed() < moment * Duration::from_micros(100) {
            hint::spin_loop();
        }
        ending.signal(SIGTERM);
        let status = ending.wait();
        assert!(status.success() || status.signal() == Some(SIGTERM), "{status}");
    }
    unit.handle("next");
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    let counts: Vec<usize> = receiver.traces().iter().map(counted).collect();
    assert_eq!(counts.iter().filter(|count| **count == 3).count(), 60, "{counts:?}");
}

#[test]
fn a_second_execution_of_a_process_loses_nothing_either() {
    let (unit, receiver) = world();
    let mut told = Told::start_two(&unit);
    told.tell("spans 2");
    assert_eq!(told.tell_and_hear("next"), "test-charm handles told\n");
    told.tell("spans 3");
    told.end_by(SIGTERM);
    unit.handle("next");
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    let counts: Vec<usize> = receiver.traces().iter().map(counted).collect();
    assert_eq!(counts.iter().sum::<usize>(), 5, "{counts:?}");
}

#[test]
fn after_its_executions_a_process_ends_by_the_signal_at_once() {
    let (unit, receiver) = world();
    let mut told = Told::start_two(&unit);
    assert_eq!(told.tell_and_hear("next"), "test-charm handles told\n");
    assert_eq!(told.tell_and_hear("next"), "both executions are over\n");
    told.end_by(SIGTERM);
    assert_eq!(receiver.traces().len(), 2);
}

#[test]
fn spans_that_a_locked_buffer_did_not_take_are_offered_again() {
    let (mut unit, receiver) = world();
    // So long is the lock waited for: a tenth of this, but not longer than a quarter of a second.
    unit.set("OTEL_EXPORTER_OTLP_TIMEOUT", "500");
    let mut told = Told::start(&unit);
    told.tell("spans 512");
    let buffer = File::options().write(true).open(unit.buffer()).unwrap();
    buffer.lock().unwrap();
    told.tell("spans 1024");
    buffer.unlock().unwrap();
    told.end_by(SIGTERM);
    unit.give_time();
    assert_eq!(counted(&delivered(&unit, &receiver).unwrap()), 1536);
}

#[test]
fn a_charm_that_blocks_a_signal_to_wait_for_it_gets_it() {
    let (unit, _receiver) = world();
    let handled = unit.handle("waits-for-a-signal");
    assert_eq!(handled.finished.code, Some(0));
    assert!(handled.finished.stdout.ends_with("SIGUSR1 came\n"), "{}", handled.finished.stdout);
}
