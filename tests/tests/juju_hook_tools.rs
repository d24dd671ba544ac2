//! Hook tools and other child processes in the trace: what is seen of them, and that nothing of
//! what they are told is.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::io::Read;
use std::path::Path;

use charm_tracing_tests::{CharmDir, Receiver, Span, Status, Trace};
use flate2::read::MultiGzDecoder;

fn charm() -> CharmDir {
    CharmDir::new(env!("CARGO_BIN_EXE_juju-charm"), env!("CARGO_BIN_EXE_hook-tool"))
}

/// Runs the charm for a hook; returns what it printed, and its trace.
fn run(charm: &CharmDir, path: &str, code: i32) -> (String, Trace, Receiver) {
    let receiver = Receiver::start();
    let run = charm.dispatch(path).variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let finished = run.run();
    assert_eq!(finished.code, Some(code), "{finished:?}");
    (finished.stdout, receiver.trace(), receiver)
}

fn keys(span: &Span) -> Vec<&str> {
    span.attributes.keys().map(String::as_str).collect()
}

#[test]
fn a_hook_tool_is_a_span_with_its_name_and_exit_code() {
    let charm = charm();
    charm.juju().configure([("greeting", "hello")]);
    charm.juju().relate("db:1", "postgresql");
    charm.juju().lead(false);
    let (stdout, trace, _) = run(&charm, "hooks/tools", 0);
    assert!(stdout.starts_with("config: {\"greeting\":\"hello\"}\n"), "{stdout}");
    let span = trace.find("config-get");
    assert_eq!(keys(span), ["process.executable.name", "process.exit.code"]);
    assert_eq!(span.attribute("process.executable.name"), Some("config-get"));
    assert_eq!(span.attribute("process.exit.code"), Some("0"));
    assert_eq!(span.status, Status::Unset);
    assert_eq!(
        trace.path(span)[1..],
        ["event: tools", "method call: JujuCharm::on_event", "config-get"]
    );
}

#[test]
fn a_hook_tool_that_fails_says_why_in_its_first_line() {
    let charm = charm();
    charm.juju().relate("db:1", "postgresql");
    charm.juju().lead(false);
    let (stdout, trace, _) = run(&charm, "hooks/tools", 0);
    let denied = "`relation-get` failed: ERROR permission denied; Some(1); true\n";
    assert!(stdout.contains(denied), "{stdout}");
    let span = trace.find("relation-get");
    assert_eq!(span.status, Status::error("ERROR permission denied"));
    assert_eq!(span.attribute("process.exit.code"), Some("1"));
}

#[test]
fn a_hook_tool_that_is_not_there_fails_without_an_exit_code() {
    let (stdout, trace, _) = run(&charm(), "hooks/tools", 0);
    assert!(stdout.ends_with("missing: true\n"), "{stdout}");
    let span = trace.find("no-such-tool");
    assert_eq!(
        span.status,
        Status::error("there is no such program; hook tools are there only in a hook")
    );
    assert_eq!(span.attribute("process.exit.code"), None);
}

#[test]
fn a_child_process_is_a_span_and_knows_its_place_in_the_trace() {
    let charm = charm();
    let (stdout, trace, _) = run(&charm, "hooks/processes", 0);
    let shells: Vec<&Span> = trace.spans.iter().filter(|span| span.name == "sh").collect();
    let [first, second] = shells[..] else { panic!("two shells wanted:\n{trace}") };
    let (child, span) = (format!("child: 00-{}-{}-01,\n", trace.id, first.id), first);
    assert!(stdout.starts_with(&child), "{stdout}");
    assert_eq!(keys(span), ["process.executable.name", "process.exit.code"]);
    assert_eq!(second.attribute("process.exit.code"), Some("7"));
    assert_eq!(second.status, Status::error("exit code 7"));
    assert_eq!(trace.find("cat").attribute("process.exit.code"), Some("0"));
    assert_eq!(trace.find("no-such-program").attribute("process.exit.code"), None);
    trace.assert_times_nest();
}

