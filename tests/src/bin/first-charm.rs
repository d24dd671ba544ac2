//! The first charm of `docs/guide.md`, word for word below this head.

use std::fs;
use std::io;
use std::process::ExitCode;

use charm_tracing::trace_charm;

struct HelloCharm;

#[trace_charm]
impl HelloCharm {
    fn new() -> Self {
        Self
    }

    fn on_install(&mut self) -> Result<(), io::Error> {
        self.write_greeting("hello")
    }

    fn write_greeting(&self, greeting: &str) -> Result<(), io::Error> {
        fs::write("greeting", greeting)
    }
}

fn main() -> ExitCode {
    charm_tracing::run(HelloCharm::new, |charm, event| match event.name() {
        "install" => charm.on_install(),
        _ => Ok(()),
    })
}
