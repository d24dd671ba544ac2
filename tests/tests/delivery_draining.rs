//! How a backlog leaves: after the live trace, oldest first, in few requests, each acknowledged for
//! itself.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::process::{Child, Stdio};

use charm_tracing_tests::{
    Answer, CharmDir, DEADLINE, Manner, Received, Receiver, Unit, test_charm,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// The spans of one event of the charm's.
const SPANS: usize = 5;

fn world() -> (Unit, Receiver) {
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    unit.send_to(&receiver.endpoint());
    (unit, receiver)
}

fn events(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("event-{number}")).collect()
}

/// `live`, and then the others.
fn after<'a>(live: &'a str, others: &'a [String]) -> Vec<&'a str> {
    [live].into_iter().chain(others.iter().map(String::as_str)).collect()
}

fn plain_size(request: &Received) -> usize {
    request.request.as_ref().map_or(0, Message::encoded_len)
}

#[test]
fn a_hundred_executions_leave_in_two_requests_over_one_connection() {
    let (unit, receiver) = world();
    let waiting = events(100);
    unit.buffer_events(&waiting);
    assert_eq!(unit.waiting(), 100);
    let live = unit.handle("live");
    live.assert_held_at_most(1.1);
    assert!(live.warning().contains("100 executions that waited were delivered"), "{live:#?}");
    assert_eq!(receiver.events(), after("live", &waiting));
    let requests = receiver.requests();
    assert!(requests.len() <= 3, "one for the live trace, {} for the rest", requests.len() - 1);
    assert_eq!((receiver.connections(), unit.waiting()), (1, 0));
    let root = receiver.traces()[0].root().clone();
    assert_eq!(root.attribute("charm_tracing.buffered_events"), Some("100"));
    live.note("100 buffered, healthy backend", 0, receiver.spans_sent_twice());
}

#[test]
fn what_waited_is_compressed_and_what_is_sent_at_once_only_where_it_is_large() {
    let (mut unit, receiver) = world();
    for bytes in ["0", "1000", "20000", "40000"] {
        unit.set("TEST_CHARM_BYTES", bytes);
        unit.handle("bulky");
    }
    let gzipped = |request: &Received| request.headers.contains_key("content-encoding");
    for request in receiver.requests() {
        let size = plain_size(&request);
        assert_eq!(gzipped(&request), size > 32 * 1024, "{size} bytes at once");
    }
    unit.set("TEST_CHARM_BYTES", "0");
    for waiting in 1..4 {
        unit.buffer_events(events(waiting));
        unit.handle("last");
        let drained = receiver.requests().pop().unwrap();
        assert!(plain_size(&drained) > 1024 && gzipped(&drained), "{waiting} waited");
    }
    assert_eq!(receiver.traces().len(), 4 + 1 + 2 + 3 + 3);
}

#[test]
fn requests_stay_below_four_mebibytes() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BYTES", "1500000");
    unit.give_time();
    let waiting: Vec<String> = (0..5).map(|number| format!("bulky-{number}")).collect();
    unit.buffer_events(&waiting);
    unit.handle("live");
    assert_eq!(receiver.events(), after("live", &waiting));
    let sizes: Vec<usize> = receiver.requests().iter().map(plain_size).collect();
    assert!(sizes.iter().all(|size| *size <= 4 * 1024 * 1024), "{sizes:?}");
    assert_eq!(sizes.len(), 4, "five times 1.5 MB fit into three requests: {sizes:?}");
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn poison_is_isolated_and_everything_around_it_arrives() {
    let all = events(7);
    for poison in [vec![0], vec![3], vec![6], vec![0, 6], vec![2, 3], (0..7).collect()] {
        for status in [400, 413] {
            let (mut unit, receiver) = world();
            unit.give_time();
            unit.buffer_events(&all);
            let names: Vec<String> = poison.iter().map(|n| format!("event: event-{n}")).collect();
            receiver.refuse(status, names.iter().map(String::as_str));
            let live = unit.handle("live");
            live.assert_held_at_most(1.1);
            let mut arrived = all.clone();
            arrived.retain(|event| !names.contains(&format!("event: {event}")));
            assert_eq!(receiver.events(), after("live", &arrived), "{poison:?}");
            let said = format!("refused {} record", poison.len());
            assert!(live.warning().contains(&said), "{live:#?}");
            assert_eq!(unit.waiting(), 0);
            unit.handle("next");
            let root = receiver.traces().last().unwrap().root().clone();
            let refused = poison.len().to_string();
            assert_eq!(
                root.attribute("charm_tracing.refused_records"),
                Some(refused.as_str()),
                "{poison:?}"
            );
            live.note(
                &format!("poison at {poison:?} of 7, {status}"),
                SPANS * poison.len(),
                receiver.spans_sent_twice(),
            );
        }
    }
}

