//! Events in the trace and in Juju's log: custom ones, ones that are put off, and the lines that
//! `jhack tail -t` reads.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::process::Command;

use charm_tracing_tests::hook_tools::LOG_GATE_VARIABLE;
use charm_tracing_tests::{CharmDir, Receiver};
use regex::Regex;

fn charm() -> CharmDir {
    CharmDir::new(env!("CARGO_BIN_EXE_juju-charm"), env!("CARGO_BIN_EXE_hook-tool"))
}

fn run(charm: &CharmDir, path: &str, receiver: &Receiver) -> String {
    let run = charm.dispatch(path).variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let finished = run.run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    finished.stdout
}

/// What a follower of `juju debug-log` makes of a line, as REFERENCE has the forms.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Root { id: String },
    Juju { event: String },
    Custom(Named),
    Deferring(Named),
    Again(Named),
}

#[derive(Debug, PartialEq, Eq)]
struct Named {
    class: String,
    charm: String,
    event: String,
    number: String,
}

/// The lines that are for `jhack`, and no others; each must be of one of the forms, whole.
fn seen(charm: &CharmDir) -> Vec<Seen> {
    let event = r"<([^ ]+) via ([^ ]+)/on/([a-z0-9_]+)\[([0-9]+)\]>\.";
    let named = |what: &str| Regex::new(&format!("^DEBUG {what} {event}$")).unwrap();
    let root = Regex::new(r"^DEBUG Starting root trace with id='([0-9a-f]{32})'\.$").unwrap();
    let juju = Regex::new(r"^DEBUG Emitting Juju event ([a-z0-9_]+)\.$").unwrap();
    let custom = named("Emitting custom event");
    let (deferring, again) = (named("Deferring"), named("Re-emitting deferred event"));
    let named = |line: &str, form: &Regex| {
        let (_, [class, charm, event, number]) = form.captures(line)?.extract();
        let [class, charm, event, number] = [class, charm, event, number].map(str::to_owned);
        Some(Named { class, charm, event, number })
    };
    let read = |line: String| {
        let first = |form: &Regex| form.captures(&line).map(|found| found[1].to_owned());
        None.or_else(|| first(&root).map(|id| Seen::Root { id }))
            .or_else(|| first(&juju).map(|event| Seen::Juju { event }))
            .or_else(|| named(&line, &custom).map(Seen::Custom))
            .or_else(|| named(&line, &deferring).map(Seen::Deferring))
            .or_else(|| named(&line, &again).map(Seen::Again))
            .unwrap_or_else(|| panic!("of no form: {line}"))
    };
    charm.debug_log().into_iter().map(read).collect()
}

/// Id line and event line, in this order.
fn began(id: &str, event: &str) -> [Seen; 2] {
    [Seen::Root { id: id.to_owned() }, Seen::Juju { event: event.to_owned() }]
}

#[test]
fn the_log_says_the_traces_id_and_then_the_event() {
    for (path, event) in
        [("hooks/config-changed", "config_changed"), ("actions/backup", "backup_action")]
    {
        let (charm, receiver) = (charm(), Receiver::start());
        run(&charm, path, &receiver);
        assert_eq!(seen(&charm), began(&receiver.trace().id, event));
    }
}

#[test]
fn a_custom_event_and_its_deferral_are_in_the_log_in_their_order() {
    let (charm, receiver) = (charm(), Receiver::start());
    run(&charm, "hooks/custom", &receiver);
    let lines = seen(&charm);
    assert_eq!(lines[..2], began(&receiver.trace().id, "custom"));
    let [Seen::Custom(ready), Seen::Custom(changed), Seen::Deferring(deferred)] = &lines[2..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!((ready.class.as_str(), ready.charm.as_str()), ("DatabaseReadyEvent", "JujuCharm"));
    assert_eq!(ready.event, "database_ready");
    assert_eq!(changed, deferred);
    assert_ne!(ready.number, changed.number);
}

#[test]
fn custom_events_are_spans_with_their_attributes() {
    let (charm, receiver) = (charm(), Receiver::start());
    run(&charm, "hooks/custom", &receiver);
    let trace = receiver.trace();
    let span = trace.find("event: endpoints-changed");
    let attribute = |key| span.attribute(key);
    assert_eq!(attribute("event_name"), Some("endpoints-changed"));
    assert_eq!(attribute("event_type"), Some("custom"));
    assert_eq!((attribute("deferred"), attribute("endpoints")), (Some("false"), Some("3")));
    assert_eq!(span.event_names(), ["endpoints-changed", "deferred"]);
    assert_eq!(trace.children(trace.find("event: database-ready")).count(), 1);
}

#[test]
fn an_event_that_was_put_off_is_handled_again_and_linked_to_who_put_it_off() {
    let (charm, receiver) = (charm(), Receiver::start());
    run(&charm, "hooks/defers", &receiver);
    let stdout = run(&charm, "hooks/handles-again", &receiver);
    assert_eq!(stdout, "again: defers\n");
    let [first, second] = &receiver.traces()[..] else { panic!("two traces wanted") };

    let again = second.find("event: defers");
    assert_eq!(again.attribute("deferred"), Some("true"));
    assert_eq!(again.attribute("event_type"), Some("hook"));
    let [(linked_trace, linked_span)] = &again.links[..] else { panic!("one link wanted") };
    assert_eq!(*linked_trace, first.id);
    assert!(first.spans.iter().any(|span| span.id == *linked_span), "{linked_span}");

    let lines = seen(&charm);
    assert_eq!(lines[..2], began(&first.id, "defers"));
    assert_eq!(lines[3..5], began(&second.id, "handles_again"));
    let (Seen::Deferring(deferred), Seen::Again(again)) = (&lines[2], &lines[5]) else {
        panic!("{lines:?}");
    };
    assert_eq!(deferred, again);
    assert_eq!(again.class, "DefersEvent");
}

#[test]
fn an_event_can_be_put_off_where_nothing_is_traced() {
    let charm = charm();
    let off = |path: &str| charm.dispatch(path).variable("CHARM_TRACING_ENABLED", "0").run();
    assert_eq!(off("hooks/defers").code, Some(0));
    let finished = off("hooks/handles-again");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "again: defers\n"));
    assert_eq!(charm.debug_log(), [""; 0]);
}

