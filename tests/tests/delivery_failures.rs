//! What becomes of traces when the backend answers badly: the table of ARCHITECTURE.md, row for
//! row. What waits must come later, once; what cannot come is counted and said.

use charm_tracing_tests::{Answer, DEADLINE, Down, Handled, Manner, Receiver, Unit, test_charm};

/// The spans of one event of the charm's.
const SPANS: usize = 5;

fn world() -> (Unit, Receiver) {
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    unit.send_to(&receiver.endpoint());
    (unit, receiver)
}

/// Has an event handled while the backend fails, another while no attempt is made, and a third when
/// the backend has recovered; all three must have come, once.
fn nothing_is_lost(situation: &str, fail: impl FnOnce(&Receiver)) -> Handled {
    let (unit, receiver) = world();
    fail(&receiver);
    let first = unit.handle("first");
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    assert_eq!(unit.waiting(), 1);
    let connections = receiver.connections();
    let second = unit.handle("second");
    assert_eq!(receiver.connections(), connections, "no attempt while backing off");
    assert_eq!(second.warnings, [""; 0]);
    second.assert_held_at_most(0.5);
    receiver.recover();
    unit.let_back_off_pass();
    let third = unit.handle("third");
    assert!(third.warning().contains("2 executions that waited were delivered"), "{third:#?}");
    assert_eq!(receiver.events(), ["third", "first", "second"]);
    let root = receiver.traces()[0].root().clone();
    assert_eq!(root.attribute("charm_tracing.buffered_events"), Some("2"));
    assert_eq!(unit.waiting(), 0);
    first.note(situation, 0, receiver.spans_sent_twice());
    first
}

fn nothing_is_lost_after(situation: &str, answer: Answer) -> Handled {
    nothing_is_lost(situation, |receiver| receiver.answer_next([answer]))
}

#[test]
fn what_is_worth_another_attempt_waits_and_comes_once() {
    for status in [429, 502, 503, 504] {
        let first = nothing_is_lost_after(&status.to_string(), Answer::status(status));
        first.assert_held_at_most(0.5);
        assert!(first.warning().contains(&format!("status {status}")), "{first:#?}");
    }
}

#[test]
fn a_request_to_come_again_later_is_no_other_failure() {
    let answer = Answer::status(429).header("retry-after", "60");
    nothing_is_lost_after("429 with Retry-After", answer).assert_held_at_most(0.5);
}

#[test]
fn a_connection_closed_where_an_answer_was_due_loses_nothing() {
    let answer = Answer::given(Manner::Closes);
    nothing_is_lost_after("closed without an answer", answer).assert_held_at_most(0.5);
}

#[test]
fn a_connection_reset_in_the_middle_of_the_request_loses_nothing() {
    let answer = Answer::given(Manner::ResetsRequest);
    nothing_is_lost_after("reset in the request's body", answer).assert_held_at_most(0.5);
}

#[test]
fn a_connection_reset_in_the_middle_of_a_large_request_loses_nothing() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BYTES", "8000000");
    receiver.answer_next([Answer::given(Manner::ResetsRequest)]);
    unit.give_time();
    unit.dispatch("bulky").run();
    unit.let_back_off_pass();
    unit.handle("next");
    let mut came = receiver.events();
    came.sort();
    assert_eq!(came, ["bulky", "next"]);
}

#[test]
fn a_connection_reset_before_the_status_is_known_loses_nothing() {
    let answer = Answer::given(Manner::ResetsHead);
    nothing_is_lost_after("reset in the answer's head", answer).assert_held_at_most(0.5);
}

#[test]
fn an_answer_that_is_no_http_loses_nothing() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::given(Manner::ResetsBody).header("bad name\u{1}", "\u{0}")]);
    let first = unit.handle("first");
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    unit.let_back_off_pass();
    unit.handle("second");
    // The backend has it, and said so in a way that cannot be understood.
    assert_eq!(receiver.traces().len(), 2, "what came twice is one trace");
    assert_eq!(receiver.spans_sent_twice(), SPANS);
}

#[test]
fn a_status_decides_whatever_becomes_of_the_body_behind_it() {
    for (situation, manner) in [
        ("200, reset in the answer's body", Manner::ResetsBody),
        ("200, a body without end", Manner::EndlessBody),
    ] {
        let (unit, receiver) = world();
        receiver.answer_next([Answer::given(manner)]);
        let first = unit.handle("first");
        first.assert_held_at_most(0.5);
        assert_eq!(first.warnings, [""; 0]);
        assert_eq!(receiver.events(), ["first"]);
        unit.handle("second");
        assert_eq!(receiver.events(), ["first", "second"]);
        first.note(situation, 0, receiver.spans_sent_twice());
    }
}