#[test]
fn a_live_trace_that_is_poison_stops_nothing_but_itself() {
    let (unit, receiver) = world();
    unit.buffer_events(events(2));
    receiver.refuse(400, ["event: poison"]);
    unit.handle("poison");
    unit.handle("next");
    assert_eq!(receiver.events(), ["next", "event-0", "event-1"]);
    assert_eq!(unit.waiting(), 0);
}

#[test]
fn a_failure_in_the_middle_of_a_drain_resends_nothing_that_was_accepted() {
    for failure in [
        Answer::status(503),
        Answer::given(Manner::Closes),
        Answer::given(Manner::ResetsHead),
        Answer::given(Manner::Never),
    ] {
        let (mut unit, receiver) = world();
        unit.set("TEST_CHARM_BYTES", "1500000");
        // Two of them fit into a request.
        let waiting: Vec<String> = (0..3).map(|number| format!("bulky-{number}")).collect();
        unit.buffer_events(&waiting);
        if failure.manner != Manner::Never {
            unit.give_time();
        }
        let accepted = Answer::status(200);
        receiver.answer_next([accepted.clone(), accepted, failure.clone()]);
        let live = unit.handle("live");
        live.assert_held_at_most(1.1);
        assert_eq!(live.warnings, [""; 0], "that traces wait was said when the first did");
        assert_eq!(receiver.events(), ["live", "bulky-0", "bulky-1"]);
        unit.let_back_off_pass();
        let next = unit.handle("next");
        assert!(next.warning().contains("1 execution that waited was"), "{next:#?}");
        let mut came = receiver.events();
        came.retain(|event| event.starts_with("bulky"));
        assert_eq!(came, waiting);
        let situation = format!("failure in the middle of a drain ({:?})", failure.manner);
        live.note(&situation, 0, receiver.spans_sent_twice());
    }
}

#[test]
fn a_failure_among_poison_resends_nothing_that_was_accepted() {
    let (mut unit, receiver) = world();
    unit.give_time();
    let waiting = events(8);
    unit.buffer_events(&waiting);
    receiver.refuse(400, ["event: event-5"]);
    // Live; all eight, refused; the first four, accepted; the others, refused; then it is down.
    receiver.answer_next([200, 200, 200, 200, 503].map(Answer::status));
    unit.handle("live");
    assert_eq!(unit.waiting(), 4);
    unit.let_back_off_pass();
    unit.handle("next");
    let mut came = receiver.events();
    came.sort();
    let expected = [
        "event-0", "event-1", "event-2", "event-3", "event-4", "event-6", "event-7", "live", "next",
    ];
    assert_eq!(came, expected);
}

#[test]
fn the_oldest_go_when_there_are_too_many_and_the_root_says_how_many() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "3");
    unit.unset("TEST_CHARM_ENDPOINT");
    let warnings: Vec<String> =
        (0..6).flat_map(|number| unit.handle(&format!("event-{number}")).warnings).collect();
    let waits = warnings.iter().filter(|line| line.contains("traces wait in")).count();
    let evicts = warnings.iter().filter(|line| line.contains("the buffer is full")).count();
    assert_eq!((waits, evicts, warnings.len()), (1, 1, 2), "{warnings:#?}");
    unit.send_to(&receiver.endpoint());
    let live = unit.handle("live");
    assert!(live.warning().contains("3 executions that waited were delivered"), "{live:#?}");
    assert!(live.warning().contains("3 executions had been given up"), "{live:#?}");
    assert_eq!(receiver.events(), ["live", "event-3", "event-4", "event-5"]);
    let root = receiver.traces()[0].root().clone();
    assert_eq!(root.attribute("charm_tracing.evicted_events"), Some("3"));
    assert_eq!(root.attribute("charm_tracing.buffered_events"), Some("3"));
    unit.handle("next");
    let root = receiver.traces().last().unwrap().root().clone();
    assert_eq!(root.attribute("charm_tracing.evicted_events"), None, "told once");
    assert_eq!(root.attribute("charm_tracing.buffered_events"), None);
    live.note("6 executions, room for 3", 3 * SPANS, receiver.spans_sent_twice());
}

#[test]
fn a_python_charms_buffer_is_delivered_too() {
    let (unit, receiver) = world();
    // What a Python charm would have written: requests as they are, and words between them.
    let python = Receiver::start();
    let mut other = Unit::new(test_charm!());
    other.send_to(&python.endpoint());
    other.handle("python-0");
    other.handle("python-1");
    let requests: Vec<Vec<u8>> = python
        .requests()
        .iter()
        .map(|received| received.request.as_ref().map_or(Vec::new(), Message::encode_to_vec))
        .collect();
    let file = requests.join(&b"__CHARM_TRACING_BUFFER_SPAN_SEP__"[..]);
    std::fs::write(unit.buffer(), file).unwrap();
    unit.handle("live");
    assert_eq!(receiver.events(), ["live", "python-0", "python-1"]);
    unit.handle("next");
    assert_eq!(receiver.traces().len(), 4);
    assert_eq!(receiver.spans_sent_twice(), 0);
}

