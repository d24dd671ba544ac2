//! The `certificate_transfer` relation in both versions, and what it is for: a backend that is
//! `https`, without a certificate on disk.

use charm_tracing_tests::{Authority, CharmDir, CharmRun, Receiver, TlsFront};
use serde_json::{Value, json};

const TRACING: &str = "tracing:3";
const CA: &str = "receive-ca-cert:5";

struct World {
    charm: CharmDir,
    receiver: Receiver,
    authority: Authority,
    _front: TlsFront,
}

impl World {
    /// A charm that is related to an `https` backend, and to who vouches for it.
    fn new() -> Self {
        let charm =
            CharmDir::new(env!("CARGO_BIN_EXE_juju-charm"), env!("CARGO_BIN_EXE_hook-tool"));
        let (receiver, authority) = (Receiver::start(), Authority::new("the authority"));
        let front = TlsFront::start(&receiver, &authority);
        charm.juju().relate(TRACING, "tempo");
        charm.juju().offer(TRACING, "tempo", &front.endpoint());
        charm.juju().relate(CA, "authorities");
        charm.juju().join(CA, "authorities/0");
        Self { charm, receiver, authority, _front: front }
    }

    fn dispatch(&self, hook: &str) -> CharmRun {
        let run = self.charm.dispatch(&format!("hooks/{hook}"));
        let run = run.variable("TEST_TRACING_RELATION", "tracing");
        run.variable("TEST_CA_RELATION", "receive-ca-cert")
    }

    fn say(&self, who: &str, key: &str, value: &str) {
        self.charm.juju().say(CA, who, key, value);
    }

    /// Runs the charm; its trace must have come.
    fn assert_trusted(&self, what: &str) {
        stdout_of(&self.dispatch("update-status"));
        let log = self.charm.juju_log();
        assert_eq!(self.receiver.traces().len(), 1, "{what}: {log:?}");
    }
}

fn stdout_of(run: &CharmRun) -> String {
    let finished = run.run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    finished.stdout
}

#[test]
fn version_1_vouches_for_the_backend() {
    for spelling in [|pem: &str| pem.to_owned(), |pem: &str| pem.replace('\n', "\\n")] {
        let world = World::new();
        let other = Authority::new("another").pem();
        let list = json!([other, spelling(&world.authority.pem())]).to_string();
        world.say("authorities", "certificates", &list);
        world.assert_trusted(&list);
    }
}

#[test]
fn version_0_vouches_for_the_backend_however_it_is_spelt() {
    let raw: fn(&str) -> String = str::to_owned;
    let quoted: fn(&str) -> String = |pem| Value::from(pem).to_string();
    let escaped: fn(&str) -> String = |pem| pem.replace('\n', "\\n");
    for (name, spelling) in [("raw", raw), ("quoted", quoted), ("escaped", escaped)] {
        let world = World::new();
        let pem = world.authority.pem();
        world.say("authorities/0", "certificate", &spelling(&pem));
        world.say("authorities/0", "ca", &spelling(&pem));
        world.say("authorities/0", "chain", &json!([pem]).to_string());
        world.assert_trusted(name);
    }
}

#[test]
fn the_leader_asks_for_version_1_when_the_relation_is_made() {
    for (leads, asked) in [(true, Some("1")), (false, None)] {
        let world = World::new();
        world.charm.juju().lead(leads);
        let created = world.dispatch("receive-ca-cert-relation-created");
        stdout_of(&created.in_relation(CA, "authorities"));
        let said = world.charm.juju().said(CA, "hello");
        assert_eq!(said.get("version").map(String::as_str), asked);
    }
}

#[test]
fn an_http_backend_does_not_pay_for_certificates() {
    let world = World::new();
    world.charm.juju().offer(TRACING, "tempo", &world.receiver.endpoint());
    world.assert_trusted("http");
    let calls = world.charm.juju().take_calls();
    assert!(calls.iter().all(|call| !call.contains("receive-ca-cert")), "{calls:?}");
}

#[test]
fn settled_certificates_cost_three_calls() {
    let world = World::new();
    world.say("authorities", "certificates", &json!([world.authority.pem()]).to_string());
    world.assert_trusted("version 1");
    let calls = world.charm.juju().take_calls();
    assert_eq!(
        calls[3..],
        [
            "relation-ids --format=json receive-ca-cert",
            "relation-list --format=json -r receive-ca-cert:5 --app",
            "relation-get --format=json -r receive-ca-cert:5 - authorities --app",
        ]
    );
}

#[test]
fn nothing_that_can_be_used_is_one_line_and_traces_wait() {
    let not_there = "has not answered yet";
    for (who, key, value, line) in [
        ("authorities", "certificates", "[]", not_there),
        ("authorities", "certificates", "not json", "`certificates` is not JSON"),
        ("authorities", "certificates", "[7]", "`certificates` holds a number, not text"),
        ("authorities", "certificates", "{}", "`certificates` is an object, not a list"),
        ("authorities", "version", "1", not_there),
        ("authorities/0", "ca", "no certificate", not_there),
        ("authorities/0", "chain", "[7]", "`chain` holds a number, not text"),
    ] {
        let world = World::new();
        world.charm.juju().lead(false);
        world.say(who, key, value);
        let stdout = stdout_of(&world.dispatch("update-status"));
        assert!(stdout.ends_with("configured: None, certificate: false\n"), "{value}: {stdout}");
        let log = world.charm.debug_log();
        let about_it = log.iter().filter(|line| line.contains(CA)).collect::<Vec<_>>();
        assert!(about_it.len() == 1 && about_it[0].contains(line), "{value}: {log:?}");
        assert_eq!(world.receiver.traces().len(), 0);
    }
}

#[test]
fn the_certificates_of_all_relations_are_taken() {
    let world = World::new();
    let other = json!([Authority::new("another").pem()]).to_string();
    world.say("authorities", "certificates", &other);
    world.charm.juju().relate("receive-ca-cert:6", "more");
    let own = json!([world.authority.pem()]).to_string();
    world.charm.juju().say("receive-ca-cert:6", "more", "certificates", &own);
    world.assert_trusted("the second of two relations");
}

#[test]
fn what_the_event_did_to_the_certificates_is_told() {
    let world = World::new();
    let said = |hook: &str| {
        let run = world.dispatch(hook).in_relation(CA, "authorities");
        let stdout = stdout_of(&run);
        let line = stdout.lines().find_map(|line| line.strip_prefix("authorities change: "));
        line.map(str::to_owned)
    };
    assert_eq!(said("receive-ca-cert-relation-joined").as_deref(), Some("None"));
    assert_eq!(said("receive-ca-cert-relation-changed").as_deref(), Some("Some(Removed)"));
    world.say("authorities", "certificates", &json!([world.authority.pem()]).to_string());
    assert_eq!(said("receive-ca-cert-relation-changed").as_deref(), Some("Some(Updated)"));
    world.charm.juju().break_up(CA);
    assert_eq!(said("receive-ca-cert-relation-broken").as_deref(), Some("Some(Removed)"));
}
