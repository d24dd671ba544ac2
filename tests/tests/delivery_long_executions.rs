//! Long executions: what is finished leaves for the disk as they go, so that an end by force loses
//! little; at their own end everything leaves together.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use charm_tracing_tests::{Answer, Receiver, Trace, Unit, test_charm};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// So long do finished spans wait.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// An execution that does what it is told, when it is told to.
struct Told {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Told {
    /// Gives it more work than it is let do, and returns after it has said so many lines: how many
    /// spans were finished by then.
    fn work_for(&mut self, lines: usize) -> usize {
        for _ in 0..200 {
            writeln!(self.orders, "spans 100").unwrap();
        }
        let said = (0..lines).map(|_| self.line()).next_back().unwrap();
        said.split(' ').next().unwrap().parse().unwrap()
    }

    fn start(unit: &Unit) -> Self {
        Self::start_by(unit.dispatch("told").command(), "test-charm handles told\n")
    }

    /// The same, but it is told so while it is being built.
    fn start_in_constructor(unit: &Unit) -> Self {
        let run = unit.dispatch("told").variable("TEST_CHARM_CONSTRUCTOR", "told");
        Self::start_by(run.command(), "test-charm is being built\n")
    }

    /// Starts it by a shell that ignores SIGTERM, and so does it then.
    fn start_without_sigterm(unit: &Unit) -> Self {
        let run = unit.dispatch("told").command();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; exec \"$0\""]).arg(run.get_program());
        let set = run.get_envs().filter_map(|(key, value)| Some((key, value?)));
        command.env_clear().envs(set).current_dir(unit.charm.path());
        Self::start_by(command, "test-charm handles told\n")
    }

    fn start_by(mut command: Command, first_line: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut told = Self { child, orders, said: BufReader::new(said) };
        assert_eq!(told.line(), first_line);
        told
    }

    /// Gives an order and waits until it is carried out.
    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        let said = self.line();
        assert!(said.ends_with("spans are finished\n"), "{said}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// Sends a signal and waits for the end; what the charm said on stderr.
    fn end_by(mut self, signal: i32) -> String {
        kill(&self.child, signal);
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal), "it died of the signal, as ever: {status}");
        std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap()
    }

    /// Lets it come to its own end.
    fn end(self) {
        drop(self.orders);
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

fn kill(child: &Child, signal: i32) {
    let id = child.id().to_string();
    let killed = Command::new("kill").arg(format!("-{signal}")).arg(id).status();
    assert!(killed.unwrap().success());
}

fn world() -> (Unit, Receiver) {
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    unit.send_to(&receiver.endpoint());
    (unit, receiver)
}

/// The trace of the execution that was told what to do, once another has delivered it.
fn delivered(unit: &Unit, receiver: &Receiver) -> Option<Trace> {
    unit.handle("next");
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    receiver.traces().into_iter().find(|trace| counted(trace) > 0)
}

/// How many of the spans that were ordered are there.
fn counted(trace: &Trace) -> usize {
    trace.spans.iter().filter(|span| span.name == "method call: Store::count").count()
}

#[test]
fn spans_leave_for_the_disk_when_there_are_512_of_them() {
    let (unit, receiver) = world();
    let began = Instant::now();
    let mut told = Told::start(&unit);
    // The constructor's span is finished too.
    told.tell("spans 510");
    let waited = unit.buffer().exists();
    told.tell("spans 1");
    assert_eq!(unit.waiting(), 1);
    told.tell("spans 511");
    told.end_by(SIGKILL);
    let is_slow = began.elapsed() >= LONG_WAIT;
    let trace = delivered(&unit, &receiver).unwrap();
    // On a machine that needs a second for this, they leave for that too.
    assert!(is_slow || (waited, counted(&trace)) == (false, 511), "{waited}, {}", counted(&trace));
}

#[test]
fn spans_leave_for_the_disk_when_a_second_has_passed_and_nothing_happens() {
    for start in [Told::start, Told::start_without_sigterm, Told::start_in_constructor] {
        let (unit, receiver) = world();
        let mut told = start(&unit);
        for spans in 1..=2 {
            let began = Instant::now();
            told.tell(&format!("spans {spans}"));
            // The charm does nothing but wait for its next order.
            while unit.waiting_records() < spans {
                assert!(began.elapsed() < 20 * LONG_WAIT, "{spans} spans do not leave");
                thread::sleep(Duration::from_millis(10));
            }
        }
        told.end_by(SIGKILL);
        assert_eq!(counted(&delivered(&unit, &receiver).unwrap()), 3);
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
    kill(&told.child, SIGTERM);
    told.tell("spans 3");
    told.end();
    assert_eq!(counted(&receiver.trace()), 5);
}

#[test]
fn a_signal_while_a_trace_is_delivered_waits_for_that() {
    let (unit, receiver) = world();
    receiver.answer_next([Answer::given(charm_tracing_tests::Manner::Held)]);
    let told = Told::start(&unit);
    drop(told.orders);
    receiver.wait_for_requests(1);
    kill(&told.child, SIGTERM);
    receiver.release();
    let status = told.child.wait_with_output().unwrap().status;
    assert!(status.success() || status.signal() == Some(SIGTERM), "{status}");
    unit.handle("next");
    assert_eq!(receiver.spans_sent_twice(), 0);
    assert_eq!(receiver.events(), ["told", "next"]);
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
        let (unit, receiver) = world();
        receiver.answer_next(answers.iter().copied().map(Answer::status));
        let mut told = Told::start(&unit);
        told.tell("spans 1500");
        told.end();
        assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
        let arrived = receiver.traces().iter().map(counted).sum::<usize>();
        assert_eq!(arrived, rest, "{answers:?}");
        let log = unit.charm.juju_log();
        assert!(log.len() == 1 && log[0].contains("refused 1 record for good"), "{log:#?}");
    }
}

#[test]
fn a_long_execution_sends_its_root_before_what_was_flushed() {
    let (unit, receiver) = world();
    // What is not flushed is taken, and nothing else: a backend that takes so much of a trace.
    receiver.answer_next([400, 200, 503].map(Answer::status));
    let mut told = Told::start(&unit);
    told.tell("spans 1500");
    told.end();
    let trace = receiver.trace();
    assert_eq!(trace.root().name, "hello/0: told event");
    assert_eq!((counted(&trace), unit.waiting()), (1500 - 1023, 1));
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
    let (unit, receiver) = world();
    let mut told = Told::start(&unit);
    told.tell("spans 600");
    // In its place, a directory: no push can work from now on.
    fs::remove_file(unit.buffer()).unwrap();
    fs::create_dir(unit.buffer()).unwrap();
    told.tell("spans 2000");
    told.end();
    let trace = receiver.trace();
    // What was in the file is gone with it; all else came.
    assert!(counted(&trace) >= 2600 - 511, "{}", counted(&trace));
    assert_eq!(receiver.spans_sent_twice(), 0);
    assert_eq!(unit.charm.juju_log().len(), 1, "{:?}", unit.charm.juju_log());
}
