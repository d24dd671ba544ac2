//! The ways to trace a call, each as a round of it: four roots, a hundred calls under each.

use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use charm_tracing::Execution;
use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Span, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use crate::report::Whose;
use crate::subject::{Nowhere, Subject, root};

pub(crate) const PLAIN: &str = "plain";
pub(crate) const IDLE: &str = "ours, no execution";
pub(crate) const OURS: &str = "ours, in an execution";
pub(crate) const SDK: &str = "OpenTelemetry SDK, in_span";
pub(crate) const TRACING: &str = "tracing-opentelemetry";
pub(crate) const FASTRACE: &str = "fastrace";
pub(crate) const ATTACH: &str = "OpenTelemetry API, attach alone";

/// How many calls share a root.
const CALLS: u32 = 100;
/// How many roots an execution has: together fewer spans than leave before its end.
const ROOTS: u32 = 4;
pub(crate) const CALLS_A_ROUND: u32 = CALLS * ROOTS;

/// One way to trace a call.
pub(crate) struct Contender {
    /// As figures name it.
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    round: Box<dyn FnMut() -> Duration>,
}

impl Contender {
    fn new(name: &'static str, whose: Whose, round: impl FnMut() -> Duration + 'static) -> Self {
        Self { name, whose, round: Box::new(round) }
    }

    /// One of ours, in an execution. What happens at the execution's end is not counted.
    fn ours<R>(name: &'static str, mut call: impl FnMut(&mut Subject, u64) -> R + 'static) -> Self {
        let mut subject = Subject::default();
        Self::new(name, Whose::Ours, move || {
            in_execution(|| timed(root, |by| call(&mut subject, by)))
        })
    }

    /// Nanoseconds a call, in one round.
    pub(crate) fn round(&mut self) -> f64 {
        (self.round)().as_secs_f64() * 1e9 / f64::from(CALLS_A_ROUND)
    }
}

/// All of them, the plain call first.
pub(crate) fn all() -> io::Result<Vec<Contender>> {
    log::set_logger(&Unheard).map_err(io::Error::other)?;
    log::set_max_level(log::LevelFilter::Warn);
    check_that_ours_records()?;
    let mut contenders = vec![Contender::new(PLAIN, Whose::Peers, {
        let mut subject = Subject::default();
        move || timed(no_root, |by| subject.plain(by))
    })];
    contenders.extend(ours());
    let sdk = sdk();
    contenders.extend([by_hand(&sdk), by_tracing(&sdk), by_fastrace(), attached_alone()]);
    Ok(contenders)
}

/// Variables in the environment can switch tracing off, and figures of that are none.
fn check_that_ours_records() -> io::Result<()> {
    let execution = Execution::begin();
    let records = opentelemetry::Context::current().span().is_recording();
    execution.end();
    if records { Ok(()) } else { Err(io::Error::other("tracing is switched off here")) }
}

fn ours() -> [Contender; 8] {
    let mut idle = Subject::default();
    [
        Contender::new(IDLE, Whose::Ours, move || timed(no_root, |by| idle.method(by))),
        Contender::ours(OURS, Subject::method),
        Contender::ours("ours, two attributes", Subject::with_two_attributes),
        Contender::ours("ours, Ok", Subject::returns_ok),
        Contender::ours("ours, Err", Subject::returns_err),
        Contender::ours("ours, async", |subject, by| at_once(subject.awaited(by))),
        // A hundred calls in one body: the span of the method that makes them is shared as a root
        // is.
        in_bodies("ours, extra_types, listed", Subject::on_listed),
        in_bodies("ours, extra_types, not listed", Subject::on_unlisted),
    ]
}

fn in_bodies(name: &'static str, calls: fn(&mut Subject, u64)) -> Contender {
    let mut subject = Subject::default();
    Contender::new(name, Whose::Ours, move || {
        in_execution(|| {
            let began = Instant::now();
            (0..ROOTS).for_each(|_| calls(&mut subject, CALLS.into()));
            began.elapsed()
        })
    })
}

