//! `buffer_max_size_mib`: the file never passes it, the oldest executions go for newer ones, and
//! what went is counted where an operator sees it.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;

use charm_tracing_tests::{Receiver, Unit, test_charm};

const MIB: u64 = 1 << 20;

/// More than any cap here, at about 1.2 MiB an execution when it is compressed.
const EXECUTIONS: u64 = 13;

/// A unit without a backend that has handled so much that its buffer, of so many MiB, has
/// overflown.
fn overflown(mib: u64) -> Unit {
    let mut unit = Unit::new(test_charm!());
    unit.set("TEST_CHARM_BUFFER_MAX_SIZE_MIB", &mib.to_string());
    unit.set("TEST_CHARM_BYTES", "1500000");
    for number in 0..EXECUTIONS {
        unit.buffer_events([format!("bulky-{number}")]);
        let size = fs::metadata(unit.buffer()).unwrap().len();
        assert!(size <= mib * MIB, "{size} bytes after {number}");
    }
    assert!((1..EXECUTIONS).contains(&unit.waiting()), "{} wait", unit.waiting());
    unit
}

#[test]
fn the_oldest_executions_go_and_the_root_says_how_many() {
    let receiver = Receiver::start();
    let mut unit = overflown(10);
    let (waiting, said) = (unit.waiting(), unit.charm.juju_log());
    let full = said.iter().filter(|line| line.contains("the buffer is full")).count();
    assert_eq!(full, 1, "{said:#?}");
    unit.send_to(&receiver.endpoint());
    unit.handle("live");
    let root = receiver.traces()[0].root().clone();
    let gone = (EXECUTIONS - waiting).to_string();
    assert_eq!(root.name, "hello/0: live event");
    assert_eq!(root.attribute("charm_tracing.evicted_events"), Some(gone.as_str()));
    assert_eq!(root.attribute("charm_tracing.buffered_events"), Some(waiting.to_string().as_str()));
    drain(&unit);
    let mut came = receiver.events();
    came.retain(|event| event.starts_with("bulky"));
    let newest: Vec<String> =
        (EXECUTIONS - waiting..EXECUTIONS).map(|number| format!("bulky-{number}")).collect();
    assert_eq!(came, newest);
}

/// Has events handled until nothing waits: however many deadlines the backlog takes.
fn drain(unit: &Unit) {
    let mut rounds = 0;
    while unit.waiting() > 0 {
        unit.let_back_off_pass();
        unit.handle(&format!("round-{rounds}")).assert_held_at_most(1.1);
        rounds += 1;
        assert!(rounds < 10, "it goes on");
    }
}

#[test]
fn a_larger_cap_keeps_more() {
    let (small, large) = (overflown(10).waiting(), overflown(13).waiting());
    assert!(large > small, "{large} instead of {small}");
}
