//! The life of one execution: begin, root span, the charm, its events, end.
//!
//! [`run`] is all of it; [`Execution`] is the guard underneath, for charms that own their `main`.
//! Invariant: whatever happens in tracing, the charm's code runs as often, returns the same and
//! fails the same as without it. What becomes of the trace is `recording.rs`'s.

use std::any::type_name;
use std::convert::Infallible;
use std::fmt::{Display, Write as _};
use std::future::poll_fn;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;
use std::thread;

use opentelemetry::trace::FutureExt;
use opentelemetry::{Context, ContextGuard};

use crate::config::{Charm, Options};
use crate::current::prepare_thread;
use crate::event;
use crate::failure::{Failure, in_words};
use crate::juju::{self, Environment, Event, Level};
use crate::recording::Recording;
use crate::span::{SpanHandle, suppressed};

/// Runs one execution of a charm: builds it, hands it the event, delivers the trace.
///
/// `construct` builds the charm, or fails to; `handle` is the charm's own dispatch. An `Err` of
/// either is printed to stderr, as `Error: {:#}`, and becomes exit code 1: return the exit code
/// from `main`, so that Juju sees a failed hook. A panic is recorded, the trace delivered, and then
/// the panic goes on.
///
/// ```
/// use std::process::ExitCode;
///
/// struct HelloCharm;
///
/// #[charm_tracing::trace_charm]
/// impl HelloCharm {
///     fn new() -> Self {
///         Self
///     }
///
///     fn on_install(&mut self) -> Result<(), std::io::Error> {
///         Ok(())
///     }
/// }
///
/// # // Outside Juju the doctest would say so on stderr; that is all.
/// fn main() -> ExitCode {
///     charm_tracing::run(HelloCharm::new, |charm, event| match event.name() {
///         "install" => charm.on_install(),
///         _ => Ok(()),
///     })
/// }
/// ```
#[must_use = "this is the charm's exit code: return it from `main`"]
pub fn run<B, O>(
    construct: impl FnOnce() -> B,
    handle: impl FnOnce(&mut B::Charm, &Event) -> O,
) -> ExitCode
where
    B: Construct,
    O: Outcome,
{
    let Execution { attached, mut life } = Execution::begin();
    life.expect_charm::<B::Charm>();
    let lived = panic::catch_unwind(AssertUnwindSafe(|| life.live(construct, handle)));
    drop(attached);
    life.conclude(lived)
}

/// [`run`] for a charm whose constructor and handlers are `async`, on whatever executor awaits it.
/// Where their futures are `Send`, so is this one: it may be a task of its own.
///
/// Return the exit code from `main`: where it is dropped, Juju takes a failed hook for a success.
/// Delivering the trace, at the end, holds the executor's thread for the export timeout at most.
///
/// ```
/// use std::process::ExitCode;
///
/// struct HelloCharm;
///
/// #[charm_tracing::trace_charm]
/// impl HelloCharm {
///     async fn new() -> Self {
///         Self
///     }
///
///     async fn on_install(&mut self) -> Result<(), std::io::Error> {
///         Ok(())
///     }
/// }
///
/// async fn charm() -> ExitCode {
///     charm_tracing::run_async(HelloCharm::new, async |charm, event| match event.name() {
///         "install" => charm.on_install().await,
///         _ => Ok(()),
///     })
///     .await
/// }
/// ```
pub async fn run_async<B, O>(
    construct: impl AsyncFnOnce() -> B,
    handle: impl AsyncFnOnce(&mut B::Charm, &Event) -> O,
) -> ExitCode
where
    B: Construct,
    O: Outcome,
{
    let mut life = Life::begin(Environment::from_process());
    life.expect_charm::<B::Charm>();
    let root = life.root_context();
    let lived = caught(life.live_async(construct, handle)).with_context(root).await;
    life.conclude(lived)
}

/// Awaits a future; a panic in it comes back as a value.
async fn caught<F: Future>(future: F) -> thread::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        prepare_thread();
        let poll = AssertUnwindSafe(|| future.as_mut().poll(context));
        match panic::catch_unwind(poll) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// The charm failed, and has said so.
struct Failed;

/// What a charm's constructor may return: the charm, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a traced charm",
    label = "the constructor returns this",
    note = "a constructor returns the charm or a `Result` of it, with an error that is `Display`",
    note = "the charm is a type whose `impl` block (or whose `struct`) has `#[charm_tracing::trace_charm]`"
)]
pub trait Construct {
    /// The charm that is constructed.
    type Charm: Charm;

    /// Why it could not be.
    #[doc(hidden)]
    type Error: Display;

