//! Calls on types of crates that know nothing of tracing: `cargo run --example foreign-types`
//!
//! `extra_types(File)` makes a span of every method that the block's functions call on a value of
//! type `File`, at the place of the call. The other crate is not touched.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::ExitCode;

use charm_tracing::{run, trace_charm};
use charm_tracing_tests::{by_environment, show};

const CONFIG: &str = "hello.conf";

struct HelloCharm;

#[trace_charm(extra_types(File))]
impl HelloCharm {
    fn new() -> Self {
        Self
    }

    /// Writes the file anew and then puts it into place, whole.
    fn on_config_changed(&mut self) -> Result<(), io::Error> {
        let mut file = File::create("hello.conf.new")?;
        file.write_all(b"greeting = hello\n")?;
        file.sync_all()?;
        fs::rename("hello.conf.new", CONFIG)
    }
}

fn charm() -> ExitCode {
    run(HelloCharm::new, |charm, event| match event.name() {
        "config-changed" => charm.on_config_changed(),
        _ => Ok(()),
    })
}

/// Shows what a charm's own `main`, here `charm`, sends when Juju runs it.
fn main() -> ExitCode {
    show(&["hooks/config-changed"], by_environment, charm)
}
