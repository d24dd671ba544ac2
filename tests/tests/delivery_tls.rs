//! Whom an `https` backend is checked against, and what waits where the check fails: everything,
//! nothing in plaintext, nothing lost.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use charm_tracing_tests::tls::Validity;
use charm_tracing_tests::{Answer, Authority, Handled, Receiver, Unit, test_charm};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

/// A unit that trusts what is in this bundle.
fn unit_trusting(bundle: &str, endpoint: &str) -> Unit {
    let mut unit = Unit::new(test_charm!());
    unit.send_to(endpoint);
    trust(&mut unit, bundle);
    unit
}

fn trust(unit: &mut Unit, bundle: &str) {
    let file = unit.charm.path().join("ca.pem");
    fs::write(&file, bundle).unwrap();
    unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
}

fn arrives(bundle: &str, server: ServerConfig) {
    let receiver = Receiver::start_tls(server);
    let unit = unit_trusting(bundle, &receiver.endpoint());
    let handled = unit.handle("first");
    handled.assert_held_at_most(0.9);
    assert_eq!(handled.warnings, [""; 0]);
    assert_eq!(receiver.events(), ["first"]);
}

/// Nothing leaves for this server, and everything does when there is a good one.
fn waits(situation: &str, bundle: &str, endpoint: &str) -> Handled {
    let mut unit = unit_trusting(bundle, endpoint);
    let first = unit.handle("first");
    first.assert_held_at_most(1.1);
    assert!(first.warning().contains("traces wait in"), "{first:#?}");
    assert_eq!(unit.handle("second").warnings, [""; 0]);
    assert_eq!(unit.waiting(), 2);
    let authority = Authority::new("ca");
    let healthy = Receiver::start_tls(authority.server("127.0.0.1"));
    trust(&mut unit, &authority.pem());
    unit.send_to(&healthy.endpoint());
    unit.handle("third");
    assert_eq!(healthy.events(), ["third", "first", "second"]);
    first.note(situation, 0, healthy.spans_sent_twice());
    first
}