    /// The charm, or the error.
    #[doc(hidden)]
    fn constructed(self) -> Result<Self::Charm, Self::Error>;
}

impl<C: Charm> Construct for C {
    type Charm = C;
    type Error = Infallible;

    fn constructed(self) -> Result<C, Infallible> {
        Ok(self)
    }
}

impl<C: Charm, E: Display> Construct for Result<C, E> {
    type Charm = C;
    type Error = E;

    fn constructed(self) -> Self {
        self
    }
}

/// What a charm's dispatch may return: nothing, or a `Result` of nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the outcome of an event",
    label = "the handler returns this",
    note = "return `()` or `Result<(), E>` with an `E` that is `Display`"
)]
pub trait Outcome {
    /// Why the event could not be handled.
    #[doc(hidden)]
    type Error: Display;

    /// The error, if it is one.
    #[doc(hidden)]
    fn error(&self) -> Option<&Self::Error>;
}

impl Outcome for () {
    type Error = Infallible;

    fn error(&self) -> Option<&Infallible> {
        None
    }
}

impl<E: Display> Outcome for Result<(), E> {
    type Error = E;

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// One traced execution of a charm, from the moment it begins to the moment its trace is handed on.
///
/// [`run`] is made of this. A charm that owns its `main` writes:
///
/// ```
/// # struct HelloCharm;
/// # #[charm_tracing::trace_charm]
/// # impl HelloCharm {
/// #     fn new() -> Self { Self }
/// #     fn handle(&mut self, _: &charm_tracing::juju::Event) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// let mut execution = charm_tracing::Execution::begin();
/// let mut charm = HelloCharm::new();
/// execution.configure(&charm);
/// let result = execution.dispatch(|event| charm.handle(event));
/// execution.end();
/// ```
///
/// Dropping it ends it too. It stays on the thread that began it.
#[derive(Debug)]
#[must_use = "the execution ends when this is dropped"]
pub struct Execution {
    // Before the root it makes current: fields are dropped in their order.
    attached: Option<ContextGuard>,
    life: Life,
}

impl Execution {
    /// Reads Juju's environment and opens the root span.
    pub fn begin() -> Self {
        let life = Life::begin(Environment::from_process());
        Self { attached: life.recording.is_some().then(|| life.root_context().attach()), life }
    }

    /// The event that Juju runs the charm for.
    pub fn event(&self) -> &Event {
        &self.life.event
    }

    /// Asks the charm where its traces go. Until it is asked, the environment alone decides.
    pub fn configure<C: Charm>(&mut self, charm: &C) {
        self.life.configure(charm);
    }

    /// Opens the event's span and runs `handle` in it. What `handle` returns is returned; an `Err`
    /// is recorded on the event's span and on the root.
    pub fn dispatch<O: Outcome>(&self, handle: impl FnOnce(&Event) -> O) -> O {
        self.life.dispatch(handle)
    }

    /// Ends the execution: closes the root and hands the trace on, within the export timeout.
    pub fn end(self) {
        let Self { attached, life } = self;
        drop(attached);
        drop(life);
    }
}

/// An execution on whatever threads it runs: its root is current nowhere. Ends when it is dropped.
#[derive(Debug)]
struct Life {
    environment: Environment,
    event: Event,
    options: Option<Options>,
    /// Absent where tracing is switched off, and after the end.
    recording: Option<Recording>,
}

impl Life {
    fn begin(environment: Environment) -> Self {
        let event = environment.event();
        let recording = Recording::begin(&environment);
        Self { environment, event, options: None, recording }
    }

    fn live<B: Construct, O: Outcome>(
        &mut self,
        construct: impl FnOnce() -> B,
        handle: impl FnOnce(&mut B::Charm, &Event) -> O,
    ) -> Result<(), Failed> {
        let mut charm = self.built(construct())?;
        said(&self.dispatch(|event| handle(&mut charm, event)))
    }

    async fn live_async<B: Construct, O: Outcome>(
        &mut self,
        construct: impl AsyncFnOnce() -> B,
        handle: impl AsyncFnOnce(&mut B::Charm, &Event) -> O,
    ) -> Result<(), Failed> {
        let mut charm = self.built(construct().await)?;
        said(&self.dispatch_async(async |event: &Event| handle(&mut charm, event).await).await)
    }

    /// The options that need no charm, before there is one.
    fn expect_charm<C: Charm>(&mut self) {
        self.ask(C::tracing_options);
        if self.options.as_ref().is_some_and(Options::name_the_buffer) {
            self.flush_from_now_on();
        }
    }

