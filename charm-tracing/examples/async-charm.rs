//! A charm whose functions are `async`: `cargo run --example async-charm`
//!
//! `run_async` takes the place of `run`, on whatever executor the charm uses. A span covers its
//! future from the first poll to the end, and is current only while that future is polled. A task
//! of its own begins outside of every span; `carried_future` takes the current one along.

use std::process::ExitCode;

use charm_tracing::juju::Event;
use charm_tracing::{carried_future, run_async, trace_charm, trace_function};
use charm_tracing_tests::{by_environment, show};
use tokio::task::{JoinError, yield_now};

struct HelloCharm;

#[trace_charm]
impl HelloCharm {
    async fn new() -> Self {
        Self
    }

    async fn on_event(&mut self, event: &Event) -> Result<(), JoinError> {
        match event.name() {
            "install" => self.on_install().await,
            _ => Ok(()),
        }
    }

    async fn on_install(&mut self) -> Result<(), JoinError> {
        let image = tokio::spawn(carried_future(pull_image()));
        render_config().await;
        image.await
    }
}

#[trace_function]
async fn pull_image() {
    yield_now().await;
}

#[trace_function]
async fn render_config() {
    yield_now().await;
}

#[tokio::main(flavor = "current_thread")]
async fn charm() -> ExitCode {
    run_async(HelloCharm::new, HelloCharm::on_event).await
}

/// Shows what a charm's own `main`, here `charm`, sends when Juju runs it.
fn main() -> ExitCode {
    show(&["hooks/install"], by_environment, charm)
}
