//! An `async` charm on a multi-threaded executor, with a library that is instrumented with
//! `tracing` and one that uses the OpenTelemetry API.

use std::fmt;
use std::process::ExitCode;
use std::thread;

use charm_tracing::juju::Event;
use charm_tracing::{carried, carried_future, trace_charm, trace_function};
use opentelemetry::global;
use opentelemetry::trace::Tracer;
use tokio::task::{JoinError, JoinSet};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

struct AsyncCharm {
    endpoint: Option<String>,
}

#[trace_charm(tracing_endpoint = endpoint)]
impl AsyncCharm {
    async fn new() -> Self {
        tokio::task::yield_now().await;
        Self { endpoint: std::env::var("TEST_CHARM_ENDPOINT").ok() }
    }

    async fn on_event(&mut self, event: &Event) -> Result<(), Error> {
        match event.name() {
            "everything" => self.on_everything().await,
            "tasks" => self.on_tasks().await,
            "fails" => self.on_fails().await,
            "panics" => self.on_panics().await,
            _ => Ok(()),
        }
    }

    /// Spans of every API and of two threads, one in the other.
    async fn on_everything(&mut self) -> Result<(), Error> {
        library_call().await;
        let in_a_thread = carried(|| {
            global::tracer("library").in_span("opentelemetry in a thread", |_| compute(1));
        });
        tokio::task::spawn_blocking(in_a_thread).await.map_err(Error::Task)?;
        thread::scope(|scope| {
            scope.spawn(|| compute(2));
        });
        Ok(())
    }

    async fn on_tasks(&mut self) -> Result<(), Error> {
        let mut tasks = JoinSet::new();
        for number in 0..10 {
            tasks.spawn(carried_future(async move { compute(number) }));
            tasks.spawn(async move { compute(number) });
        }
        while let Some(task) = tasks.join_next().await {
            task.map_err(Error::Task)?;
        }
        Ok(())
    }

    async fn on_fails(&mut self) -> Result<(), Error> {
        tokio::task::yield_now().await;
        Err(Error::Asked)
    }

    #[expect(clippy::panic, reason = "what a charm may do, this one does")]
    async fn on_panics(&mut self) -> Result<(), Error> {
        tokio::task::yield_now().await;
        panic!("the charm panics");
    }
}

#[tracing::instrument]
async fn library_call() {
    tracing::info!("library at work");
    compute(0);
}

#[trace_function]
fn compute(number: u64) -> u64 {
    number + 1
}

#[derive(Debug)]
enum Error {
    Asked,
    Task(JoinError),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => formatter.write_str("the charm fails"),
            Self::Task(error) => error.fmt(formatter),
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::registry().with(charm_tracing::layer::layer()).init();
    // As a task of its own, which may move from thread to thread.
    let charm = tokio::spawn(charm_tracing::run_async(AsyncCharm::new, AsyncCharm::on_event));
    charm.await.unwrap_or(ExitCode::from(101))
}
