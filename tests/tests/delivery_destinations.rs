//! Where traces go: the charm's own endpoint, Juju's, OpenTelemetry's, through which proxy, with
//! which headers; and what waits until there is one.

use std::fs;

use charm_tracing_tests::{Authority, Receiver, Unit, test_charm};

fn unit_with(variables: &[(&str, &str)]) -> Unit {
    let mut unit = Unit::new(test_charm!());
    for (name, value) in variables {
        unit.set(name, value);
    }
    unit
}

#[test]
fn the_first_that_is_set_is_the_destination() {
    let receivers: [Receiver; 4] = std::array::from_fn(|_| Receiver::start());
    let every = receivers.each_ref().map(Receiver::endpoint);
    let signal = format!("{}/as/it/is", every[2]);
    let sources = [
        ("TEST_CHARM_ENDPOINT", every[0].as_str()),
        ("JUJU_CHARM_TRACE_CONFIG_HTTP", every[1].as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", signal.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", every[3].as_str()),
    ];
    for first in 0..4 {
        unit_with(&sources[first..]).handle("first");
        let came = receivers.each_ref().map(|receiver| receiver.requests().len());
        let expected: [usize; 4] = std::array::from_fn(|place| usize::from(place <= first));
        assert_eq!(came, expected, "from {} on", sources[first].0);
    }
    let paths = receivers.each_ref().map(|receiver| receiver.requests()[0].path.clone());
    assert_eq!(paths, ["/v1/traces", "/v1/traces", "/as/it/is", "/v1/traces"]);
}

#[test]
fn an_empty_variable_of_jujus_is_no_destination() {
    let receiver = Receiver::start();
    let unit = unit_with(&[
        ("JUJU_CHARM_TRACE_CONFIG_HTTP", ""),
        ("JUJU_CHARM_TRACE_CONFIG_CA_CERT", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
    ]);
    unit.handle("first");
    assert_eq!(receiver.events(), ["first"]);
}

#[test]
fn jujus_certificate_comes_in_its_variable() {
    let (authority, wrong) = (Authority::new("ca"), Authority::new("ca"));
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let mut unit = unit_with(&[
        ("JUJU_CHARM_TRACE_CONFIG_HTTP", &receiver.endpoint()),
        ("JUJU_CHARM_TRACE_CONFIG_CA_CERT", ""),
    ]);
    unit.handle("first");
    unit.set("JUJU_CHARM_TRACE_CONFIG_CA_CERT", &wrong.pem());
    unit.handle("second");
    unit.set("JUJU_CHARM_TRACE_CONFIG_CA_CERT", &authority.pem());
    unit.handle("third");
    assert_eq!(receiver.events(), ["third", "first", "second"]);
}

#[test]
fn opentelemetrys_certificate_and_headers_are_used_with_its_endpoint_alone() {
    let authority = Authority::new("ca");
    let (otel, own) = (Receiver::start_tls(authority.server("127.0.0.1")), Receiver::start());
    let mut unit = unit_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &otel.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2, x-scope-orgid=a"),
    ]);
    let file = unit.charm.path().join("otel.pem");
    fs::write(&file, authority.pem()).unwrap();
    unit.set("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap());
    unit.handle("first");
    let request = &otel.requests()[0];
    assert_eq!(request.headers["authorization"], "Bearer hunter2");
    assert_eq!(request.headers["x-scope-orgid"], "a");
    unit.set("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-scope-orgid=b");
    unit.handle("second");
    let request = &otel.requests()[1];
    assert_eq!(request.headers.get("authorization"), None);
    assert_eq!(request.headers["x-scope-orgid"], "b");
    unit.send_to(&own.endpoint());
    unit.handle("third");
    assert_eq!(own.requests()[0].headers.get("x-scope-orgid"), None);
}

#[test]
fn headers_that_http_does_not_allow_are_left_out() {
    let receiver = Receiver::start();
    let unit = unit_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1%0d%0ax-evil: 1,b\u{7f}=2,c=ok,d=gr%C3%BCn,=3,e"),
    ]);
    let handled = unit.handle("first");
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1, "one bad header is no reason to send nothing: {handled:#?}");
    assert_eq!(requests[0].headers["c"], "ok");
    assert_eq!(requests[0].headers.get("x-evil"), None);
}

#[test]
fn headers_cannot_change_what_the_request_is() {
    let receiver = Receiver::start();
    let unit = unit_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "content-length=1,content-type=text/plain,host=elsewhere"),
    ]);
    unit.handle("first");
    assert_eq!(receiver.events(), ["first"]);
    assert_eq!(receiver.requests()[0].headers["content-type"], "application/x-protobuf");
}

