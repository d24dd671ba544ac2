//! How often an execution waits for the disk: once, at its end, and not at all where the backend
//! took it and nothing else waited.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use charm_tracing_tests::{Receiver, Unit, test_charm};

/// Runs the charm for `event`, with these orders on its stdin; how often it waited for the buffer's
/// bytes. `None` where nobody can see that.
fn syncs(unit: &Unit, event: &str, orders: &str) -> Option<usize> {
    let run = unit.dispatch(event).variable("OTEL_EXPORTER_OTLP_TIMEOUT", "20000").command();
    let seen = unit.charm.path().with_file_name("syncs");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=fdatasync", "-o"]).arg(&seen).arg(run.get_program());
    let set = run.get_envs().filter_map(|(key, value)| Some((key, value?)));
    traced.env_clear().envs(set).current_dir(unit.charm.path());
    let started = traced.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut traced = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        started => started.unwrap(),
    };
    traced.stdin.take().unwrap().write_all(orders.as_bytes()).ok()?;
    if !traced.wait().unwrap().success() {
        return None;
    }
    let seen = fs::read_to_string(seen).unwrap();
    Some(seen.lines().filter(|line| line.contains("fdatasync(")).count())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
fn the_disk_is_waited_for_once_an_execution_where_something_waits() {
    const LONG: &str = "spans 600\nspans 600\nspans 600\n";
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    if syncs(&unit, "first", "").is_none() {
        return eprintln!("SKIPPED: there is no strace, or it may not trace");
    }
    assert_eq!(syncs(&unit, "waits", ""), Some(1));
    assert_eq!(syncs(&unit, "told", LONG), Some(1));
    assert_eq!(unit.waiting(), 3);
    unit.send_to(&receiver.endpoint());
    assert_eq!(syncs(&unit, "drains", ""), Some(1));
    assert_eq!(syncs(&unit, "taken", ""), Some(0));
    assert_eq!(syncs(&unit, "told", LONG), Some(0), "it leaves as it came");
    unit.unset("TEST_CHARM_ENDPOINT");
    assert_eq!(syncs(&unit, "waits", ""), Some(1));
    unit.send_to(&receiver.endpoint());
    assert_eq!(syncs(&unit, "told", LONG), Some(1), "what left with it was synced");
    assert_eq!((receiver.traces().len(), unit.waiting()), (8, 0));
}
