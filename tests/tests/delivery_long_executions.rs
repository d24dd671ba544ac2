//! Long executions: what is finished leaves for the disk as they go, so that an end by force loses
//! little; at their own end everything leaves together.

use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use charm_tracing_tests::told::{self, SIGKILL, Told, counted, delivered};
use charm_tracing_tests::{Answer, Receiver, Unit, decode, test_charm};

/// So long do finished spans wait.
const LONG_WAIT: Duration = Duration::from_secs(1);

fn world() -> (Unit, Receiver) {
    told::world(test_charm!())
}

/// What comes of it where nothing leaves because a second has passed: on a machine that is too busy
/// for that, it is tried again.
#[expect(clippy::panic, reason = "a test cannot go on without its time")]
fn within_a_second<R>(attempt: impl Fn() -> R) -> R {
    for _ in 0..50 {
        let began = Instant::now();
        let result = attempt();
        if began.elapsed() < LONG_WAIT {
            return result;
        }
    }
    panic!("this machine is too busy");
}

#[test]
fn spans_leave_for_the_disk_when_there_are_512_of_them() {
    let (before, after, killed) = within_a_second(|| {
        let (unit, receiver) = world();
        let mut told = Told::start(&unit);
        // The constructor's span is finished too.
        told.tell("spans 510");
        let before = unit.buffer().exists();
        told.tell("spans 1");
        let after = unit.waiting();
        told.tell("spans 511");
        told.end_by(SIGKILL);
        (before, after, (unit, receiver))
    });
    assert_eq!((before, after), (false, 1));
    let (unit, receiver) = killed;
    assert_eq!(counted(&delivered(&unit, &receiver).unwrap()), 511);
}

#[test]
fn spans_leave_for_the_disk_when_a_second_has_passed_and_nothing_happens() {
    for start in [Told::start, Told::start_without_sigterm, Told::start_in_constructor] {
        let (unit, receiver) = world();
        let mut told = start(&unit);
        for record in 1..=2 {
            let began = Instant::now();
            told.tell("spans 1");
            // The charm does nothing but wait for its next order.
            while unit.waiting_records() < record {
                assert!(began.elapsed() < 20 * LONG_WAIT, "span {record} does not leave");
                thread::sleep(Duration::from_millis(10));
            }
        }
        told.end_by(SIGKILL);
        assert_eq!(counted(&delivered(&unit, &receiver).unwrap()), 2);
    }
}

#[test]
fn a_kill_at_any_moment_loses_the_last_511_spans_at_most() {
    let (unit, receiver) = world();
    // Whatever moment it is: before the first spans leave, right after, in the middle, much later.
    for (round, count) in [0, 1, 510, 511, 512, 513, 1100, 5000].into_iter().enumerate() {
        let mut told = Told::start(&unit);
        told.tell(&format!("spans {count}"));
        told.end_by(SIGKILL);
        unit.handle(&format!("after-{round}"));
        assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
        let traces = receiver.traces();
        let killed = traces.last().filter(|trace| counted(trace) > 0);
        let arrived = killed.map_or(0, counted);
        assert!(arrived <= count && arrived + 511 >= count, "{arrived} of {count}");
    }
}

#[test]
fn a_kill_in_the_midst_of_work_loses_the_last_511_spans_at_most() {
    for lines in [1, 7, 20] {
        let (unit, receiver) = world();
        let mut told = Told::start(&unit);
        let finished = told.work_for(lines);
        told.end_by(SIGKILL);
        let arrived = delivered(&unit, &receiver).as_ref().map_or(0, counted);
        assert!(arrived + 511 >= finished, "{arrived} of at least {finished}");
        let events = receiver.traces().into_iter().filter(|trace| trace.has("event: next"));
        assert_eq!(events.count(), 1);
    }
}

#[test]
fn at_its_end_an_execution_leaves_as_a_whole() {
    let (unit, receiver) = world();
    let mut told = Told::start(&unit);
    told.tell("spans 2000");
    assert_eq!(unit.waiting(), 1, "all under one event");
    told.end();
    let trace = receiver.trace();
    trace.assert_times_nest();
    assert_eq!((counted(&trace), trace.spans.len()), (2000, 2006));
    assert_eq!(receiver.requests().len(), 1, "put end to end they are one valid request");
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    assert!(unit.charm.juju_log().is_empty(), "{:?}", unit.charm.juju_log());
    let buffered = trace.root().attribute("charm_tracing.buffered_events");
    assert_eq!(buffered, None, "its own spans are no backlog");
}

