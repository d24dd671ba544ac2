//! One deadline over everything that tracing does at the end of an execution, measured from
//! outside: whatever hangs, the hook goes on, and the trace waits.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use charm_tracing_tests::{
    Answer, Authority, DEADLINE, Down, Finished, Handled, Manner, Receiver, Unit, test_charm,
};

const PAUSE: Duration = Duration::from_millis(100);

fn unit_for(endpoint: &str) -> Unit {
    let mut unit = Unit::new(test_charm!());
    unit.send_to(endpoint);
    unit
}

/// Has events handled while a backend hangs: the first is held for a deadline, the next, which
/// backs off, is not. When there is a healthy backend, both come, once.
fn costs_one_deadline(situation: &str, unit: &mut Unit, endpoint: &str) -> Handled {
    unit.send_to(endpoint);
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    assert!(first.held > 0.5, "it did not hang: {first:#?}");
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    let second = unit.handle("second");
    second.assert_held_at_most(0.5);
    assert_eq!((second.warnings.len(), unit.waiting()), (0, 2));
    let healthy = Receiver::start();
    unit.send_to(&healthy.endpoint());
    unit.handle("third");
    assert_eq!(healthy.events(), ["third", "first", "second"]);
    first.note(situation, 0, healthy.spans_sent_twice());
    first
}

fn costs_one_deadline_in_manner(situation: &str, manner: Manner) {
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    receiver.answer_always(Answer::given(manner));
    costs_one_deadline(situation, &mut unit, &receiver.endpoint());
    assert_eq!(receiver.requests().len(), 1, "one request, and then none while backing off");
}

#[test]
fn a_backend_that_accepts_and_never_reads_costs_one_deadline() {
    let (mut unit, deaf) = (Unit::new(test_charm!()), Down::reserve().deaf());
    costs_one_deadline("accepted, never read", &mut unit, &deaf.endpoint());
}

#[test]
fn a_backend_that_reads_and_never_answers_costs_one_deadline() {
    costs_one_deadline_in_manner("read, never answered", Manner::Never);
}

#[test]
fn a_backend_that_drops_connection_requests_costs_one_deadline() {
    let (mut unit, full) = (Unit::new(test_charm!()), Down::reserve().full());
    assert!(full.backlog() > 0, "a listener of its own");
    costs_one_deadline("SYN dropped (full backlog)", &mut unit, &full.endpoint());
}

#[test]
fn an_answer_that_trickles_costs_one_deadline() {
    costs_one_deadline_in_manner("answer, one byte at a time", Manner::ByteByByte(PAUSE));
}

#[test]
fn headers_without_end_cost_one_deadline_at_most() {
    let (unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    let mut unit = unit;
    unit.send_to(&receiver.endpoint());
    receiver.answer_next([Answer::given(Manner::EndlessHead)]);
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    unit.let_back_off_pass();
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
    first.note("headers without end", 0, receiver.spans_sent_twice());
}

#[test]
fn a_handshake_that_hangs_costs_one_deadline() {
    let (mut unit, deaf) = (Unit::new(test_charm!()), Down::reserve().deaf());
    let certificate = unit.charm.path().join("ca.pem");
    fs::write(&certificate, Authority::new("ca").pem()).unwrap();
    unit.set("TEST_CHARM_CERTIFICATE", certificate.to_str().unwrap());
    let endpoint = deaf.endpoint().replace("http", "https");
    costs_one_deadline("TLS handshake that hangs", &mut unit, &endpoint);
}

#[test]
fn a_body_that_trickles_behind_success_takes_nothing_and_backs_off() {
    let receiver = Receiver::start();
    let unit = unit_for(&receiver.endpoint());
    receiver.answer_always(Answer::given(Manner::BodyByteByByte(PAUSE)));
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    let second = unit.handle("second");
    second.assert_held_at_most(0.5);
    receiver.recover();
    unit.let_back_off_pass();
    unit.handle("third");
    assert_eq!(receiver.events(), ["first", "third", "second"]);
    first.note("200, body one byte at a time", 0, receiver.spans_sent_twice());
}

#[test]
fn a_request_that_is_read_slowly_costs_one_deadline() {
    let deaf = Down::reserve().deaf();
    let mut unit = unit_for(&deaf.endpoint());
    // More than the kernel takes for a peer that does not read.
    unit.set("TEST_CHARM_BYTES", "3000000");
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "0");
    let handled = unit.handle("bulky");
    handled.assert_held_at_most(1.1);
    // The whole trace: the usual five spans, the handler's own, and one for each part.
    handled.note(
        "request that is not read (no buffer)",
        5 + 1 + 3_000_000_usize.div_ceil(16 * 1024),
        0,
    );
}

