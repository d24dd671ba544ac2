//! `https` through a proxy: a tunnel, in which the backend is checked as if there were none.
//!
//! Plain `http` through a proxy, and who is asked without one: `delivery_destinations.rs`.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;

use charm_tracing_tests::{Authority, Down, Proxy, Receiver, Unit, test_charm};

/// A name that nobody has: only the proxy knows where it leads.
const BACKEND: &str = "tempo.example";
const ENDPOINT: &str = "https://tempo.example:4318";

/// A backend of this name, and a unit that trusts who vouches for it.
fn world(name: &str) -> (Unit, Receiver) {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server(name));
    let mut unit = Unit::new(test_charm!());
    let file = unit.charm.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
    unit.send_to(ENDPOINT);
    (unit, receiver)
}

/// The execution waits, whatever the proxy did; it follows when a proxy lets it through.
fn waits(unit: &mut Unit, receiver: &Receiver) {
    assert_eq!((unit.waiting(), receiver.requests().len()), (1, 0));
    unit.set("JUJU_CHARM_HTTPS_PROXY", &Proxy::to(receiver).url(""));
    unit.let_back_off_pass();
    let second = unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"], "{second:#?}");
}

#[test]
fn https_goes_through_a_tunnel() {
    for variable in ["JUJU_CHARM_HTTPS_PROXY", "https_proxy", "HTTPS_PROXY"] {
        let (mut unit, receiver) = world(BACKEND);
        let proxy = Proxy::to(&receiver);
        unit.set(variable, &proxy.url(""));
        let first = unit.handle("first");
        first.assert_held_at_most(1.1);
        assert_eq!(first.warnings, [""; 0], "{variable}");
        assert_eq!(receiver.events(), ["first"], "{variable}");
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        assert_eq!(asked[0].request, "CONNECT tempo.example:4318");
        assert_eq!(asked[0].authorization, None);
        assert_eq!(receiver.requests()[0].path, "/v1/traces");
    }
}

#[test]
fn a_backlog_goes_through_one_tunnel() {
    let (mut unit, receiver) = world(BACKEND);
    let proxy = Proxy::to(&receiver);
    unit.set("JUJU_CHARM_HTTPS_PROXY", &proxy.url(""));
    unit.buffer_events(["waits-0", "waits-1"]);
    unit.handle("live");
    assert_eq!(receiver.events(), ["live", "waits-0", "waits-1"]);
    assert_eq!(proxy.asked().len(), 1, "the connection is kept");
}

#[test]
fn the_password_is_for_the_proxy_and_nobody_else() {
    let (mut unit, receiver) = world(BACKEND);
    let proxy = Proxy::to(&receiver);
    unit.set("JUJU_CHARM_HTTPS_PROXY", &proxy.url("user:hunter2"));
    unit.handle("first");
    assert_eq!(receiver.events(), ["first"]);
    // `user:hunter2` in base64.
    assert_eq!(proxy.asked()[0].authorization.as_deref(), Some("Basic dXNlcjpodW50ZXIy"));
    let headers = &receiver.requests()[0].headers;
    assert!(!headers.keys().any(|name| name.contains("authorization")), "{headers:#?}");
}

#[test]
fn plain_https_has_no_use_for_the_proxy_of_http() {
    let (mut unit, receiver) = world("127.0.0.1");
    unit.send_to(&receiver.endpoint());
    let proxy = Proxy::refusing(403);
    for variable in ["JUJU_CHARM_HTTP_PROXY", "http_proxy", "HTTP_PROXY"] {
        unit.set(variable, &proxy.url(""));
    }
    unit.handle("first");
    assert_eq!((receiver.events(), proxy.asked()), (vec!["first".to_owned()], vec![]));
}

#[test]
fn a_backend_of_another_name_is_not_trusted_behind_a_proxy_either() {
    let (mut unit, receiver) = world("other.example");
    let proxy = Proxy::to(&receiver);
    unit.set("JUJU_CHARM_HTTPS_PROXY", &proxy.url(""));
    let first = unit.handle("first");
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    assert_eq!((unit.waiting(), receiver.requests().len()), (1, 0));
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn a_proxy_that_lets_nobody_through_loses_nothing_and_keeps_its_password() {
    for status in [403, 407, 502] {
        let (mut unit, receiver) = world(BACKEND);
        let proxy = Proxy::refusing(status);
        unit.set("JUJU_CHARM_HTTPS_PROXY", &proxy.url("user:hunter2"));
        let first = unit.handle("first");
        assert!(first.warning().contains("traces wait in"), "{status}: {first:#?}");
        assert!(!first.warning().contains("hunter2"), "{first:#?}");
        assert_eq!(proxy.asked().len(), 1);
        waits(&mut unit, &receiver);
    }
}

#[test]
fn a_proxy_that_hangs_costs_one_deadline() {
    let (mut unit, receiver) = world(BACKEND);
    let deaf = Down::reserve().deaf();
    unit.set("JUJU_CHARM_HTTPS_PROXY", &deaf.endpoint());
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    assert!(first.held > 0.5, "it did not hang: {first:#?}");
    first.note("a proxy that never answers", 0, 0);
    waits(&mut unit, &receiver);
}
