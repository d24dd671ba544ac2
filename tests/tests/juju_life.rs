//! The sample charm from its first event to its last: where each trace goes, and that none is
//! missing at the end.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;

use charm_tracing_tests::{Authority, CharmDir, CharmRun, Receiver, TlsFront};
use serde_json::json;

const TRACING: &str = "tracing:3";
const CA: &str = "receive-ca-cert:5";

/// Where a trace has gone at the end of its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    ToDisk,
    OverHttp,
    OverHttps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Leader,
    Follower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Juju {
    V3_6,
    V4_1,
}

struct Life {
    charm: CharmDir,
    juju: Juju,
    http: Receiver,
    https: Receiver,
    front: TlsFront,
    /// The ids of all traces so far.
    ids: Vec<String>,
}

impl Life {
    fn begin(juju: Juju, role: Role, authority: &Authority) -> Self {
        let program = env!("CARGO_BIN_EXE_hello-charm-under-test");
        let charm = CharmDir::new(program, env!("CARGO_BIN_EXE_hook-tool"));
        let metadata = include_str!("../../charm-tracing/examples/hello-charm/charmcraft.yaml");
        fs::remove_file(charm.path().join("metadata.yaml")).unwrap();
        fs::write(charm.path().join("charmcraft.yaml"), metadata).unwrap();
        fs::create_dir(charm.path().join("charm-traces")).unwrap();
        charm.juju().configure([("greeting", "hello")]);
        charm.juju().run_action([("name", "world")]);
        charm.juju().lead(role == Role::Leader);
        let (http, https) = (Receiver::start(), Receiver::start());
        let front = TlsFront::start(&https, authority);
        Self { charm, juju, http, https, front, ids: Vec::new() }
    }

    /// Which authority the other charm vouches for.
    fn vouch(&self, authority: &Authority) {
        let certificates = json!([authority.pem()]).to_string();
        self.charm.juju().say(CA, "authorities", "certificates", &certificates);
    }

    fn run(&self, path: &str) -> CharmRun {
        let storage = self.charm.path().join("charm-traces");
        let run =
            self.charm.dispatch(path).variable("HELLO_CHARM_TRACES", storage.to_str().unwrap());
        // What has to wait for its turn on a busy machine is not late for that.
        let run = run.variable("OTEL_EXPORTER_OTLP_TIMEOUT", "20000");
        let run = if self.juju == Juju::V4_1 { run.juju_4() } else { run };
        if path.starts_with("hooks/tracing-") {
            run.in_relation(TRACING, "tempo")
        } else if path.starts_with("hooks/receive-ca-cert-") {
            run.in_relation(CA, "authorities")
        } else {
            run
        }
    }

    /// Juju runs the charm; its trace, and with it all that waited, must have gone where it should.
    fn dispatch(&mut self, path: &str, went: Went) {
        let finished = self.run(path).run();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{path}");
        let id = self.last_trace_id();
        assert!(!self.ids.contains(&id), "{path}: {id} was there before");
        let (over_http, over_https) = (has(&self.http, &id), has(&self.https, &id));
        let expected = (went == Went::OverHttp, went == Went::OverHttps);
        let log = self.charm.juju_log();
        assert_eq!((over_http, over_https), expected, "{path} went elsewhere: {log:#?}");
        self.ids.push(id);
        if went != Went::ToDisk {
            self.assert_none_is_missing(path);
        }
    }

    /// From the log's line for `jhack`.
    fn last_trace_id(&self) -> String {
        let log = self.charm.debug_log();
        let begin = "DEBUG Starting root trace with id='";
        let id = log.iter().rev().find_map(|line| line.strip_prefix(begin)?.strip_suffix("'."));
        id.expect("the line with the trace's id").to_owned()
    }

    /// Every trace has come, once, and whole.
    fn assert_none_is_missing(&self, when: &str) {
        let mut came = self.http.traces();
        came.extend(self.https.traces());
        let mut came_ids: Vec<&str> = came.iter().map(|trace| trace.id.as_str()).collect();
        let mut ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        came_ids.sort_unstable();
        ids.sort_unstable();
        assert_eq!(came_ids, ids, "after {when}");
        for trace in &came {
            assert!(trace.root().name.starts_with("hello/0: "), "{trace}");
            assert_eq!(trace.resource["charm"], "hello-charm");
            trace.assert_times_nest();
        }
    }

