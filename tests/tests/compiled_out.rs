//! `default-features = false`: the attributes vanish, the charm runs as ever, and nothing of the
//! exporter is left in its tree.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MANIFEST: &str = r#"
[package]
name = "untraced"
edition = "2024"

[dependencies]
charm-tracing = { path = "CHARM_TRACING", default-features = false }

[workspace]
"#;

const CHARM: &str = r#"
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

/// A crate of its own: in the workspace's, other crates' features would be its own too.
fn untraced_crate() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("untraced");
    let library = root.join("charm-tracing").display().to_string();
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), MANIFEST.replace("CHARM_TRACING", &library)).unwrap();
    fs::write(folder.join("src/main.rs"), CHARM).unwrap();
    // The versions that the workspace has: nothing need be downloaded for this.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--offline", "--quiet"]).current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", folder.join("target")).env("JUJU_DISPATCH_PATH", "hooks/install");
    cargo.output().unwrap()
}

#[test]
fn the_charm_runs_as_ever_and_the_exporter_is_gone() {
    let folder = untraced_crate();
    let run = cargo(&folder, &["run"]);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(stdout, "hello install to http://127.0.0.1:1\n", "{stderr}");
    assert_eq!((run.status.code(), stderr.as_ref()), (Some(1), "Error: as ever\n"));

    let program = fs::read(folder.join("target/debug/untraced")).unwrap();
    let name = b"method call: ";
    assert!(!program.windows(name.len()).any(|bytes| bytes == name), "the attributes vanish");

    let tree = cargo(&folder, &["tree", "--edges", "normal", "--prefix", "none"]);
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("charm-tracing v"), "{tree}");
    for gone in ["ureq", "rustls", "opentelemetry-otlp", "opentelemetry_sdk", "prost", "buffer"] {
        assert!(!tree.contains(gone), "{gone} is left in\n{tree}");
    }
}
