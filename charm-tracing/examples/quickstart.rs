//! See a charm's traces: `cargo run --example quickstart`, with nothing installed but Rust.
//!
//! This program starts a receiver for OTLP/HTTP on the loopback interface and then runs itself as a
//! charm, the way Juju does: a process per event, Juju's environment, hook tools on `PATH`, a
//! relation that says where the receiver is. Then it draws every trace that arrived.
//!
//! The charm is the one in `hello-charm/`, as it stands there; all here is what Juju and Grafana do
//! for it.

use std::io::{self, Write};
use std::process::ExitCode;

use charm_tracing_tests::{CharmDir, Palette, Receiver, Tree, hook_tools};

#[path = "hello-charm/src/main.rs"]
mod hello_charm;

/// What Juju is to run the charm for.
const EVENTS: [&str; 4] = ["hooks/install", "hooks/config-changed", "hooks/start", "actions/greet"];

fn main() -> ExitCode {
    if let Some(code) = hook_tools::main() {
        return code;
    }
    if std::env::var_os("JUJU_DISPATCH_PATH").is_some() {
        return hello_charm::main();
    }
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> io::Result<()> {
    let receiver = Receiver::start();
    let program = std::env::current_exe()?;
    let charm = CharmDir::new(&program, &program);
    relate(&charm, &receiver.endpoint());
    let storage = charm.path().display().to_string();
    let mut out = io::stdout().lock();
    writeln!(out, "A receiver for OTLP/HTTP listens on {}.\n", receiver.endpoint())?;
    for (nth, dispatch_path) in EVENTS.into_iter().enumerate() {
        let run = charm.dispatch(dispatch_path);
        let finished = run.variable("HELLO_CHARM_TRACES", &storage).run();
        let code = finished.code.map_or("none".to_owned(), |code| code.to_string());
        writeln!(out, "Juju runs {dispatch_path}: exit code {code}")?;
        match receiver.traces().get(nth) {
            Some(trace) => writeln!(out, "{}", Tree::new(trace, Palette::of_stdout()))?,
            None => {
                return Err(io::Error::other(format!("no trace arrived:\n{}", finished.stderr)));
            }
        }
    }
    writeln!(
        out,
        "Each tree is what the charm sent and a backend such as Grafana Tempo would show."
    )
}

/// The operator configures the charm and relates it to a backend, which says where it is. The
/// action is run with nobody to greet.
fn relate(charm: &CharmDir, endpoint: &str) {
    let juju = charm.juju();
    juju.configure([("greeting", "hello")]);
    juju.run_action([("name", "")]);
    juju.relate("tracing:1", "tempo");
    juju.offer("tracing:1", "tempo", endpoint);
}
