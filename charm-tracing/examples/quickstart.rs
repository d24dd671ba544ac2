//! See a charm's traces: `cargo run --example quickstart`, with nothing installed but Rust.
//!
//! This program starts a receiver for OTLP/HTTP on the loopback interface and then runs itself as a
//! charm, the way Juju does: a process per event, Juju's environment, hook tools on `PATH`. Then it
//! draws every trace that arrived. Everything between the two rules is the charm; the rest is what
//! Juju and Grafana do for a real one.

use std::io::{self, Write};
use std::process::ExitCode;

use charm_tracing_tests::{CharmDir, Palette, Receiver, Tree, hook_tools};

// ── The charm ────────────────────────────────────────────────────────────────────────────────────

mod charm {
    use std::fmt;
    use std::process::{Command, ExitCode};

    use charm_tracing::juju::Event;
    use charm_tracing::{current_span, trace_charm, trace_function, trace_type};

    struct HelloCharm {
        tracing_endpoint: Option<String>,
        workload: Workload,
    }

    #[trace_charm(tracing_endpoint = tracing_endpoint, service_name = "hello")]
    impl HelloCharm {
        fn new() -> Self {
            // A charm that is related to a backend asks the relation; this one is told.
            Self {
                tracing_endpoint: std::env::var("QUICKSTART_ENDPOINT").ok(),
                workload: Workload::default(),
            }
        }

        fn on_event(&mut self, event: &Event) -> Result<(), Error> {
            match event.name() {
                "install" => self.on_install(),
                "config-changed" => self.on_config_changed(),
                "backup" => self.on_backup_action(),
                _ => Ok(()),
            }
        }

        fn on_install(&mut self) -> Result<(), Error> {
            self.workload.unpack();
            set_status("installed");
            Ok(())
        }

        fn on_config_changed(&mut self) -> Result<(), Error> {
            let workers = 3;
            let config = render_config(workers);
            if let Some(span) = current_span() {
                span.set_attribute("workers", i64::from(workers));
            }
            if self.workload.apply(config) {
                charm_tracing::event("database-ready", || self.on_database_ready());
            }
            Ok(())
        }

        fn on_database_ready(&mut self) {
            self.workload.restart();
            set_status("active");
        }

        fn on_backup_action(&mut self) -> Result<(), Error> {
            let bytes = self.workload.dump();
            self.workload.upload(bytes)
        }
    }

    /// What the charm operates.
    #[derive(Default)]
    struct Workload {
        unpacked: bool,
        config: String,
        restarts: u32,
    }

    #[trace_type]
    impl Workload {
        fn unpack(&mut self) {
            work(4);
            self.unpacked = true;
        }

        /// Whether the configuration is another one now.
        fn apply(&mut self, config: String) -> bool {
            work(2);
            let changed = self.config != config;
            self.config = config;
            changed
        }

        fn restart(&mut self) {
            work(5);
            self.restarts += 1;
        }

        fn dump(&self) -> usize {
            work(3);
            (1 << 20) + self.config.len()
        }

        fn upload(&self, bytes: usize) -> Result<(), Error> {
            work(1);
            if self.unpacked { Ok(()) } else { Err(Error::BucketFull { bytes }) }
        }
    }

    #[trace_function]
    fn render_config(workers: u32) -> String {
        work(1);
        format!("workers = {workers}\n")
    }

    #[trace_function]
    fn set_status(status: &str) {
        // A hook tool that is missing is for the charm to decide about; this one does not mind.
        let _ = Command::new("status-set").arg(status).status();
    }

    /// What a charm really does takes time; this takes about as many milliseconds.
    fn work(milliseconds: u64) {
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    }

    #[derive(Debug)]
    enum Error {
        BucketFull { bytes: usize },
    }

    impl fmt::Display for Error {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::BucketFull { bytes } => write!(formatter, "no room for {bytes} bytes"),
            }
        }
    }

    pub(super) fn main() -> ExitCode {
        charm_tracing::run(HelloCharm::new, HelloCharm::on_event)
    }
}

// ── Juju and Grafana ─────────────────────────────────────────────────────────────────────────────

/// What Juju is to run the charm for.
const EVENTS: [&str; 3] = ["hooks/install", "hooks/config-changed", "actions/backup"];

fn main() -> ExitCode {
    if let Some(code) = hook_tools::main() {
        return code;
    }
    if std::env::var_os("JUJU_DISPATCH_PATH").is_some() {
        return charm::main();
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
    let mut out = io::stdout().lock();
    writeln!(out, "A receiver for OTLP/HTTP listens on {}.\n", receiver.endpoint())?;
    for (nth, dispatch_path) in EVENTS.into_iter().enumerate() {
        let run = charm.dispatch(dispatch_path);
        let finished = run.variable("QUICKSTART_ENDPOINT", &receiver.endpoint()).run();
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
