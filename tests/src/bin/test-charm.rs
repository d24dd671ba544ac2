//! The charm that the end-to-end tests run: one event per behaviour, named after it.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what a charm may do, this one does"
)]

use std::error::Error as StdError;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::process::ExitCode;
use std::thread;

use charm_tracing::juju::Event;
use charm_tracing::{
    Execution, current_span, trace_charm, trace_function, trace_method, trace_type,
};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, global};

struct TestCharm {
    endpoint: Option<String>,
    certificate: Option<String>,
    store: Store,
}

#[trace_charm(
    tracing_endpoint = endpoint,
    server_cert = certificate,
    buffer_max_events = buffer_max_events(),
    buffer_max_size_mib = number_in("TEST_CHARM_BUFFER_MAX_SIZE_MIB").unwrap_or(10),
)]
impl TestCharm {
    const NAME: &'static str = "test-charm";

    fn new() -> Result<Self, Error> {
        match std::env::var("TEST_CHARM_CONSTRUCTOR").as_deref() {
            Ok("fails") => Err(Error::Constructor),
            Ok("panics") => panic!("the constructor panics"),
            told => {
                let endpoint = std::env::var("TEST_CHARM_ENDPOINT").ok();
                let certificate = std::env::var("TEST_CHARM_CERTIFICATE").ok();
                let store = Store { items: vec!["first".into()] };
                if told == Ok("told") {
                    println!("{} is being built", Self::name());
                    do_as_told(&store);
                }
                Ok(Self { endpoint, certificate, store })
            }
        }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Error> {
        println!("{} handles {}", Self::name(), event.name());
        match event.name() {
            "nested" => self.on_nested(),
            "fails-deep" => self.on_fails_deep(),
            "fails-anew" => self.on_fails_anew(),
            "fails-and-recovers" => self.on_fails_and_recovers(),
            "panics" => self.on_panics(),
            "custom-event" => charm_tracing::event("database-ready", || self.on_database_ready()),
            "many-spans" => self.on_many_spans(),
            "told" => self.on_told(),
            "waits-for-a-signal" => wait_for_a_signal(),
            bulky if bulky.starts_with("bulky") => on_bulky(),
            "thread" => on_thread(),
            "ending-thread" => on_ending_thread(),
            "opentelemetry" => on_opentelemetry(),
            "other-traces" => on_other_traces(),
            "two-executions" => on_two_executions(),
            _ => {}
        }
        self.outcome(event.name())
    }

    const fn name() -> &'static str {
        Self::NAME
    }

    fn outcome(&mut self, event: &str) -> Result<(), Error> {
        match event {
            "fails" => self.store.fail(),
            "fails-wrapped" => self.store.fail_wrapped(),
            "fails-with-causes" => Err(Error::Wrapped(Box::new(Error::Store(1)))),
            _ => Ok(()),
        }
    }

    fn on_nested(&mut self) {
        let first = self.store.first_mut();
        first.push_str(" item");
        let total = count(&self.store.items);
        if let Some(span) = current_span() {
            span.set_attribute("total", i64::try_from(total).unwrap_or(i64::MAX));
            span.add_event("counted", [KeyValue::new("items", "yes")]);
        }
    }

    fn on_fails_deep(&mut self) {
        // The error is the charm's to handle: only the spans that returned it are failed.
        let _ = self.store.fail_wrapped();
    }

    fn on_fails_anew(&mut self) {
        let _ = self.store.fail_with_another_error();
    }

    fn on_fails_and_recovers(&mut self) {
        if self.store.fail().is_err() {
            self.store.count();
        }
    }

    fn on_panics(&mut self) {
        self.store.panic();
    }

    fn on_database_ready(&mut self) {
        self.store.count();
    }

    fn on_many_spans(&mut self) {
        for _ in 0..100_000 {
            self.store.count();
        }
    }

    fn on_told(&mut self) {
        do_as_told(&self.store);
    }
}

/// Does what it is told on stdin, line by line, and says on stdout what it has done.
fn do_as_told(store: &Store) {
    let mut finished = 0;
    for line in io::stdin().lines().map_while(Result::ok) {
        let Some(count) = line.strip_prefix("spans ") else { return };
        let count: u64 = count.parse().unwrap_or(0);
        (0..count).for_each(|_| _ = store.count());
        finished += count;
        println!("{finished} spans are finished");
    }
}

/// Blocks a signal that would end the process, as one does to wait for it or to finish something
/// first, gets it, and takes it.
fn wait_for_a_signal() {
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGUSR1);
    if awaited.thread_block().is_ok() && kill(Pid::this(), Signal::SIGUSR1).is_ok() {
        println!("{} came", awaited.wait().map_or("no signal", Signal::as_str));
    }
}

/// Makes a trace of so many bytes, which cannot be compressed much.
#[trace_function]
fn on_bulky() {
    let bytes = number_in("TEST_CHARM_BYTES").unwrap_or(0);
    for _ in 0..bytes / CHUNK {
        noted(CHUNK);
    }
    noted(bytes % CHUNK);
}

/// So many bytes one span of a bulky trace has at most.
const CHUNK: u64 = 16 * 1024;

