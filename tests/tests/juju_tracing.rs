//! The `tracing` relation as a charm has it, state by state: what is answered, what it costs in
//! calls of hook tools, and what the log says.

use charm_tracing_tests::{Authority, CharmDir, CharmRun, Receiver, TlsFront};

const ID: &str = "tracing:3";

fn charm() -> CharmDir {
    CharmDir::new(env!("CARGO_BIN_EXE_juju-charm"), env!("CARGO_BIN_EXE_hook-tool"))
}

/// The charm's dispatch, with the relation name that it gives its requirer.
fn dispatch(charm: &CharmDir, hook: &str) -> CharmRun {
    charm.dispatch(&format!("hooks/{hook}")).variable("TEST_TRACING_RELATION", "tracing")
}

/// A charm that is related to a backend which has answered.
fn settled(url: &str) -> CharmDir {
    let charm = charm();
    charm.juju().relate(ID, "tempo");
    charm.juju().say(ID, "hello", "receivers", r#"["otlp_http"]"#);
    charm.juju().offer(ID, "tempo", url);
    charm
}

/// What the charm says, and the names of the tools that it called.
fn observe(charm: &CharmDir, run: &CharmRun) -> (String, Vec<String>) {
    let finished = run.run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    let calls = charm.juju().take_calls();
    let name = |call: &String| call.split(' ').next().unwrap_or_default().to_owned();
    (finished.stdout, calls.iter().map(name).collect())
}

/// The log without what is said about delivery and to `jhack`.
fn log(charm: &CharmDir) -> Vec<String> {
    let mut lines = charm.debug_log();
    lines.retain(|line| line.contains("charm-tracing: "));
    lines.retain(|line| line.contains("relation") || line.contains("CA certificate"));
    lines
}

const NOTHING: &str =
    "ready: false\nendpoint: none\nchange: None\nconfigured: None, certificate: false\n";

#[test]
fn without_a_relation_one_call_tells() {
    let charm = charm();
    let (stdout, calls) = observe(&charm, &dispatch(&charm, "install"));
    assert_eq!(stdout, format!("not ready: there is no relation `tracing`\n{NOTHING}"));
    assert_eq!(calls, ["relation-ids"]);
    assert_eq!(log(&charm), [""; 0]);
}

#[test]
fn the_leader_asks_once_and_a_follower_never() {
    for leads in [true, false] {
        let charm = charm();
        charm.juju().lead(leads);
        charm.juju().relate(ID, "tempo");
        let created = dispatch(&charm, "tracing-relation-created").in_relation(ID, "tempo");
        let (stdout, calls) = observe(&charm, &created);
        assert!(stdout.contains("has not answered yet"), "{stdout}");
        let asked = charm.juju().said(ID, "hello").get("receivers").cloned();
        if leads {
            assert_eq!(asked.as_deref(), Some(r#"["otlp_http"]"#));
            let expected =
                ["relation-ids", "relation-get", "is-leader", "relation-get", "relation-set"];
            assert_eq!(calls, expected);
            let (_, calls) = observe(&charm, &created);
            assert_eq!(calls, expected[..4], "what is already asked is not asked again");
        } else {
            assert_eq!(asked, None);
            assert_eq!(calls, ["relation-ids", "relation-get", "is-leader"]);
        }
        assert!(charm.juju_log().iter().all(|line| !line.contains("relation")));
    }
}

#[test]
fn a_new_leader_asks_what_nobody_has_asked() {
    let charm = charm();
    charm.juju().relate(ID, "tempo");
    observe(&charm, &dispatch(&charm, "leader-elected"));
    assert_eq!(charm.juju().said(ID, "hello")["receivers"], r#"["otlp_http"]"#);
}

#[test]
fn a_settled_unit_pays_three_calls_and_writes_nothing() {
    for leads in [true, false] {
        let charm = settled("http://tempo:4318");
        charm.juju().lead(leads);
        for hook in ["update-status", "config-changed", "leader-elected", "db-relation-created"] {
            let (stdout, calls) = observe(&charm, &dispatch(&charm, hook));
            assert!(stdout.starts_with("receivers: otlp_http=http://tempo:4318\n"), "{stdout}");
            assert!(stdout.contains("\nchange: None\n"), "{stdout}");
            assert_eq!(calls, ["relation-ids", "relation-list", "relation-get"], "{hook}");
        }
        let changed = dispatch(&charm, "tracing-relation-changed").in_relation(ID, "tempo");
        let (stdout, calls) = observe(&charm, &changed);
        assert!(stdout.contains("\nchange: Some(Updated)\n"), "{stdout}");
        assert_eq!(calls, ["relation-ids", "relation-get"]);
        assert_eq!(log(&charm), [""; 0]);
    }
}

#[test]
fn any_relation_name_will_do() {
    let charm = charm();
    charm.juju().relate("charm-tracing:1", "tempo");
    charm.juju().offer("charm-tracing:1", "tempo", "http://tempo:4318");
    let run = dispatch(&charm, "install").variable("TEST_TRACING_RELATION", "charm-tracing");
    let (stdout, _) = observe(&charm, &run);
    assert!(stdout.contains("endpoint: http://tempo:4318\n"), "{stdout}");
}

#[test]
fn a_relation_that_is_being_broken_is_not_ready() {
    let charm = settled("http://tempo:4318");
    charm.juju().break_up(ID);
    let broken = dispatch(&charm, "tracing-relation-broken").in_relation(ID, "tempo");
    let (stdout, calls) = observe(&charm, &broken);
    assert!(stdout.starts_with("not ready: relation tracing:3 is being broken\n"), "{stdout}");
    assert!(stdout.contains("\nchange: Some(Removed)\n"), "{stdout}");
    assert_eq!(calls, ["relation-ids"]);
    assert_eq!(log(&charm), ["DEBUG charm-tracing: relation tracing:3 is being broken"]);
}

#[test]
fn while_the_last_units_depart_the_endpoint_stays() {
    let charm = settled("http://tempo:4318");
    let departed = dispatch(&charm, "tracing-relation-departed").in_relation(ID, "tempo");
    let departed = departed.variable("JUJU_DEPARTING_UNIT", "tempo/0");
    let (stdout, _) = observe(&charm, &departed);
    assert!(stdout.contains("ready: true\n"), "{stdout}");
}

#[test]
fn what_juju_denies_is_one_line() {
    let charm = charm();
    charm.juju().relate(ID, "tempo");
    // The relation goes while another event is handled.
    charm.juju().break_up(ID);
    let (stdout, _) = observe(&charm, &dispatch(&charm, "update-status"));
    let why = "`relation-get` failed: ERROR permission denied";
    assert!(stdout.starts_with(&format!("not ready: {why}\n")), "{stdout}");
    let line = format!("WARNING charm-tracing: {why}");
    assert_eq!(charm.juju_log().iter().filter(|said| said.contains("relation")).count(), 1);
    assert!(charm.juju_log().contains(&line), "{:?}", charm.juju_log());
}

#[test]
fn several_relations_are_ambiguous_and_the_log_says_which() {
    let charm = settled("http://tempo:4318");
    charm.juju().relate("tracing:4", "other");
    let (stdout, calls) = observe(&charm, &dispatch(&charm, "update-status"));
    let why = "relation `tracing` is ambiguous, there are tracing:3, tracing:4: \
               remove all but one, or give it `limit: 1`";
    assert_eq!(stdout, format!("not ready: {why}\n{NOTHING}"));
    assert_eq!(calls, ["relation-ids"]);
    assert_eq!(log(&charm), [format!("WARNING charm-tracing: {why}")]);
}

#[test]
fn the_one_that_remains_while_another_is_broken_is_the_one() {
    let charm = settled("http://tempo:4318");
    charm.juju().relate("tracing:4", "other");
    charm.juju().break_up("tracing:4");
    let broken = dispatch(&charm, "tracing-relation-broken").in_relation("tracing:4", "other");
    let (stdout, _) = observe(&charm, &broken);
    assert!(stdout.contains("endpoint: http://tempo:4318\n"), "{stdout}");
}

#[test]
fn an_empty_databag_is_not_ready() {
    let charm = charm();
    charm.juju().lead(false);
    charm.juju().relate(ID, "tempo");
    let (stdout, _) = observe(&charm, &dispatch(&charm, "update-status"));
    let why = "the other end of relation tracing:3 has not answered yet";
    assert_eq!(stdout, format!("not ready: {why}\n{NOTHING}"));
    assert_eq!(log(&charm), [format!("DEBUG charm-tracing: {why}")]);
}

#[test]
fn a_malformed_databag_is_not_ready_and_one_line_says_what_is_wrong() {
    for (said, problem) in [
        ("not json", "`receivers` is not JSON"),
        ("{", "`receivers` is not JSON"),
        ("{}", "`receivers` is an object, not a list"),
        ("7", "`receivers` is a number, not a list"),
        ("null", "`receivers` is null, not a list"),
        (r#""http://tempo""#, "`receivers` is text, not a list"),
        ("[null]", "a receiver has no protocol"),
        (
            r#"[{"protocol": {"name": true}, "url": "x"}]"#,
            "protocol of a receiver is a boolean, not text",
        ),
        (
            r#"[{"protocol": {"name": "otlp_http"}, "url": {}}]"#,
            "`url` of a receiver is an object, not text",
        ),
    ] {
        let charm = settled("http://tempo:4318");
        charm.juju().lead(false);
        charm.juju().say(ID, "tempo", "receivers", said);
        let (stdout, _) = observe(&charm, &dispatch(&charm, "update-status"));
        let why = format!(
            "the other end of relation tracing:3 says what cannot be understood: {problem}"
        );
        assert_eq!(stdout, format!("not ready: {why}\n{NOTHING}"), "{said}");
        assert_eq!(log(&charm), [format!("WARNING charm-tracing: {why}")], "{said}");
    }
}

#[test]
fn a_backend_that_does_not_receive_what_is_wanted_is_ready_and_has_no_endpoint() {
    let grpc = r#"[{"protocol": {"name": "otlp_grpc", "type": "grpc"}, "url": "tempo:4317"}]"#;
    for (said, first) in [(grpc, "receivers: otlp_grpc=tempo:4317"), ("[]", "receivers: ")] {
        let charm = settled("http://tempo:4318");
        charm.juju().say(ID, "tempo", "receivers", said);
        let (stdout, calls) = observe(&charm, &dispatch(&charm, "update-status"));
        let rest = NOTHING.replace("ready: false", "ready: true");
        assert_eq!(stdout, format!("{first}\n{rest}"));
        assert_eq!(calls, ["relation-ids", "relation-list", "relation-get"]);
    }
}

#[test]
fn what_the_backend_takes_back_is_asked_for_again() {
    for (hook, asks) in [
        ("tracing-relation-changed", true),
        ("leader-elected", true),
        ("upgrade-charm", true),
        ("update-status", false),
    ] {
        let charm = charm();
        charm.juju().relate(ID, "tempo");
        charm.juju().say(ID, "tempo", "receivers", "[]");
        let run = dispatch(&charm, hook);
        let is_own = hook.starts_with("tracing-");
        observe(&charm, &if is_own { run.in_relation(ID, "tempo") } else { run });
        let asked = charm.juju().said(ID, "hello").contains_key("receivers");
        assert_eq!(asked, asks, "{hook}");
    }
}

#[test]
fn outside_juju_nobody_is_asked() {
    let charm = settled("http://tempo:4318");
    let run = dispatch(&charm, "update-status").without("JUJU_CONTEXT_ID");
    let finished = run.run();
    assert_eq!(finished.stdout, format!("not ready: not run by Juju\n{NOTHING}"));
    assert_eq!(charm.juju().take_calls(), [""; 0]);
}

#[test]
fn jujus_own_configuration_costs_no_call_where_no_relation_is_named() {
    let (charm, receiver) = (settled("http://never.invalid"), Receiver::start());
    let run = charm.dispatch("hooks/update-status").juju_4().variable("TEST_TRACING_DEFAULT", "1");
    let run = run.variable("JUJU_CHARM_TRACE_CONFIG_HTTP", &receiver.endpoint());
    let (stdout, calls) = observe(&charm, &run);
    let expected = format!(
        "receivers: otlp_http={url}\nready: true\nendpoint: {url}\nchange: None\n\
         configured: None, certificate: false\n",
        url = receiver.endpoint()
    );
    assert_eq!((stdout, calls), (expected, Vec::new()));
    assert_eq!(receiver.trace().root().name, "hello/0: update-status event");
}

#[test]
fn jujus_own_configuration_brings_its_own_authority() {
    let (charm, receiver) = (charm(), Receiver::start());
    let authority = Authority::new("Juju's");
    let front = TlsFront::start(&receiver, &authority);
    let run = charm.dispatch("hooks/update-status").juju_4().variable("TEST_TRACING_DEFAULT", "1");
    let run = run.variable("JUJU_CHARM_TRACE_CONFIG_HTTP", &front.endpoint());
    let run = run.variable("JUJU_CHARM_TRACE_CONFIG_CA_CERT", &authority.pem());
    let (_, calls) = observe(&charm, &run);
    assert_eq!(calls, [""; 0]);
    assert_eq!(receiver.traces().len(), 1, "{:?}", charm.juju_log());
}

#[test]
fn without_jujus_configuration_a_requirer_without_a_name_is_the_relation_tracing() {
    // This crate does not speak gRPC: that alone is no backend.
    for grpc in ["", "juju:4317"] {
        let (charm, receiver) = (charm(), Receiver::start());
        charm.juju().relate(ID, "tempo");
        charm.juju().offer(ID, "tempo", &receiver.endpoint());
        let run = charm.dispatch("hooks/update-status").juju_4();
        let run = run.variable("TEST_TRACING_DEFAULT", "1");
        let run = run.variable("JUJU_CHARM_TRACE_CONFIG_GRPC", grpc);
        let (_, calls) = observe(&charm, &run);
        assert_eq!(calls, ["relation-ids", "relation-list", "relation-get"]);
        assert_eq!(receiver.traces().len(), 1);
    }
}

#[test]
fn a_relation_that_is_named_outranks_jujus_configuration() {
    let (related, jujus) = (Receiver::start(), Receiver::start());
    let charm = settled(&related.endpoint());
    let run = dispatch(&charm, "update-status").juju_4();
    let run = run.variable("JUJU_CHARM_TRACE_CONFIG_HTTP", &jujus.endpoint());
    observe(&charm, &run);
    assert_eq!((related.traces().len(), jujus.traces().len()), (1, 0));
    charm.juju().remove(ID);
    observe(&charm, &run);
    assert_eq!(jujus.traces().len(), 1);
}

#[test]
fn https_needs_a_certificate_on_disk() {
    let charm = settled("https://tempo:4318");
    let path = charm.path().join("ca.crt");
    let run = dispatch(&charm, "update-status").variable("TEST_CA_PATH", path.to_str().unwrap());
    let (stdout, _) = observe(&charm, &run);
    assert!(stdout.ends_with("configured: None, certificate: false\n"), "{stdout}");
    let why = "the backend is `https` and there is no CA certificate yet; traces wait on disk";
    assert_eq!(log(&charm), [format!("ERROR charm-tracing: {why}")]);
    std::fs::write(path, "a certificate").unwrap();
    let (stdout, _) = observe(&charm, &run);
    let configured = "configured: Some(\"https://tempo:4318\"), certificate: true\n";
    assert!(stdout.ends_with(configured), "{stdout}");
}

#[test]
fn http_needs_no_certificate() {
    let charm = settled("http://tempo:4318");
    let (stdout, _) = observe(&charm, &dispatch(&charm, "update-status"));
    let configured = "configured: Some(\"http://tempo:4318\"), certificate: false\n";
    assert!(stdout.ends_with(configured), "{stdout}");
}

#[test]
fn reading_the_relation_is_in_the_trace_of_the_charms_constructor() {
    let receiver = Receiver::start();
    let charm = settled(&receiver.endpoint());
    observe(&charm, &dispatch(&charm, "update-status"));
    let outline = "\
hello/0: update-status event
  method call: JujuCharm::new
    relation-ids
    relation-list
    relation-get
  event: update-status
    method call: JujuCharm::on_event
";
    assert_eq!(receiver.trace().outline(), outline);
}