#[test]
fn jujus_trace_state_goes_on_to_children_of_its_trace_and_to_no_other() {
    const JUJU: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
    for (flags, state) in [("01", "vendor=1"), ("00", "")] {
        let (charm, receiver) = (charm(), Receiver::start());
        let run = charm.dispatch("hooks/processes").variable("TRACESTATE", "vendor=1");
        let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
        let finished = run.variable("TRACEPARENT", &format!("{JUJU}-{flags}")).run();
        let child = finished.stdout.lines().next().unwrap_or_default();
        assert!(child.ends_with(&format!("-01,{state}")), "{flags}: {finished:?}");
        assert!(child.contains(&receiver.trace().id), "{flags}: {finished:?}");
    }
}

#[test]
fn where_nothing_is_traced_children_get_what_juju_said() {
    const JUJU: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let charm = charm();
    let run = charm.dispatch("hooks/processes").variable("TRACEPARENT", JUJU);
    let run = run.variable("TRACESTATE", "vendor=1").variable("CHARM_TRACING_ENABLED", "0");
    let finished = run.run();
    assert!(finished.stdout.starts_with(&format!("child: {JUJU},vendor=1\n")), "{finished:?}");
}

/// Every secret of the test ends or begins with it.
const SECRET: &str = "hunter2";

/// The bytes, and behind them what is compressed among them.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    const GZIP: &[u8] = &[0x1f, 0x8b, 8];
    let mut unpacked = bytes.to_vec();
    for begin in (0..bytes.len()).filter(|&begin| bytes[begin..].starts_with(GZIP)) {
        // What is behind the stream's end, or no stream at all, ends it with an error.
        let _ = MultiGzDecoder::new(&bytes[begin..]).read_to_end(&mut unpacked);
    }
    unpacked
}

/// All files under `folder`, each with its path and unpacked.
fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_in(&entry.path()));
        } else {
            let bytes = unpacked(&fs::read(entry.path()).unwrap());
            files.push((entry.path().display().to_string(), bytes));
        }
    }
    files
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Nor a part of one: what a tool quotes may be cut.
fn assert_no_secret_in(place: &str, bytes: &[u8]) {
    let found = contains(bytes, SECRET) || contains(bytes, &SECRET[..4]);
    assert!(!found, "a secret is in {place}: {}", String::from_utf8_lossy(bytes));
}

#[test]
fn secrets_are_nowhere_in_what_is_sent_or_buffered_or_logged() {
    for buffered in [false, true] {
        let (charm, receiver) = (charm(), Receiver::start());
        charm.juju().relate("db:1", "postgresql");
        let run = charm.dispatch("actions/secrets").variable("DATABASE_PASSWORD", SECRET);
        let run = if buffered {
            run
        } else {
            run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        };
        let finished = run.run();
        assert_eq!(finished.code, Some(1), "{finished:?}");

        // The tools had them, and quoted them:
        assert!(charm.juju().said("db:1", "hello/0")["token"].contains(SECRET));
        assert!(charm.juju().secrets().to_string().contains("changed-hunter2"));
        assert!(charm.juju().action_results().to_string().contains("action-hunter2"));
        assert!(charm.juju().charm_state().to_string().contains("state-hunter2"));
        assert!(finished.stdout.contains("secret: true"), "{finished:?}");

        // And what tracing made of it has not.
        assert_eq!(receiver.requests().is_empty(), buffered, "{finished:?}");
        for request in receiver.requests() {
            assert_no_secret_in("a request", &request.body);
            let trace = receiver.trace();
            let failed = trace.spans.iter().filter(|span| span.name == "state-set");
            let failed = failed.filter(|span| span.status != Status::Unset).count();
            assert_eq!(failed, 3, "the tools' own messages were there to be searched:\n{trace}");
        }
        let files = files_in(&charm.path());
        let is_trace = |(_, bytes): &(String, Vec<u8>)| contains(bytes, "event: secrets");
        assert_eq!(files.iter().any(is_trace), buffered);
        for (path, bytes) in &files {
            assert_no_secret_in(path, bytes);
        }
        assert_no_secret_in("Juju's log", charm.debug_log().join("\n").as_bytes());
        assert_no_secret_in("the charm's stderr", finished.stderr.as_bytes());
    }
}
