//! See a charm's traces: `cargo run --example quickstart`, with nothing installed but Rust.
//!
//! This program starts a receiver for OTLP/HTTP on the loopback interface and then runs itself as a
//! charm, the way Juju does: a process per event, Juju's environment, hook tools on `PATH`, a
//! relation that says where the receiver is. Then it draws every trace that arrived. With
//! `-- --svg docs/quickstart.svg` behind the command it makes the picture in the README.
//!
//! The charm is the one in `hello-charm/`, as it stands there; all here is what Juju and Grafana do
//! for it.

use std::process::ExitCode;

use charm_tracing_tests::{CharmDir, Variables, show};

#[path = "hello-charm/src/main.rs"]
mod hello_charm;

/// What Juju is to run the charm for.
const EVENTS: [&str; 4] = ["hooks/install", "hooks/config-changed", "hooks/start", "actions/greet"];

fn main() -> ExitCode {
    show(&EVENTS, relate, hello_charm::main)
}

/// The operator configures the charm and relates it to a backend, which says where it is. The
/// action is run with nobody to greet. The charm's storage is its own directory.
fn relate(charm: &CharmDir, endpoint: &str) -> Variables {
    let juju = charm.juju();
    juju.configure([("greeting", "hello")]);
    juju.run_action([("name", "")]);
    juju.relate("tracing:1", "tempo");
    juju.offer("tracing:1", "tempo", endpoint);
    vec![("HELLO_CHARM_TRACES", charm.path().display().to_string())]
}