fn waits_for(situation: &str, bundle: &str, server: ServerConfig) {
    let receiver = Receiver::start_tls(server);
    waits(situation, bundle, &receiver.endpoint());
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn addresses_and_names_and_both_versions_are_good() {
    let authority = Authority::new("ca");
    arrives(&authority.pem(), authority.server("127.0.0.1"));
    for version in [&TLS12, &TLS13] {
        let server = authority.server_with("127.0.0.1", Validity::Current, &[version]);
        arrives(&authority.pem(), server);
    }
    let receiver = Receiver::start_tls(authority.server("localhost"));
    unit_trusting(&authority.pem(), &receiver.endpoint_as("localhost")).handle("first");
    assert_eq!(receiver.events(), ["first"]);
}

#[test]
fn an_intermediate_may_be_sent_by_the_server_or_be_the_anchor() {
    let root = Authority::new("ca");
    let intermediate = root.intermediate();
    arrives(&root.pem(), intermediate.server("127.0.0.1"));
    arrives(&intermediate.pem(), intermediate.server("127.0.0.1"));
    let below = intermediate.intermediate();
    arrives(&root.pem(), below.server("127.0.0.1"));
}

#[test]
fn bundles_may_have_more_than_one_certificate_and_more_than_certificates() {
    let (authority, others) = (Authority::new("ca"), [Authority::new("ca"), Authority::new("ca")]);
    let (pem, first, last) = (authority.pem(), others[0].pem(), others[1].pem());
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for bundle in [
        format!("{first}{pem}{last}"),
        format!("# the model's CA\n\n{pem}\nand a word\n"),
        pem.replace('\n', "\r\n"),
        format!("{key}{pem}"),
        pem.trim_end().to_owned(),
        format!("\u{feff}\n{pem}"),
    ] {
        arrives(&bundle, authority.server("127.0.0.1"));
    }
}

#[test]
fn a_broken_certificate_in_a_bundle_is_reported_and_the_others_are_used() {
    let (authority, other) = (Authority::new("ca"), Authority::new("ca"));
    let (good, other) = (authority.pem(), other.pem());
    let truncated: String = other.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let no_base64 = other.replacen("MII", "M*I", 1);
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for broken in [no_base64.as_str(), no_der, truncated.as_str()] {
        for bundle in [format!("{broken}{good}"), format!("{good}{broken}")] {
            let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
            let unit = unit_trusting(&bundle, &receiver.endpoint());
            let first = unit.handle("first");
            assert_eq!(receiver.events(), ["first"], "{bundle}");
            assert!(first.warning().contains("certificate"), "{bundle}\n{first:#?}");
            assert_eq!(unit.handle("second").warnings, [""; 0], "said already");
            unit.handle("third");
            assert_eq!(receiver.events(), ["first", "second", "third"]);
        }
    }
}

#[test]
fn bundles_without_a_certificate_wait_and_say_why() {
    let receiver = Receiver::start_tls(Authority::new("ca").server("127.0.0.1"));
    for (bundle, why) in [
        ("", "holds no certificate"),
        ("not a certificate\n", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\n", "no certificate"),
    ] {
        let first = waits(&format!("bundle {bundle:?}"), bundle, &receiver.endpoint());
        assert!(first.warning().contains(why), "{first:#?}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn a_bundle_that_is_missing_or_no_file_waits_until_it_is_there() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let mut unit = Unit::new(test_charm!());
    unit.send_to(&receiver.endpoint());
    let first = unit.handle("none-was-named");
    assert!(first.warning().contains("there is no CA certificate yet"), "{first:#?}");
    let file = unit.charm.path().join("ca.pem");
    unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
    assert_eq!(unit.handle("missing").warnings, [""; 0]);
    fs::create_dir(&file).unwrap();
    assert_eq!(unit.handle("directory").warnings, [""; 0]);
    assert_eq!(receiver.connections(), 0);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, authority.pem()).unwrap();
    let there = unit.handle("there");
    assert!(there.warning().contains("3 executions that waited"), "{there:#?}");
    assert_eq!(receiver.events(), ["there", "none-was-named", "missing", "directory"]);
    there.note("https, CA later", 0, receiver.spans_sent_twice());
}

#[test]
fn a_certificate_that_does_not_hold_is_not_accepted() {
    let (authority, wrong) = (Authority::new("ca"), Authority::new("ca"));
    let pem = authority.pem();
    let with = |name, validity| authority.server_with(name, validity, rustls::ALL_VERSIONS);
    waits_for("wrong CA", &wrong.pem(), authority.server("127.0.0.1"));
    waits_for("expired certificate", &pem, with("127.0.0.1", Validity::Expired));
    waits_for("certificate of the future", &pem, with("127.0.0.1", Validity::NotYet));
    waits_for("wrong address", &pem, authority.server("127.0.0.2"));
    waits_for("wrong host name", &pem, authority.server("tempo.example"));
}

#[test]
fn a_servers_own_certificate_is_checked_by_its_name_too() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    waits("wrong host name", &authority.pem(), &receiver.endpoint_as("localhost"));
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn https_never_falls_back_to_plaintext() {
    // One that waits for the rest of what it takes for a request, and one that answers at once.
    let plain = Receiver::start();
    let refusing = plain_server("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    let pem = Authority::new("ca").pem();
    for endpoint in [plain.endpoint(), refusing] {
        let endpoint = endpoint.replace("http:", "https:");
        waits("plaintext server, https URL", &pem, &endpoint);
    }
    assert_eq!(plain.requests().len(), 0);
}

#[test]
fn http_to_a_server_of_tls_loses_nothing() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let endpoint = receiver.endpoint().replace("https:", "http:");
    waits("TLS server, http URL", &authority.pem(), &endpoint);
}

/// A server that answers whatever comes with these bytes; its base URL.
fn plain_server(answer: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    endpoint
}

/// What servers written in Go, nginx and Apache say to whoever speaks HTTP to their TLS port.
#[test]
fn http_to_a_server_that_explains_that_it_speaks_tls_loses_nothing() {
    for (version, text) in [
        ("1.0", "Client sent an HTTP request to an HTTPS server.\n"),
        ("1.1", "<center>The plain HTTP request was sent to HTTPS port</center>"),
        ("1.1", "You're speaking plain HTTP to an SSL-enabled server port.<br />"),
    ] {
        let answer = format!("HTTP/{version} 400 Bad Request\r\nconnection: close\r\n\r\n{text}");
        let endpoint = plain_server(&answer);
        waits(&format!("TLS server that explains: {text:.20}"), "", &endpoint);
    }
}

#[test]
fn rotation_and_changes_between_http_and_https_lose_nothing() {
    let (old, new) = (Authority::new("ca"), Authority::new("ca"));
    let (plain, rotated) = (Receiver::start(), Receiver::start_tls(new.server("127.0.0.1")));
    let mut unit = unit_trusting(&old.pem(), &plain.endpoint());
    unit.handle("plain");
    // The endpoint is `https` already, the certificate still the old one.
    unit.send_to(&rotated.endpoint());
    let early = unit.handle("early");
    assert!(early.warning().contains("traces wait in"), "{early:#?}");
    trust(&mut unit, &new.pem());
    let rotated_to = unit.handle("rotated");
    assert!(rotated_to.warning().contains("1 execution that waited"), "{rotated_to:#?}");
    unit.send_to(&plain.endpoint());
    assert_eq!(unit.handle("plain-again").warnings, [""; 0]);
    assert_eq!(plain.events(), ["plain", "plain-again"]);
    assert_eq!(rotated.events(), ["rotated", "early"]);
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let (authority, plain) = (Authority::new("ca"), Receiver::start());
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let location = format!("{}/v1/traces", plain.endpoint());
    receiver.answer_always(Answer::status(307).header("location", &location));
    waits("redirect from https to http", &authority.pem(), &receiver.endpoint());
    assert_eq!(plain.connections(), 0);
}

#[test]
fn a_drain_goes_over_one_connection_too() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let unit = unit_trusting(&authority.pem(), &receiver.endpoint());
    unit.buffer_events((0..10).map(|number| format!("event-{number}")));
    let handled = unit.handle("live");
    handled.assert_held_at_most(1.1);
    assert_eq!((receiver.traces().len(), receiver.connections()), (11, 1));
}