#[test]
fn a_long_execution_takes_the_backlog_along_and_does_not_count_itself() {
    let (unit, receiver) = world();
    unit.buffer_events(["first", "second"]);
    let mut told = Told::start(&unit);
    told.tell("spans 600");
    assert_eq!(unit.waiting(), 3);
    told.end();
    let log = unit.charm.juju_log();
    assert!(log[1].contains("2 executions that waited were delivered"), "{log:#?}");
    let trace = receiver.traces().into_iter().find(|trace| trace.has("event: told")).unwrap();
    assert_eq!(trace.root().attribute("charm_tracing.buffered_events"), Some("2"));
    assert_eq!((receiver.traces().len(), unit.waiting()), (3, 0));
    assert_eq!(receiver.requests().len(), 1, "what is older does not leave as a part of it");
}

#[test]
fn a_long_execution_does_not_count_itself_where_the_backlog_is_damaged_either() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BYTES", "6000");
    unit.buffer_events(["first", "second", "third"]);
    unit.unset("TEST_CHARM_BYTES");
    // In the middle of the middle one of three records, which are about as long as each other.
    let file = fs::OpenOptions::new().write(true).open(unit.buffer()).unwrap();
    let used = fs::read(unit.buffer()).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    file.write_all_at(&[0xff; 32], (8192 + (used - 8192) / 2) as u64).unwrap();
    let mut told = Told::start(&unit);
    told.tell("spans 600");
    told.end();
    let log = unit.charm.juju_log();
    assert!(log[1].contains("the buffer was damaged: 1 record is lost"), "{log:#?}");
    assert!(log[1].contains("2 executions that waited were delivered"), "{log:#?}");
    assert_eq!((receiver.traces().len(), unit.waiting()), (3, 0));
}

#[test]
fn long_executions_at_once_come_whole_and_once() {
    for round in 0..4 {
        let (unit, receiver) = world();
        let mut all: Vec<Told> = (0..4).map(|_| Told::start(&unit)).collect();
        for _ in 0..3 {
            for told in &mut all {
                told.tell("spans 600");
            }
        }
        thread::scope(|scope| {
            for told in all {
                scope.spawn(|| told.end());
            }
        });
        unit.handle("next");
        assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0), "round {round}");
        let mut counts: Vec<usize> = receiver.traces().iter().map(counted).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 1800, 1800, 1800, 1800], "round {round}");
    }
}

#[test]
fn long_executions_without_a_backend_wait_as_one_event_each() {
    let (mut unit, receiver) = world();
    unit.unset("TEST_CHARM_ENDPOINT");
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "2");
    for count in [600, 1200, 2400] {
        let mut told = Told::start(&unit);
        told.tell(&format!("spans {count}"));
        told.end();
    }
    assert_eq!(unit.waiting(), 2);
    unit.send_to(&receiver.endpoint());
    unit.handle("next");
    let counts: Vec<usize> = receiver.traces().iter().map(counted).collect();
    assert_eq!(counts, [0, 1200, 2400], "the live one, and the two youngest");
    assert_eq!(receiver.spans_sent_twice(), 0);
}

#[test]
fn a_long_execution_whose_backend_fails_waits_and_comes_once() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::status(503)]);
    let mut told = Told::start(&unit);
    told.tell("spans 1500");
    told.end();
    assert_eq!((unit.waiting(), unit.charm.juju_log().len()), (1, 1));
    unit.let_back_off_pass();
    let trace = delivered(&unit, &receiver).unwrap();
    assert_eq!((counted(&trace), trace.spans.len()), (1500, 1506));
}

