//! What depends on how a charm is compiled, in crates of their own: in the workspace's, other
//! crates' features and profiles would be theirs too.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use charm_tracing_tests::{CharmDir, Receiver, Status};

// Tracing compiled out: the attributes vanish, the charm runs as ever, the exporter is gone.

const UNTRACED_MANIFEST: &str = r#"
[package]
name = "untraced"
edition = "2024"

[dependencies]
charm-tracing = { path = "CHARM_TRACING", default-features = false }

[workspace]
"#;

const UNTRACED_CHARM: &str = r#"
use std::process::ExitCode;

use charm_tracing::{current_span, trace_charm, trace_function, trace_type};

struct Charm {
    endpoint: Option<String>,
    store: Store,
}

#[trace_charm(tracing_endpoint = endpoint, buffer_path = "/nowhere", extra_types(String))]
impl Charm {
    fn new() -> Result<Self, String> {
        Ok(Self { endpoint: Some("http://127.0.0.1:1".to_owned()), store: Store })
    }

    fn on_event(&mut self, name: &str) -> Result<(), String> {
        assert!(current_span().is_none());
        let greeting = charm_tracing::event("greeting", || greeting(name));
        println!("{greeting} to {}", self.endpoint.as_deref().unwrap_or_default());
        self.store.fail()
    }
}

struct Store;

#[trace_type]
impl Store {
    fn fail(&self) -> Result<(), String> {
        Err("as ever".to_owned())
    }
}

#[trace_function]
fn greeting(name: &str) -> String {
    format!("hello {name}")
}

fn main() -> ExitCode {
    charm_tracing::run(Charm::new, |charm, event| charm.on_event(event.name()))
}
"#;

#[test]
fn the_charm_runs_as_ever_and_the_exporter_is_gone() {
    let folder = write("untraced", UNTRACED_MANIFEST, UNTRACED_CHARM);
    let run = cargo(&folder, &["run"]);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(stdout, "hello install to http://127.0.0.1:1\n", "{stderr}");
    assert_eq!((run.status.code(), stderr.as_ref()), (Some(1), "Error: as ever\n"));

    let program = fs::read(program(&folder)).unwrap();
    let name = b"method call: Charm::";
    assert!(!program.windows(name.len()).any(|bytes| bytes == name), "the attributes vanish");

    let tree = cargo(&folder, &["tree", "--edges", "normal", "--prefix", "none"]);
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("charm-tracing v"), "{tree}");
    for gone in ["ureq", "rustls", "opentelemetry-otlp", "opentelemetry_sdk", "prost", "buffer"] {
        assert!(!tree.contains(gone), "{gone} is left in\n{tree}");
    }
}

// `panic = "abort"`: nothing unwinds, no guard is dropped, and the trace is there all the same.

const ABORTING_MANIFEST: &str = r#"
[package]
name = "aborting"
edition = "2024"

[dependencies]
charm-tracing = { path = "CHARM_TRACING" }

[profile.dev]
panic = "abort"

[workspace]
"#;

const ABORTING_CHARM: &str = r#"
use charm_tracing::trace_charm;

struct Charm {
    endpoint: Option<String>,
}

#[trace_charm(tracing_endpoint = endpoint)]
impl Charm {
    fn new() -> Self {
        Self { endpoint: std::env::var("TEST_CHARM_ENDPOINT").ok() }
    }

    fn on_install(&mut self) {
        self.unpack();
    }

    fn unpack(&mut self) {
        panic!("nothing to unpack");
    }
}

fn main() -> std::process::ExitCode {
    charm_tracing::run(Charm::new, |charm, event| {
        if event.name() == "install" {
            charm.on_install();
        }
    })
}
"#;

#[test]
fn a_panic_that_aborts_leaves_its_trace_in_the_buffer() {
    let charm = build("aborting", ABORTING_MANIFEST, ABORTING_CHARM);
    let charm = CharmDir::new(charm, env!("CARGO_BIN_EXE_hook-tool"));
    let receiver = Receiver::start();

    let aborted = charm.dispatch("hooks/install").run();
    assert_eq!(aborted.code, None, "a signal ended it: {aborted:?}");
    assert_eq!(aborted.stderr.matches("nothing to unpack").count(), 1);

    let next = charm.dispatch("hooks/start");
    next.variable("TEST_CHARM_ENDPOINT", &receiver.endpoint()).run();
    let traces = receiver.traces();
    let [_, trace] = &traces[..] else { panic!("two traces wanted: {traces:?}") };
    assert_eq!(
        trace.path(trace.find("method call: Charm::unpack")),
        [
            "hello/0: install event",
            "event: install",
            "method call: Charm::on_install",
            "method call: Charm::unpack"
        ]
    );
    let failed = |name: &str| match &trace.find(name).status {
        Status::Error(why) => why.contains("nothing to unpack"),
        _ => false,
    };
    assert!(failed("hello/0: install event") && failed("method call: Charm::unpack"));
}

/// Writes a crate of this manifest and `main.rs`; `CHARM_TRACING` in the manifest is the library.
fn write(name: &str, manifest: &str, charm: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let library = root.join("charm-tracing").display().to_string();
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest.replace("CHARM_TRACING", &library)).unwrap();
    fs::write(folder.join("src/main.rs"), charm).unwrap();
    // The versions that the workspace has: nothing need be downloaded for this.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

/// Builds such a crate; the program's path.
fn build(name: &str, manifest: &str, charm: &str) -> PathBuf {
    let folder = write(name, manifest, charm);
    let built = cargo(&folder, &["build"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program(&folder)
}

/// The program of a crate that was built.
fn program(folder: &Path) -> PathBuf {
    folder.join("target/debug").join(folder.file_name().unwrap())
}

/// Runs cargo in such a crate, as a hook of Juju's would be run.
fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--offline", "--quiet"]).current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", folder.join("target")).env("JUJU_DISPATCH_PATH", "hooks/install");
    cargo.output().unwrap()
}