#[test]
fn what_can_never_succeed_is_dropped_counted_and_said_once() {
    for status in [400, 401, 403, 404, 405, 413, 415, 500, 501, 505] {
        let (unit, receiver) = world();
        receiver.answer_always(Answer::status(status));
        let first = unit.handle("first");
        let said = format!("the backend refused 1 record for good (status {status})");
        assert!(first.warning().contains(&said), "{first:#?}");
        first.assert_held_at_most(0.5);
        assert_eq!(unit.handle("second").warnings, [""; 0]);
        assert_eq!((unit.waiting(), receiver.requests().len()), (0, 2));
        receiver.recover();
        let third = unit.handle("third");
        assert_eq!(third.warnings, [""; 0]);
        assert_eq!(receiver.events(), ["third"]);
        let root = receiver.trace().root().clone();
        assert_eq!(root.attribute("charm_tracing.refused_records"), Some("2"));
        unit.handle("fourth");
        let root = receiver.traces()[1].root().clone();
        assert_eq!(root.attribute("charm_tracing.refused_records"), None, "told once");
        first.note(&status.to_string(), SPANS, receiver.spans_sent_twice());
    }
}

#[test]
fn partial_success_is_final_and_its_count_is_logged() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::partial_success(2, "too long ago")]);
    let first = unit.handle("first");
    assert!(first.warning().contains("rejected 2 spans"), "{first:#?}");
    assert!(first.warning().contains("too long ago"), "{first:#?}");
    assert_eq!(unit.handle("second").warnings, [""; 0]);
    assert_eq!(receiver.events(), ["first", "second"]);
    first.note("200 with partial success", 2, receiver.spans_sent_twice());
}

#[test]
fn a_word_from_the_backend_that_rejects_nothing_is_no_loss() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::partial_success(0, "")]);
    assert_eq!(unit.handle("first").warnings, [""; 0]);
    assert_eq!(receiver.events(), ["first"]);
}

#[test]
fn a_redirect_is_not_followed_and_loses_nothing() {
    let elsewhere = Receiver::start();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/v1/traces", elsewhere.endpoint());
        let answer = Answer::status(status).header("location", &location);
        nothing_is_lost_after(&format!("redirect, {status}"), answer).assert_held_at_most(0.5);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_backend_that_is_down_for_a_while_gets_everything_when_it_is_back() {
    let (mut unit, down) = (Unit::new(test_charm!()), Down::reserve());
    unit.send_to(&down.endpoint());
    let first = unit.handle("first");
    first.assert_held_at_most(0.5);
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    for event in ["second", "third"] {
        unit.let_back_off_pass();
        let handled = unit.handle(event);
        handled.assert_held_at_most(0.5);
        assert_eq!(handled.warnings, [""; 0], "said already");
    }
    let receiver = down.up();
    unit.let_back_off_pass();
    let fourth = unit.handle("fourth");
    assert!(fourth.warning().contains("3 executions that waited were delivered"), "{fourth:#?}");
    assert_eq!(receiver.events(), ["fourth", "first", "second", "third"]);
    assert_eq!(unit.handle("fifth").warnings, [""; 0]);
    first.note("refused for a while and back", 0, receiver.spans_sent_twice());
}

#[test]
fn a_backend_that_takes_a_trace_too_late_gets_it_twice_at_most() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::given(Manner::Held)]);
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    receiver.release();
    for event in ["second", "third"] {
        unit.let_back_off_pass();
        unit.handle(event);
    }
    assert_eq!(receiver.traces().len(), 3, "what came twice is one trace");
    assert_eq!(receiver.spans_sent_twice(), SPANS);
    first.note("taken, answered past the deadline", 0, receiver.spans_sent_twice());
}

#[test]
fn without_a_buffer_nothing_is_written_and_every_execution_tries() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "0");
    receiver.answer_next([Answer::status(503), Answer::status(400)]);
    for event in ["first", "second", "third"] {
        unit.handle(event).assert_held_at_most(0.5);
    }
    assert_eq!(receiver.events(), ["third"], "the others are lost: there is no buffer");
    assert_eq!(receiver.requests().len(), 3);
    let files: Vec<_> = std::fs::read_dir(unit.charm.path()).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "nothing but metadata.yaml: {files:?}");
}

#[test]
fn without_a_buffer_a_deaf_backend_costs_one_deadline_and_no_more() {
    let (mut unit, deaf) = (Unit::new(test_charm!()), Down::reserve().deaf());
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "0");
    unit.send_to(&deaf.endpoint());
    let handled = unit.handle("first");
    handled.assert_held_at_most(1.1);
    handled.note("no buffer, accepted and never answered", SPANS, 0);
    assert!(handled.finished.took >= DEADLINE / 2, "it was not even tried: {handled:#?}");
}