fn by_hand(sdk: &SdkTracerProvider) -> Contender {
    let (sdk, tracer, mut subject) = (sdk.clone(), sdk.tracer("bench"), Subject::default());
    Contender::new(SDK, Whose::Peers, move || {
        let root = |calls: &mut dyn FnMut()| tracer.in_span("root", |_| calls());
        let took = timed(root, |by| tracer.in_span("call", |_| subject.plain(by)));
        flush(&sdk);
        took
    })
}

fn by_tracing(sdk: &SdkTracerProvider) -> Contender {
    let layer = tracing_opentelemetry::layer().with_tracer::<SdkTracer>(sdk.tracer("tracing"));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let (sdk, mut subject) = (sdk.clone(), Subject::default());
    Contender::new(TRACING, Whose::Peers, move || {
        let root = |calls: &mut dyn FnMut()| tracing::info_span!("root").in_scope(calls);
        let took =
            tracing::dispatcher::with_default(&dispatch, || timed(root, |by| subject.tracing(by)));
        flush(&sdk);
        took
    })
}

fn by_fastrace() -> Contender {
    fastrace::set_reporter(Unreported, fastrace::collector::Config::default());
    let mut subject = Subject::default();
    Contender::new(FASTRACE, Whose::Peers, move || {
        let root = |calls: &mut dyn FnMut()| {
            let context = fastrace::collector::SpanContext::random();
            let root = fastrace::Span::root("root", context);
            let _local = root.set_local_parent();
            calls();
        };
        let took = timed(root, |by| subject.fastrace(by));
        fastrace::flush();
        took
    })
}

/// What it costs that `Context::current()` sees a span, and nothing else: the API alone, over a
/// span that does nothing. Whatever is seen there costs this.
fn attached_alone() -> Contender {
    let (trace, span) = (TraceId::from(7), SpanId::from(9));
    let seen = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE);
    let mut subject = Subject::default();
    Contender::new(ATTACH, Whose::Peers, move || {
        let call = |by| {
            let span = Inert(seen.clone());
            let context = opentelemetry::Context::map_current(|current| current.with_span(span));
            let _attached = context.attach();
            subject.plain(by)
        };
        timed(no_root, call)
    })
}

/// Times `ROOTS` roots with `CALLS` calls each.
fn timed<R>(root: impl Fn(&mut dyn FnMut()), mut call: impl FnMut(u64) -> R) -> Duration {
    let began = Instant::now();
    for _ in 0..ROOTS {
        root(&mut || {
            for by in 0..u64::from(CALLS) {
                black_box(call(by));
            }
        });
    }
    began.elapsed()
}

fn no_root(calls: &mut dyn FnMut()) {
    calls();
}

fn in_execution(timed: impl FnOnce() -> Duration) -> Duration {
    let mut execution = Execution::begin();
    execution.configure(&Nowhere);
    let took = timed();
    execution.end();
    took
}

fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The SDK with a queue that no round fills, and an exporter that costs nothing.
fn sdk() -> SdkTracerProvider {
    const ROOM: usize = 1 << 12;
    let hour = Duration::from_secs(3600);
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(ROOM)
        .with_max_export_batch_size(ROOM)
        .with_scheduled_delay(hour)
        .build();
    let processor = BatchSpanProcessor::builder(Dropped).with_batch_config(batches).build();
    SdkTracerProvider::builder().with_span_processor(processor).build()
}

fn flush(sdk: &SdkTracerProvider) {
    // An exporter that always succeeds has nothing to say.
    let _ = sdk.force_flush();
}

#[derive(Debug)]
struct Dropped;

impl SpanExporter for Dropped {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}

struct Unreported;

impl fastrace::collector::Reporter for Unreported {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        drop(black_box(spans));
    }
}

/// Takes the line that each execution without a backend writes.
struct Unheard;

impl log::Log for Unheard {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        black_box(record);
    }

    fn flush(&self) {}
}

/// A span that has a context, and does nothing.
struct Inert(SpanContext);

impl Span for Inert {
    fn add_event_with_timestamp<T>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>)
    where
        T: Into<std::borrow::Cow<'static, str>>,
    {
    }

    fn span_context(&self) -> &SpanContext {
        &self.0
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn set_attribute(&mut self, _: KeyValue) {}

    fn set_status(&mut self, _: Status) {}

    fn update_name<T>(&mut self, _: T)
    where
        T: Into<std::borrow::Cow<'static, str>>,
    {
    }

    fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