#[test]
fn draining_ends_with_the_deadline_and_goes_on_the_next_time() {
    let receiver = Receiver::start();
    let mut unit = unit_for(&receiver.endpoint());
    unit.set("TEST_CHARM_BYTES", "1500000");
    // Longer than elsewhere: a busy machine must not be what a request has no time for.
    let deadlines = 3;
    unit.set("OTEL_EXPORTER_OTLP_TIMEOUT", &(deadlines * DEADLINE).as_millis().to_string());
    unit.buffer_events((0..4).map(|number| format!("bulky-{number}")));
    assert_eq!(unit.waiting(), 4);
    // Two of the backlog fit into a request; each answer takes a third of the time.
    let pause = deadlines * PAUSE / 20;
    let slow = || Answer::status(200).text("0123").in_manner(Manner::ByteByByte(pause));
    receiver.answer_always(slow());
    let first = unit.handle("first");
    let bound = 1.1 * f64::from(deadlines);
    first.assert_held_at_most(bound);
    let mut rounds = 1;
    while unit.waiting() > 0 {
        unit.let_back_off_pass();
        unit.handle(&format!("round-{rounds}")).assert_held_at_most(bound);
        rounds += 1;
        assert!(rounds < 10, "it goes on");
    }
    let mut bulky: Vec<String> = receiver.events();
    bulky.retain(|event| event.starts_with("bulky"));
    assert_eq!(bulky, ["bulky-0", "bulky-1", "bulky-2", "bulky-3"]);
    first.note("backlog at a slow backend", 0, receiver.spans_sent_twice());
}

#[test]
fn a_log_that_hangs_costs_one_deadline_at_most_whatever_else_hangs() {
    let (down, deaf) = (Down::reserve(), Down::reserve().deaf());
    let backends = [("juju-log hangs", down.endpoint()), ("both hang", deaf.endpoint())];
    for (situation, endpoint) in backends {
        let mut unit = unit_for(&endpoint);
        let fifo = put_hanging_log_before_the_others(&mut unit);
        let handled = unit.handle("first");
        handled.assert_held_at_most(1.1);
        assert!(handled.held > 0.5, "it did not hang: {handled:#?}");
        assert_eq!(unit.waiting(), 1);
        handled.note(situation, 0, 0);
        // Lets the tool go.
        fs::OpenOptions::new().write(true).read(true).open(fifo).unwrap();
    }
}

/// Gives the unit a `juju-log` that waits for somebody to write into a pipe; the pipe.
fn put_hanging_log_before_the_others(unit: &mut Unit) -> PathBuf {
    let (tools, fifo) = (unit.charm.state().join("hanging"), unit.charm.state().join("fifo"));
    let tool = tools.join("juju-log");
    let script = format!("#!/bin/sh\nmkfifo {0} 2>/dev/null\nread line < {0}\n", fifo.display());
    fs::create_dir(&tools).unwrap();
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    unit.set("PATH", &format!("{}:{path}", tools.display()));
    fifo
}

/// A name service that takes every question and answers none, for one process: glibc asks a socket
/// under `/run` before anything else, and a mount namespace can have a `/run` of its own.
#[test]
fn a_name_that_is_never_resolved_costs_one_deadline() {
    let unit = unit_for("http://tempo.example:4318");
    let service = unit.charm.state().join("nscd");
    fs::create_dir(&service).unwrap();
    let listener = UnixListener::bind(service.join("socket")).unwrap();
    let (asked, questions) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = asked.clone();
            thread::spawn(move || {
                let _ = asked.send(());
                // Until the charm goes away.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    let in_namespace = |enabled: &str| {
        let charm = unit.dispatch("first").variable("CHARM_TRACING_ENABLED", enabled).command();
        let mut command = Command::new("unshare");
        let script = r#"mount -t tmpfs none /run && mkdir /run/nscd &&
            mount --bind "$1" /run/nscd && shift && exec "$@""#;
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(&service).arg(charm.get_program());
        command.env_clear().current_dir(unit.charm.path());
        let set = charm.get_envs().filter_map(|(key, value)| Some((key, value?)));
        Finished::of(command.envs(set))
    };
    let untraced = in_namespace("0");
    if untraced.code != Some(0) {
        skip("mount namespaces are not to be had");
        return;
    }
    let traced = in_namespace("1");
    if questions.try_recv().is_err() {
        skip("the C library asks no name service cache");
        return;
    }
    let said =
        |finished: &Finished| (finished.code, finished.stdout.clone(), finished.stderr.clone());
    assert_eq!(said(&traced), said(&untraced));
    let held = traced.held_beyond(&untraced).as_secs_f64();
    assert!((0.5..=1.1).contains(&held), "held for {held} deadlines");
    assert_eq!(unit.waiting(), 1);
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