    /// The charm, asked for its options; or its constructor's error, said.
    fn built<B: Construct>(&mut self, built: B) -> Result<B::Charm, Failed> {
        match built.constructed() {
            Ok(charm) => {
                self.configure(&charm);
                Ok(charm)
            }
            Err(error) => {
                if let Some(recording) = &self.recording {
                    recording.fail(failure(&error, &in_words(&error)));
                }
                print(&error);
                Err(Failed)
            }
        }
    }

    fn configure<C: Charm>(&mut self, charm: &C) {
        self.ask(|| charm.complete_tracing_options(C::tracing_options()));
        self.flush_from_now_on();
        if let Some(recording) = &mut self.recording
            && self.environment.is_juju()
        {
            recording.flush_on_signal();
        }
    }

    /// Evaluates options, which are the charm author's expressions: without tracing they would not
    /// have run, so a panic in them ends here.
    fn ask(&mut self, options: impl FnOnce() -> Options) {
        if self.recording.is_none() {
            return;
        }
        // What is asked for tracing's sake is no part of the trace.
        let _unrecorded = suppressed();
        if let Ok(options) = panic::catch_unwind(AssertUnwindSafe(options)) {
            event::charm_is(options.charm_type());
            self.options = Some(options);
        } else {
            let what = "the charm's tracing options panicked";
            juju::log(&self.environment, Level::Warning, what);
        }
    }

    fn flush_from_now_on(&mut self) {
        if let (Some(recording), Some(options)) = (&mut self.recording, &self.options) {
            recording.flush_from_now_on(options, &self.environment);
        }
    }

    fn dispatch<O: Outcome>(&self, handle: impl FnOnce(&Event) -> O) -> O {
        let span = self.event.open_span();
        let attached = span.attach();
        let outcome = handle(&self.event);
        drop(attached);
        self.record(&span, &outcome);
        outcome
    }

    async fn dispatch_async<O: Outcome>(&self, handle: impl AsyncFnOnce(&Event) -> O) -> O {
        let span = self.event.open_span();
        let outcome = handle(&self.event).with_context(span.context()).await;
        self.record(&span, &outcome);
        outcome
    }

    fn record<O: Outcome>(&self, event: &SpanHandle, outcome: &O) {
        if let (Some(recording), Some(error)) = (&self.recording, outcome.error()) {
            let message = in_words(error);
            event.fail(failure(error, &message));
            recording.fail(failure(error, &message));
        }
    }

    /// Ends the execution and gives the charm's life its exit code, or lets its panic go on.
    fn conclude(self, lived: thread::Result<Result<(), Failed>>) -> ExitCode {
        if lived.is_err() {
            self.fail_with_panic();
        }
        drop(self);
        match lived {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(Failed)) => ExitCode::FAILURE,
            Err(panic) => panic::resume_unwind(panic),
        }
    }

    /// Hands the trace on. Not inlined: a benchmark counts by this name what an end costs.
    #[inline(never)]
    fn finish(&self, recording: Recording) {
        let hand_on =
            AssertUnwindSafe(|| recording.hand_on(self.options.as_ref(), &self.environment));
        // A panic in tracing is no panic of the charm's.
        let _ = panic::catch_unwind(hand_on);
    }

    fn root_context(&self) -> Context {
        self.recording.as_ref().map(Recording::root_context).unwrap_or_default()
    }

    fn fail_with_panic(&self) {
        if let Some(recording) = &self.recording {
            recording.fail_with_panic();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if thread::panicking() {
            self.fail_with_panic();
        }
        if let Some(recording) = self.recording.take() {
            self.finish(recording);
        }
    }
}

/// An error of the charm's that says `message`: of what it wraps nothing is known here.
fn failure<'a, E>(_: &E, message: &'a String) -> Failure<'a> {
    Failure { error_type: type_name::<E>(), message, source: None }
}

/// Prints the error that a handler returned, if it did.
fn said<O: Outcome>(outcome: &O) -> Result<(), Failed> {
    outcome.error().map_or(Ok(()), |error| {
        print(error);
        Err(Failed)
    })
}

/// As the standard library does for a `main` that returns an error, but for people: in the error's
/// alternate form, which shows what it wraps where it is `anyhow`'s.
fn print(error: &impl Display) {
    let mut printed = String::new();
    // A `Display` that fails has printed what it has printed.
    let _ = write!(printed, "{error:#}");
    let _ = writeln!(io::stderr(), "Error: {printed}");
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn an_error_is_not_asked_what_it_says_where_nothing_is_recorded() {
        struct Panics;
        impl Display for Panics {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("on purpose");
            }
        }
        let environment = Environment::default();
        let event = environment.event();
        let life = Life { environment, event, options: None, recording: None };
        assert!(life.dispatch(|_| Err(Panics)).is_err());
    }
}