    fn said(&self, id: &str, key: &str) -> Option<String> {
        self.charm.juju().said(id, "hello").get(key).cloned()
    }
}

fn has(receiver: &Receiver, id: &str) -> bool {
    receiver.traces().iter().any(|trace| trace.id == id)
}

fn live(juju: Juju, role: Role) {
    let (authority, successor) = (Authority::new("first"), Authority::new("second"));
    let mut life = Life::begin(juju, role, &authority);
    let is_leader = role == Role::Leader;

    // Nobody receives traces: they wait on the storage.
    life.dispatch("hooks/charm-traces-storage-attached", Went::ToDisk);
    life.dispatch("hooks/install", Went::ToDisk);
    if is_leader {
        life.dispatch("hooks/leader-elected", Went::ToDisk);
    }
    life.dispatch("hooks/config-changed", Went::ToDisk);
    life.dispatch("hooks/start", Went::ToDisk);

    // A backend comes, and says after a while where it is.
    life.charm.juju().relate(TRACING, "tempo");
    life.dispatch("hooks/tracing-relation-created", Went::ToDisk);
    let asked = life.said(TRACING, "receivers");
    assert_eq!(asked.as_deref(), is_leader.then_some(r#"["otlp_http"]"#));
    life.charm.juju().join(TRACING, "tempo/0");
    life.dispatch("hooks/tracing-relation-joined", Went::ToDisk);
    life.charm.juju().offer(TRACING, "tempo", &life.http.endpoint());
    life.dispatch("hooks/tracing-relation-changed", Went::OverHttp);
    life.dispatch("hooks/update-status", Went::OverHttp);

    // It becomes `https`, and nobody vouches for it yet.
    life.charm.juju().offer(TRACING, "tempo", &life.front.endpoint());
    life.dispatch("hooks/tracing-relation-changed", Went::ToDisk);
    life.charm.juju().relate(CA, "authorities");
    life.dispatch("hooks/receive-ca-cert-relation-created", Went::ToDisk);
    assert_eq!(life.said(CA, "version").as_deref(), is_leader.then_some("1"));
    life.charm.juju().join(CA, "authorities/0");
    life.dispatch("hooks/receive-ca-cert-relation-joined", Went::ToDisk);
    life.vouch(&authority);
    life.dispatch("hooks/receive-ca-cert-relation-changed", Went::OverHttps);
    life.dispatch("actions/greet", Went::OverHttps);

    // The authority is replaced: first the server has the new one, then the charm.
    life.front.rotate(&successor);
    life.dispatch("hooks/update-status", Went::ToDisk);
    life.vouch(&successor);
    life.dispatch("hooks/receive-ca-cert-relation-changed", Went::OverHttps);

    // The backend goes.
    life.dispatch("hooks/tracing-relation-departed", Went::OverHttps);
    life.charm.juju().break_up(TRACING);
    life.dispatch("hooks/tracing-relation-broken", Went::ToDisk);
    life.charm.juju().remove(TRACING);
    life.dispatch("hooks/update-status", Went::ToDisk);

    // Another one takes what has waited.
    life.charm.juju().relate(TRACING, "tempo");
    life.charm.juju().offer(TRACING, "tempo", &life.http.endpoint());
    life.dispatch("hooks/tracing-relation-changed", Went::OverHttp);
    life.assert_none_is_missing("the end");
}

#[test]
fn no_trace_of_a_leaders_life_is_missing_on_juju_3() {
    live(Juju::V3_6, Role::Leader);
}

#[test]
fn no_trace_of_a_followers_life_is_missing_on_juju_3() {
    live(Juju::V3_6, Role::Follower);
}

#[test]
fn no_trace_of_a_leaders_life_is_missing_on_juju_4() {
    live(Juju::V4_1, Role::Leader);
}

#[test]
fn no_trace_of_a_followers_life_is_missing_on_juju_4() {
    live(Juju::V4_1, Role::Follower);
}