#[test]
fn a_young_charm_keeps_its_traces_until_there_is_a_backend() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let mut unit = unit_with(&[]);
    // No relation; then one whose event was not seen, which is the same to the charm.
    let install = unit.handle("install");
    assert!(install.warning().contains("there is no backend yet"), "{install:#?}");
    assert_eq!(unit.handle("start").warnings, [""; 0]);
    unit.send_to(&receiver.endpoint());
    assert_eq!(unit.handle("endpoint-but-no-certificate").warnings, [""; 0]);
    let file = unit.charm.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
    let ready = unit.handle("ready");
    assert!(ready.warning().contains("3 executions that waited"), "{ready:#?}");
    assert_eq!(receiver.events(), ["ready", "install", "start", "endpoint-but-no-certificate"]);
    ready.note("young charm: no relation, no event, no certificate", 0, 0);
}

#[test]
fn requests_go_through_the_charms_proxy() {
    for (proxy, endpoint) in [
        ("JUJU_CHARM_HTTP_PROXY", "http://tempo.example:4318"),
        ("http_proxy", "http://tempo.example:4318"),
        ("HTTP_PROXY", "http://tempo.example:4318"),
    ] {
        let receiver = Receiver::start();
        let mut unit = unit_with(&[(proxy, &receiver.endpoint())]);
        unit.send_to(endpoint);
        let handled = unit.handle("first");
        assert_eq!(receiver.events(), ["first"], "{proxy}: {handled:#?}");
        assert!(receiver.requests()[0].path.contains("tempo.example:4318"));
    }
}

#[test]
fn what_is_excepted_goes_past_the_proxy() {
    let (receiver, proxy) = (Receiver::start(), Receiver::start());
    let mut unit = unit_with(&[
        ("JUJU_CHARM_HTTP_PROXY", &proxy.endpoint()),
        ("JUJU_CHARM_NO_PROXY", "10.0.0.0/8,.example"),
    ]);
    unit.send_to("http://tempo.example:4318");
    // The name is nobody's: that it is not found is what shows that no proxy was asked.
    unit.handle("nobody");
    assert_eq!(proxy.connections(), 0);
    // This machine itself never is.
    unit.send_to(&receiver.endpoint());
    unit.handle("loopback");
    assert_eq!(
        (receiver.events(), proxy.connections()),
        (vec!["loopback".into(), "nobody".into()], 0)
    );
}

/// Has an event handled through a proxy that is of no use: the line about it says `why`, and
/// nothing of the password; the trace waits.
fn a_useless_proxy_loses_nothing(proxy: &str, why: &str) {
    let receiver = Receiver::start();
    let mut unit = unit_with(&[("JUJU_CHARM_HTTP_PROXY", proxy)]);
    unit.send_to("http://tempo.example:4318");
    let first = unit.handle("first");
    assert!(first.warning().contains(why), "{first:#?}");
    assert!(!first.warning().contains("hunter2"), "{first:#?}");
    unit.send_to(&receiver.endpoint());
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
}

#[test]
fn a_proxy_that_refuses_loses_nothing() {
    a_useless_proxy_loses_nothing("http://user:hunter2@127.0.0.1:1", "traces wait in");
}

#[test]
fn a_proxy_that_is_none_is_said_to_be_none_and_loses_nothing() {
    a_useless_proxy_loses_nothing("gopher://user:hunter2@proxy", "proxy");
}

#[test]
fn a_timeout_in_the_environment_is_the_deadline() {
    let deaf = charm_tracing_tests::Down::reserve().deaf();
    for (name, value, deadlines) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300", 0.4),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "100", 0.25),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", 0.15),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", 1.1),
    ] {
        let mut unit = unit_with(&[(name, value)]);
        unit.send_to(&deaf.endpoint());
        let handled = unit.handle("first");
        handled.assert_held_at_most(deadlines);
        assert_eq!(unit.waiting(), 1, "{name}={value}: {handled:#?}");
    }
}

#[test]
fn a_traced_charm_that_is_switched_off_writes_and_sends_nothing() {
    let receiver = Receiver::start();
    for (name, value) in [("CHARM_TRACING_ENABLED", "0"), ("OTEL_SDK_DISABLED", "true")] {
        let mut unit = unit_with(&[(name, value)]);
        unit.buffer_events(["nothing"]);
        unit.send_to(&receiver.endpoint());
        unit.dispatch("first").run();
        assert_eq!(receiver.connections(), 0);
        assert!(!unit.buffer().exists());
        assert!(unit.charm.juju_log().is_empty());
    }
}
