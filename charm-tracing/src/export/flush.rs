//! Spans of a long execution, on their way to the disk before its end: a charm that is killed loses
//! what has not left yet, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{mem, panic, process};

use charm_tracing_buffer::EventKey;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;

use super::encode::encode;
use super::payload::Payload;
use super::queue::Queue;
use crate::collector::Span;
use crate::config::Config;
use crate::juju::Environment;
use crate::resource::resource;
use crate::threads::lock;

/// Puts finished spans into the buffer, under the execution's own event.
///
/// What is pushed here survives the process but not a loss of power: the end of the execution syncs
/// it, where that is no end by force. Nothing here fails; what the buffer does not take stays in
/// memory.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// The process that the execution is of.
    process: u32,
    trace: SpanContext,
    config: Config,
    environment: Environment,
    resource: OnceLock<Vec<KeyValue>>,
    queue: Mutex<Queue>,
    unkept: Mutex<Vec<Payload>>,
    records: AtomicUsize,
}

/// What a flusher has done.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// How many records the buffer has been given.
    pub(crate) records: usize,
    /// What the buffer did not take.
    pub(crate) unkept: Vec<Payload>,
    /// How many executions had to go for it.
    pub(crate) evicted: u64,
    /// What went wrong with the buffer, for the log.
    pub(crate) problem: Option<String>,
}

impl Flusher {
    pub(crate) fn new(
        trace: SpanContext,
        config: Config,
        environment: Environment,
        event: EventKey,
    ) -> Self {
        let queue = Mutex::new(Queue::new(config.buffer.clone(), event));
        let (resource, unkept, records) = Default::default();
        let process = process::id();
        Self { process, trace, config, environment, resource, queue, unkept, records }
    }

    /// Takes spans that are finished; in a process that the charm's has forked, nothing.
    pub(crate) fn flush(&self, spans: &[Span]) {
        if process::id() == self.process {
            let flush = panic::AssertUnwindSafe(|| self.push(spans));
            let _ = panic::catch_unwind(flush);
        }
    }

    /// Offers what the buffer did not take once more; whether it has all of it now. A lock that was
    /// held for too long is free again, a disk that was full has room.
    pub(crate) fn retry(&self) -> bool {
        let retry = panic::AssertUnwindSafe(|| {
            let mut queue = lock(&self.queue);
            if queue.is_off() {
                queue.reopen();
                let unkept = mem::take(&mut *lock(&self.unkept));
                self.keep(unkept, &mut queue);
            }
            lock(&self.unkept).is_empty()
        });
        panic::catch_unwind(retry).unwrap_or(false)
    }

    /// Whether the buffer holds spans of this execution.
    pub(crate) fn has_flushed(&self) -> bool {
        self.records.load(Ordering::Acquire) > 0
    }

    /// What was flushed so far, at the end of the execution.
    pub(crate) fn flushed(&self) -> Flushed {
        let mut queue = lock(&self.queue);
        Flushed {
            records: self.records.load(Ordering::Acquire),
            unkept: mem::take(&mut lock(&self.unkept)),
            evicted: queue.state.evicted,
            problem: queue.problem.take(),
        }
    }

    fn push(&self, spans: &[Span]) {
        let resource = self.resource.get_or_init(|| resource(&self.config, &self.environment));
        let payloads = encode(spans, &self.trace, resource);
        self.keep(payloads, &mut lock(&self.queue));
    }

    fn keep(&self, payloads: Vec<Payload>, queue: &mut Queue) {
        for payload in payloads {
            if queue.push(&payload) {
                self.records.fetch_add(1, Ordering::Release);
            } else {
                lock(&self.unkept).push(payload);
            }
        }
    }
}
