//! Environments and endpoints that are not what they should be: traced under what is there,
//! reported in the log, never a charm that fails.

use std::net::TcpListener;

use charm_tracing_tests::{Receiver, test_charm};

const OUTPUT: &str = "test-charm handles nested\n";

#[test]
fn outside_juju_the_charms_type_is_the_service_and_one_line_says_so() {
    let (charm, receiver) = (test_charm!(), Receiver::start());
    let run = charm.dispatch("").without("JUJU_").without("FAKE_JUJU");
    let finished = run.variable("TEST_CHARM_ENDPOINT", &receiver.endpoint()).run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "test-charm handles none\n"));
    assert_eq!(finished.stderr, "charm-tracing: not run by Juju; traced as service `TestCharm`\n");
    let traces = receiver.traces();
    assert_eq!(traces[0].resource["service.name"], "TestCharm");
    assert_eq!(traces[0].root().name, "none event");
}

#[test]
fn malformed_units_and_paths_are_traced_under_what_is_there() {
    for (unit, path, root) in [
        ("hello", "hooks/nested", "hello: nested event"),
        ("hello/zero/1", "hooks/nested", "hello/zero/1: nested event"),
        ("/", "nested", "/: nested event"),
        ("hello/0", "hooks/", "hello/0: hooks event"),
        ("", "", "none event"),
        ("héllo/0", "hooks/nested\u{7}", "héllo/0: nested\u{7} event"),
    ] {
        let (charm, receiver) = (test_charm!(), Receiver::start());
        let run = charm.dispatch(path).without("JUJU_HOOK").variable("JUJU_UNIT_NAME", unit);
        let finished = run.variable("TEST_CHARM_ENDPOINT", &receiver.endpoint()).run();
        assert_eq!(finished.code, Some(0), "{unit:?} {path:?}: {finished:?}");
        assert_eq!(receiver.traces()[0].root().name, root);
    }
}

#[test]
fn an_endpoint_that_is_no_url_is_reported_in_the_log() {
    for endpoint in ["not a url", "tempo:4318", "ftp://tempo", "http://", "://", "http://[::1"] {
        let charm = test_charm!();
        let run = charm.dispatch("hooks/nested").variable("TEST_CHARM_ENDPOINT", endpoint);
        let finished = run.run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), OUTPUT), "{endpoint}");
        assert_eq!(finished.stderr, "", "{endpoint}");
        let log = charm.juju_log();
        let said = "WARNING charm-tracing: `tracing_endpoint` is not the URL of a backend";
        assert!(log.len() == 1 && log[0].starts_with(said), "{endpoint}: {log:?}");
    }
}

#[test]
fn an_empty_endpoint_is_none() {
    let charm = test_charm!();
    let finished = charm.dispatch("hooks/nested").variable("TEST_CHARM_ENDPOINT", "  ").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), OUTPUT));
}

#[test]
fn an_endpoint_with_path_slash_or_query_is_a_base_url() {
    for (suffix, path) in [
        ("/", "/v1/traces"),
        ("/otlp", "/otlp/v1/traces"),
        ("/otlp/", "/otlp/v1/traces"),
        ("?tenant=a", "/v1/traces?tenant=a"),
        ("/v1/traces", "/v1/traces"),
    ] {
        let (charm, receiver) = (test_charm!(), Receiver::start());
        let endpoint = format!("{}{suffix}", receiver.endpoint());
        let run = charm.dispatch("hooks/nested").variable("TEST_CHARM_ENDPOINT", &endpoint);
        assert_eq!(run.run().code, Some(0));
        let requests = receiver.requests();
        assert_eq!(requests[0].path, path);
        assert_eq!(requests[0].headers["content-type"], "application/x-protobuf");
    }
}

#[test]
fn a_receiver_that_is_down_is_nothing_to_the_charm() {
    let charm = test_charm!();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let run = charm.dispatch("hooks/nested").variable("TEST_CHARM_ENDPOINT", &endpoint);
    let finished = run.run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), OUTPUT));
    assert_eq!(finished.stderr, "");
    assert_eq!(charm.juju_log().len(), 1);
}

#[test]
fn values_that_are_not_text_are_absent() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let (charm, receiver) = (test_charm!(), Receiver::start());
    let run = charm.dispatch("hooks/nested");
    let mut command = run.variable("TEST_CHARM_ENDPOINT", &receiver.endpoint()).command();
    command.env("JUJU_UNIT_NAME", OsStr::from_bytes(b"hello\xff/0"));
    command.env("JUJU_MODEL_NAME", OsStr::from_bytes(b"\xc3\x28"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(receiver.traces()[0].root().name, "nested event");
}