#[test]
fn a_backend_too_slow_for_two_requests_gets_everything_in_one() {
    let (unit, receiver) = world();
    let waiting = events(5);
    unit.buffer_events(&waiting);
    receiver.answer_always(Answer::given(Manner::After(DEADLINE * 6 / 10)));
    let mut rounds = 0;
    while unit.waiting() > 0 {
        let handled = unit.handle(&format!("round-{rounds}"));
        handled.assert_held_at_most(1.1);
        handled.note("backend that takes 0.6 deadlines to answer", 0, receiver.spans_sent_twice());
        unit.let_back_off_pass();
        rounds += 1;
        assert!(rounds < 4, "the backlog never leaves");
    }
    assert_eq!(receiver.spans_sent_twice(), 0, "no request is begun that would not end in time");
    assert_eq!(receiver.traces().len(), 5 + rounds);
    receiver.recover();
    unit.handle("last");
    assert_eq!(receiver.traces().len(), 6 + rounds);
    assert_eq!(receiver.requests().len(), 1 + rounds, "one a round, and one for the last");
}

/// Starts an execution that will not have ended when this returns.
fn start(charm: &CharmDir, event: &str, endpoint: &str) -> Child {
    let run = charm.dispatch(&format!("hooks/{event}"));
    let run = run.variable("TEST_CHARM_ENDPOINT", endpoint);
    let mut command = run.variable("OTEL_EXPORTER_OTLP_TIMEOUT", "20000").command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn two_executions_at_once_send_each_trace_once() {
    let (unit, receiver) = world();
    let waiting = events(10);
    unit.buffer_events(&waiting);
    // The first drains, and its request is held; the second comes meanwhile, and goes.
    receiver.answer_next([Answer::status(200), Answer::given(Manner::Held)]);
    let mut first = start(&unit.charm, "first", &receiver.endpoint());
    receiver.wait_for_requests(2);
    let second = unit.handle("second");
    second.assert_held_at_most(1.1);
    receiver.release();
    assert!(first.wait().unwrap().success());
    assert_eq!(receiver.spans_sent_twice(), 0);
    unit.handle("third");
    let mut came = receiver.events();
    came.sort();
    let mut all: Vec<&str> = after("first", &waiting);
    all.extend(["second", "third"]);
    all.sort_unstable();
    assert_eq!(came, all);
    second.note("two executions at once", 0, receiver.spans_sent_twice());
}

#[test]
fn an_execution_that_is_killed_while_it_drains_keeps_no_other_from_it() {
    let (mut unit, receiver) = world();
    let waiting = events(10);
    unit.buffer_events(&waiting);
    receiver.answer_next([Answer::status(200), Answer::given(Manner::Never)]);
    let mut first = start(&unit.charm, "first", &receiver.endpoint());
    receiver.wait_for_requests(2);
    first.kill().unwrap();
    first.wait().unwrap();
    unit.set("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
    let mut rounds = 0;
    while unit.waiting() > 0 {
        unit.handle(&format!("round-{rounds}"));
        rounds += 1;
    }
    let mut came = receiver.events();
    came.retain(|event| event.starts_with("event"));
    assert_eq!(came, waiting);
}

#[test]
fn many_executions_at_once_lose_nothing_and_send_nothing_twice() {
    let (unit, receiver) = world();
    unit.buffer_events(events(5));
    let names: Vec<String> = (0..12).map(|number| format!("at-once-{number}")).collect();
    let children: Vec<_> =
        names.iter().map(|name| start(&unit.charm, name, &receiver.endpoint())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    unit.handle("last");
    assert_eq!((receiver.traces().len(), unit.waiting()), (5 + 12 + 1, 0));
    assert_eq!(receiver.spans_sent_twice(), 0);
}

#[test]
fn a_stored_request_is_the_one_that_would_have_been_sent() {
    let (unit, receiver) = world();
    unit.buffer_events(["waits"]);
    unit.handle("live");
    let of = |request: &ExportTraceServiceRequest| {
        let resource = request.resource_spans.first().and_then(|spans| spans.resource.clone());
        let mut keys: Vec<String> =
            resource.into_iter().flat_map(|r| r.attributes).map(|kv| format!("{kv:?}")).collect();
        keys.sort();
        keys
    };
    let resources: Vec<_> = receiver
        .requests()
        .iter()
        .filter_map(|received| received.request.as_ref().map(of))
        .collect();
    assert_eq!(resources.len(), 2);
    assert_eq!(resources[0], resources[1]);
}
