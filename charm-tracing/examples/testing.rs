//! A charm's own tests look at its traces: `cargo test --example testing`
//!
//! `capture` runs code and returns its spans; nothing is sent and nothing is written. In a charm's
//! `Cargo.toml` the feature `testing` belongs to `[dev-dependencies]`.

use std::fmt;
use std::process::ExitCode;

use charm_tracing::{current_span, run, trace_charm};
use charm_tracing_tests::{by_environment, show};

struct HelloCharm {
    workers: u32,
}

#[derive(Debug)]
struct NoWorkers;

impl fmt::Display for NoWorkers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("there are no workers")
    }
}

#[trace_charm]
impl HelloCharm {
    fn new() -> Self {
        Self { workers: 3 }
    }

    fn on_config_changed(&mut self) -> Result<(), NoWorkers> {
        let config = self.render_config()?;
        if let Some(span) = current_span() {
            span.set_attribute("config.lines", config.lines().count().to_string());
        }
        Ok(())
    }

    fn render_config(&self) -> Result<String, NoWorkers> {
        if self.workers == 0 { Err(NoWorkers) } else { Ok(format!("workers = {}\n", self.workers)) }
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

#[cfg(test)]
mod tests {
    use charm_tracing::assert_tree;
    use charm_tracing::testing::{Status, capture};

    use super::*;

    #[test]
    fn configuring_renders_once() {
        let trace = capture(|| HelloCharm::new().on_config_changed());
        assert_tree!(
            trace,
            "
            capture
              method call: HelloCharm::new
              method call: HelloCharm::on_config_changed
                method call: HelloCharm::render_config
            "
        );
        let span = trace.find("method call: HelloCharm::on_config_changed");
        assert_eq!(span.attribute("config.lines"), Some("1"));
        trace.assert_times_nest();
    }

    #[test]
    fn the_error_says_what_is_missing() {
        let trace = capture(|| HelloCharm { workers: 0 }.on_config_changed());
        let span = trace.find("method call: HelloCharm::render_config");
        assert_eq!(span.status, Status::error("there are no workers"));
        assert_eq!(span.event_names(), ["exception"]);
    }
}