/// A span that holds so many bytes of noise.
#[trace_function]
fn noted(bytes: u64) {
    let mut state = RandomState::new().hash_one(bytes) | 1;
    let mut noise = || {
        // xorshift64: all that is wanted is that it cannot be compressed much.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 94).unwrap_or(0))
    };
    let text: String = (0..bytes).map(|_| noise()).collect();
    if let Some(span) = current_span() {
        span.set_attribute("noise", text);
    }
}

/// An expression of the charm's author, which may go wrong.
fn buffer_max_events() -> u64 {
    match std::env::var("TEST_CHARM_BUFFER_MAX_EVENTS").as_deref() {
        Ok("panics") => panic!("the options panic"),
        _ => number_in("TEST_CHARM_BUFFER_MAX_EVENTS").unwrap_or(100),
    }
}

/// A number in the environment.
fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

struct Store {
    items: Vec<String>,
}

#[trace_type]
impl Store {
    fn first_mut(&mut self) -> &mut String {
        if self.items.is_empty() {
            self.items.push(String::new());
        }
        &mut self.items[0]
    }

    fn count(&self) -> usize {
        self.items.len()
    }

    fn fail(&self) -> Result<(), Error> {
        Err(Error::Store(self.items.len()))
    }

    fn fail_wrapped(&self) -> Result<(), Error> {
        self.fail().map_err(|error| Error::Wrapped(Box::new(error)))
    }

    fn fail_with_another_error(&self) -> Result<(), Error> {
        self.fail().or(Err(Error::Constructor))
    }

    fn panic(&self) {
        panic!("the store panics with {} item", self.items.len());
    }
}

/// One of many methods traced, the others not.
struct Partly {
    calls: u32,
}

impl Partly {
    #[trace_method]
    fn traced(&mut self) {
        self.untraced();
    }

    fn untraced(&mut self) {
        self.calls += 1;
    }
}

#[trace_function]
fn count(items: &[String]) -> usize {
    items.iter().map(String::len).sum()
}

fn on_thread() {
    thread::scope(|scope| {
        scope.spawn(|| Partly { calls: 0 }.traced());
    });
}

/// A value that calls traced code when its thread has ended, and all that a thread has is going.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        println!("farewell from {}", count(&["thread".to_owned()]));
        let _ = current_span();
    }
}

thread_local! {
    static FAREWELL: Farewell = const { Farewell };
}

fn on_ending_thread() {
    let ends_well = |thread: thread::JoinHandle<()>| {
        println!("the thread ended well: {}", thread.join().is_ok());
    };
    ends_well(thread::spawn(|| {
        FAREWELL.with(|_| ());
        Partly { calls: 0 }.traced();
    }));
    // Threads that know the API before they have a span: through this crate, and through another.
    let carried = charm_tracing::carried(|| ());
    ends_well(thread::spawn(|| {
        FAREWELL.with(|_| ());
        carried();
    }));
    ends_well(thread::spawn(|| {
        FAREWELL.with(|_| ());
        drop(Context::new().attach());
    }));
}

/// Runs traced code below spans that are not of this execution: one from another process, and one
/// of a tracer that delivers elsewhere.
fn on_other_traces() {
    let caller = |number: u128, is_remote| {
        let (trace, span) = (TraceId::from(number), SpanId::from(9));
        let flags = TraceFlags::SAMPLED;
        SpanContext::new(trace, span, flags, is_remote, TraceState::default())
    };
    let from_outside = Context::current().with_remote_span_context(caller(7, true));
    {
        let _attached = from_outside.attach();
        on_opentelemetry();
    }
    let _attached = Context::new().with_remote_span_context(caller(8, false)).attach();
    count(&[]);
}

/// Runs an execution beside the process's own.
fn on_two_executions() {
    let beside = || {
        let execution = Execution::begin();
        count(&[]);
        execution.end();
    };
    let beside = thread::spawn(beside).join();
    println!("the other execution ended well: {}", beside.is_ok());
    Partly { calls: 0 }.traced();
}

#[trace_function]
fn on_opentelemetry() {
    let tracer = global::tracer("library");
    tracer.in_span("library call", |context: Context| {
        context.span().set_attribute(KeyValue::new("library", true));
        Partly { calls: 0 }.traced();
    });
}

#[derive(Debug)]
enum Error {
    Constructor,
    Store(usize),
    Wrapped(Box<Error>),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constructor => formatter.write_str("the constructor fails"),
            Self::Store(items) => write!(formatter, "the store fails with {items} item"),
            Self::Wrapped(_) => formatter.write_str("the operation fails"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Wrapped(error) => Some(error),
            _ => None,
        }
    }
}

/// A logger that a charm might have: for warnings, to stderr.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("logger: {} {}: {}", record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

fn main() -> ExitCode {
    if std::env::var_os("TEST_CHARM_LOGGER").is_some() && log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    match number_in("TEST_CHARM_EXECUTIONS") {
        None => charm_tracing::run(TestCharm::new, TestCharm::on_event),
        Some(_) => two_executions_in_a_row(),
    }
}

/// Two executions, and then the process goes on until stdin ends.
fn two_executions_in_a_row() -> ExitCode {
    for _ in 0..2 {
        let mut execution = Execution::begin();
        let Ok(mut charm) = TestCharm::new() else { return ExitCode::FAILURE };
        execution.configure(&charm);
        let handled = execution.dispatch(|event| charm.on_event(event));
        execution.end();
        if handled.is_err() {
            return ExitCode::FAILURE;
        }
    }
    println!("both executions are over");
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    ExitCode::SUCCESS
}