#[test]
fn outside_a_hook_nothing_is_said_to_juju() {
    let (charm, receiver) = (charm(), Receiver::start());
    let run = charm.dispatch("hooks/custom").without("JUJU_CONTEXT_ID");
    let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    assert_eq!(run.run().code, Some(0));
    assert!(receiver.trace().has("event: database-ready"));
    assert_eq!(charm.debug_log(), [""; 0]);
}

/// Linux's, for a pipe that is opened without waiting for its other end.
const O_NONBLOCK: i32 = 0o4000;

/// A pipe that nobody writes to: whoever reads it waits.
fn gate(charm: &CharmDir) -> String {
    let gate = charm.path().join("gate").display().to_string();
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    gate
}

#[test]
fn the_log_does_not_hold_the_hook_up_and_keeps_its_order() {
    let (charm, receiver) = (charm(), Receiver::start());
    let run = charm.dispatch("hooks/opens-the-gate").variable(LOG_GATE_VARIABLE, &gate(&charm));
    let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    // Only the handler lets the log go on: if it were waited for, this would never end.
    let finished = run.run();
    assert_eq!(finished.stdout, "the handler runs\n");
    assert_eq!(seen(&charm), began(&receiver.trace().id, "opens_the_gate"));
}

#[test]
fn a_log_that_hangs_costs_one_deadline_and_leaves_no_process() {
    let (charm, receiver) = (charm(), Receiver::start());
    let gate = gate(&charm);
    let run = charm.dispatch("hooks/install").variable(LOG_GATE_VARIABLE, &gate);
    let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let finished = run.run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(receiver.trace().has("event: install"));
    assert_eq!(charm.debug_log(), [""; 0]);
    // A pipe can be opened for writing, without waiting, while somebody waits to read it.
    let opened = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&gate);
    assert!(opened.is_err(), "somebody still waits at the gate");
}

#[test]
fn a_hook_that_is_a_link_to_the_charm_is_that_hooks_event() {
    let (charm, receiver) = (charm(), Receiver::start());
    let hooks = charm.path().join("hooks");
    fs::create_dir(&hooks).unwrap();
    symlink(env!("CARGO_BIN_EXE_juju-charm"), hooks.join("update-status")).unwrap();
    let run = charm.dispatch("").without("JUJU_DISPATCH_PATH").without("JUJU_HOOK");
    let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let mut command = Command::new(hooks.join("update-status"));
    let environment = run.command();
    let environment = environment.get_envs().filter_map(|(key, value)| Some((key, value?)));
    command.env_clear().envs(environment).current_dir(charm.path());
    assert!(command.status().unwrap().success());
    let trace = receiver.trace();
    assert_eq!(trace.root().name, "hello/0: update-status event");
    assert_eq!(trace.root().attribute("juju.dispatch_path"), Some("hooks/update-status"));
    assert_eq!(trace.find("event: update-status").attribute("event_type"), Some("hook"));
}

#[test]
fn jujus_own_three_variables_place_the_root_in_its_trace() {
    for (flags, is_child) in [("1", true), ("0", false), ("rubbish", false)] {
        let (charm, receiver) = (charm(), Receiver::start());
        let run = charm.dispatch("hooks/install").juju_4().without("TRACEPARENT");
        let run = run.variable("JUJU_TRACE_FLAGS", flags);
        let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
        assert_eq!(run.run().code, Some(0));
        let trace = receiver.trace();
        let (id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!((trace.id == id, trace.root().parent == parent), (is_child, is_child));
        assert_eq!(trace.root().links.len(), usize::from(flags == "0"), "{flags}");
    }
}
