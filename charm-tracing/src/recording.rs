//! The life of an execution's trace: opened with the root span, flushed on the way if that is long,
//! handed on at the end. The only file that knows collector, buffer and network.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{mem, process};

use charm_tracing_buffer::EventKey;
use opentelemetry::trace::TraceId;
use opentelemetry::{Context, KeyValue};

use crate::collector::{Collector, Ending};
use crate::config::{self, Config, Options};
use crate::current::Reach;
use crate::event;
use crate::export::{self, Delivery, Flusher, Line, Payload, Queue, Weight};
use crate::failure::Failure;
use crate::ids;
use crate::juju::{self, Environment, Level};
use crate::panics;
use crate::resource::resource;
use crate::root;
use crate::span::Root;
use crate::watch::Watch;

/// A trace under way.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The process that it is of.
    process: u32,
    collector: Arc<Collector>,
    root: Root,
    /// What the execution's spans are filed under in the buffer.
    event_key: EventKey,
    /// Takes spans to the buffer before the end; absent until it is known where that is.
    flusher: Option<Arc<Flusher>>,
    /// Sees to it that they get there in time.
    watch: Option<Watch>,
}

impl Recording {
    /// Opens the root span; `None` where tracing is switched off.
    pub(crate) fn begin(environment: &Environment) -> Option<Self> {
        if !config::is_enabled(environment) {
            return None;
        }
        let (collector, root) = root::open(environment, Reach::Process)?;
        event::announce_execution(&environment.event(), collector.trace());
        let event_key = EventKey(ids::trace_id().to_bytes());
        let process = process::id();
        Some(Self { process, collector, root, event_key, flusher: None, watch: None })
    }

    /// The context in which the root is current.
    pub(crate) fn root_context(&self) -> Context {
        self.root.context.clone()
    }

    /// Records on the root that the execution failed.
    pub(crate) fn fail(&self, failure: Failure<'_>) {
        self.root.key.fail(failure.into_text());
    }

    /// Records on the root that the execution panicked.
    pub(crate) fn fail_with_panic(&self) {
        self.root.key.fail(panics::last_panic());
    }

    /// Now that it is known where the buffer is, spans may go there before the end: when there are
    /// many, when they wait long, when the process is about to abort.
    pub(crate) fn flush_from_now_on(&mut self, options: &Options, environment: &Environment) {
        let config = Config::resolve(Some(options), environment);
        if config.buffer.max_events == 0 || self.flusher.is_some() {
            return;
        }
        let (trace, environment) = (self.collector.trace().clone(), environment.clone());
        let flusher = Arc::new(Flusher::new(trace, config, environment, self.event_key));
        self.flusher = Some(Arc::clone(&flusher));
        let retried = Arc::clone(&flusher);
        self.collector.leave_through(move |spans| flusher.flush(&spans));
        let collector = Arc::clone(&self.collector);
        let tick = move || {
            retried.retry();
            collector.let_leave()
        };
        self.watch = Watch::start(tick).ok();
        let (root, last_words) = (self.root.key.clone(), self.last_words());
        panics::before_abort(Some(Box::new(move |failure| {
            root.fail(failure);
            last_words();
        })));
    }

    /// Now that the charm is built, and has decided about signals, it loses nothing when it is told
    /// to end.
    pub(crate) fn flush_on_signal(&mut self) {
        let last_words = self.last_words();
        if let Some(watch) = &mut self.watch {
            watch.hand_over_on_signal(last_words);
        }
    }

    /// Writes down what there is, of an execution that will not come to its end.
    fn last_words(&self) -> impl FnOnce() + Send + use<> {
        let (collector, flusher) = (Arc::clone(&self.collector), self.flusher.clone());
        move || {
            if let Some(flusher) = flusher {
                flusher.flush(&collector.close(Ending::CutShort));
                let _kept = (0..LAST_TRIES).any(|_| flusher.retry());
            }
        }
    }

    /// Closes the trace and hands it on, within one deadline.
    pub(crate) fn hand_on(self, options: Option<&Options>, environment: &Environment) {
        if process::id() != self.process {
            // A process that the charm's has forked: the execution is its parent's.
            return mem::forget(self);
        }
        let began = Instant::now();
        let config = Config::resolve(options, environment);
        let Self { collector, root, event_key, flusher, mut watch, .. } = self;
        if let Some(watch) = &mut watch {
            watch.execution_ends(config.export_timeout * 2 + PATIENCE);
        }
        panics::before_abort(None);
        let mut queue = Queue::new(config.buffer.clone(), event_key);
        queue.recall();
        note_backlog(&root, &mut queue, flusher.as_deref());
        drop(root);
        let live = encoded(&collector, &config, environment);
        let delivery = Delivery {
            destination: &config.destination,
            queue: &mut queue,
            deadline: began + network_share(config.export_timeout),
            dice: low_half(collector.trace().trace_id()),
        };
        let flushed = flusher.map(|flusher| flusher.flushed()).unwrap_or_default();
        delivery.run(live, flushed, |said| report(&config, environment, said));
        let left = config.export_timeout.saturating_sub(began.elapsed());
        juju::finish_log(left.max(config.export_timeout / LEAST_SHARE_OF_LOG));
    }
}

/// How often what an execution leaves behind is offered to a buffer that is broken, or locked.
const LAST_TRIES: usize = 10;

/// How much longer SIGTERM waits for an end that is under way than twice what that may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a slow disk took of the time is not taken from the log as a whole: the one line that says
/// why traces wait has a twentieth of it at least.
const LEAST_SHARE_OF_LOG: u32 = 20;

/// The network may have nine tenths of the time; the rest is for the disk and the log.
fn network_share(export_timeout: Duration) -> Duration {
    export_timeout / 10 * 9
}

/// Half of the id: as random as the dice for the back-off's jitter need be.
fn low_half(id: TraceId) -> u64 {
    id.to_bytes().last_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}

/// What is left of the execution, closed and encoded.
fn encoded(collector: &Collector, config: &Config, environment: &Environment) -> Vec<Payload> {
    let resource = resource(config, environment);
    export::encode(&collector.close(Ending::Whole), collector.trace(), &resource)
}

/// Says on the root span what delivery has behind it.
fn note_backlog(root: &Root, queue: &mut Queue, flusher: Option<&Flusher>) {
    let waiting = queue.waiting_events();
    // Asked after that: it may be flushing now, and must not count itself.
    let own = flusher.map_or(0, |flusher| u64::from(flusher.has_flushed()));
    let counts = [
        ("charm_tracing.buffered_events", waiting.saturating_sub(own)),
        ("charm_tracing.evicted_events", queue.state.evicted),
        ("charm_tracing.refused_records", queue.state.refused),
    ];
    for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        root.key.edit(|span| span.set_attribute(KeyValue::new(key, count)));
    }
}

/// Writes the execution's one line, if there is one.
fn report(config: &Config, environment: &Environment, said: Option<Line>) {
    let service = &config.service_name;
    let outside =
        (!environment.is_juju()).then(|| format!("not run by Juju; traced as service `{service}`"));
    let level = match &said {
        Some(Line { weight: Weight::Warning, .. }) => Level::Warning,
        _ => Level::Info,
    };
    let parts: Vec<String> = outside.into_iter().chain(said.map(|line| line.text)).collect();
    if !parts.is_empty() {
        juju::log(environment, level, &parts.join("; "));
    }
}