#[test]
fn a_long_execution_that_is_taken_in_part_keeps_the_rest_and_comes_once() {
    // Refused as a whole it goes in halves: one that begins with what was not flushed, and one of
    // what was. The second finds the backend gone.
    for flushed_first in [1500, 600] {
        let (unit, receiver) = world();
        receiver.answer_next([400, 200, 503].map(Answer::status));
        let mut told = Told::start(&unit);
        told.tell(&format!("spans {flushed_first}"));
        told.end();
        assert_eq!(unit.waiting(), 1);
        let half = receiver.traces().iter().map(counted).sum::<usize>();
        assert!((1..flushed_first).contains(&half), "{half}");
        unit.let_back_off_pass();
        let trace = delivered(&unit, &receiver).unwrap();
        assert_eq!((counted(&trace), trace.spans.len()), (flushed_first, flushed_first + 6));
    }
}

#[test]
fn a_refused_part_of_a_long_execution_does_not_take_the_rest_with_it() {
    // The whole is refused, then of it what was not flushed, or of what was flushed the first part,
    // in which the constructor's span is one of 512.
    let the_root = ([400, 400].as_slice(), 1023);
    let the_first = ([400, 200, 400, 400].as_slice(), 1500 - 511);
    for (answers, rest) in [the_root, the_first] {
        let (unit, receiver) = within_a_second(|| {
            let (unit, receiver) = world();
            receiver.answer_next(answers.iter().copied().map(Answer::status));
            let mut told = Told::start(&unit);
            told.tell("spans 1500");
            told.end();
            (unit, receiver)
        });
        assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
        let arrived = receiver.traces().iter().map(counted).sum::<usize>();
        assert_eq!(arrived, rest, "{answers:?}");
        let log = unit.charm.juju_log();
        assert!(log.len() == 1 && log[0].contains("refused 1 record for good"), "{log:#?}");
    }
}

#[test]
fn a_long_execution_sends_its_root_before_what_was_flushed() {
    let (unit, receiver) = within_a_second(|| {
        let (unit, receiver) = world();
        // What is not flushed is taken, and nothing else: a backend that takes so much of a trace.
        receiver.answer_next([400, 200, 503].map(Answer::status));
        let mut told = Told::start(&unit);
        told.tell("spans 1500");
        told.end();
        (unit, receiver)
    });
    let trace = receiver.trace();
    assert_eq!(trace.root().name, "hello/0: told event");
    assert_eq!((counted(&trace), unit.waiting()), (1500 - 1023, 1));
}

#[test]
fn an_execution_too_long_to_be_read_at_once_sends_its_root_first_too() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BUFFER_MAX_SIZE_MIB", "64");
    // Spans of 16 KiB: what is flushed at a time is more than is read at a time.
    unit.set("TEST_CHARM_BYTES", "18000000");
    // What waits, and is said to, makes room for it.
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "1");
    unit.buffer_events(["first"]);
    unit.handle("bulky");
    let requests = receiver.requests();
    assert!(requests.len() > 2, "{} requests", requests.len());
    let first = decode(requests[0].request.as_ref());
    assert!(first[0].has("hello/0: bulky event"), "{}", first[0]);
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    let log = unit.charm.juju_log();
    assert!(log.iter().all(|line| !line.contains("delivered")), "it has not waited: {log:#?}");
}

#[test]
fn a_long_execution_without_a_buffer_leaves_at_its_end() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "0");
    let mut told = Told::start(&unit);
    told.tell("spans 2000");
    told.end();
    assert_eq!(receiver.trace().spans.len(), 2006);
    assert!(!unit.buffer().exists());
}

#[test]
fn a_buffer_that_fails_in_a_long_execution_loses_nothing() {
    let (unit, receiver) = within_a_second(|| {
        let (unit, receiver) = world();
        let mut told = Told::start(&unit);
        told.tell("spans 600");
        // In its place, a directory: no push can work from now on.
        fs::remove_file(unit.buffer()).unwrap();
        fs::create_dir(unit.buffer()).unwrap();
        told.tell("spans 2000");
        told.end();
        (unit, receiver)
    });
    let trace = receiver.trace();
    // What was in the file is gone with it; all else came.
    assert!(counted(&trace) >= 2600 - 511, "{}", counted(&trace));
    assert_eq!(receiver.spans_sent_twice(), 0);
    assert_eq!(unit.charm.juju_log().len(), 1, "{:?}", unit.charm.juju_log());
}
