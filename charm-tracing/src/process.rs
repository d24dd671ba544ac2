//! Child processes as spans: a [`std::process::Command`], run as ever, and seen in the trace.
//!
//! ```
//! use std::process::Command;
//!
//! use charm_tracing::process;
//!
//! let output = process::output(Command::new("uname").arg("-s"))?;
//! assert!(output.status.success());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The span has the program's name, which is also `process.executable.name`, and
//! `process.exit.code`; it is failed where the program is. Of arguments, environment, input and
//! output nothing is recorded. The child finds its own place in the trace in `TRACEPARENT` and
//! `TRACESTATE`, which are set on the command where something is being traced.
//!
//! What is returned is what the standard library returns.

use std::any::type_name;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitStatus, Output};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt};

use crate::call_site::Name;
use crate::collector::Detail;
use crate::failure::Failure;
use crate::span::SpanHandle;
use crate::trace_context;

/// Runs the command to its end, as [`Command::status`] does.
///
/// # Errors
///
/// When the program cannot be started.
///
/// # Examples
///
/// ```
/// use std::process::Command;
///
/// let status = charm_tracing::process::status(Command::new("true").env("LANG", "C"))?;
/// assert!(status.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn status(command: &mut Command) -> io::Result<ExitStatus> {
    let span = ProcessSpan::open_for(command);
    let status = command.status();
    span.end(status.as_ref().copied());
    status
}

/// Runs the command to its end and collects its output, as [`Command::output`] does.
///
/// # Errors
///
/// When the program cannot be started or its output cannot be read.
///
/// # Examples
///
/// ```
/// use std::process::Command;
///
/// let said = charm_tracing::process::output(Command::new("echo").arg("hello"))?.stdout;
/// assert_eq!(said, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn output(command: &mut Command) -> io::Result<Output> {
    let span = ProcessSpan::open_for(command);
    let output = command.output();
    span.end(output.as_ref().map(|output| output.status));
    output
}

/// Starts the command, as [`Command::spawn`] does. The span ends when the child is waited for, or
/// when what is returned is dropped.
///
/// # Errors
///
/// When the program cannot be started.
///
/// # Examples
///
/// ```
/// use std::process::Command;
///
/// let mut child = charm_tracing::process::spawn(&mut Command::new("true"))?;
/// // Do something else meanwhile.
/// assert!(child.wait()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let span = ProcessSpan::open_for(command);
    match command.spawn() {
        Ok(child) => Ok(Child { child, span: Some(span) }),
        Err(error) => {
            span.end(Err(&error));
            Err(error)
        }
    }
}

/// A child process that runs, and its span. It is a [`std::process::Child`] in all else.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    /// Absent once the span has ended.
    span: Option<ProcessSpan>,
}

impl Child {
    /// Waits for the child's end, as [`std::process::Child::wait`] does.
    ///
    /// # Errors
    ///
    /// When the child cannot be waited for.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.end(status.as_ref().copied());
        status
    }

    /// Asks whether the child has ended, as [`std::process::Child::try_wait`] does.
    ///
    /// # Errors
    ///
    /// When the child cannot be asked.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait();
        if let Ok(Some(status)) = status {
            self.end(Ok(status));
        }
        status
    }

    /// Waits for the child's end and collects its output, as
    /// [`std::process::Child::wait_with_output`] does.
    ///
    /// # Errors
    ///
    /// When the child cannot be waited for or its output cannot be read.
    pub fn wait_with_output(self) -> io::Result<Output> {
        let Self { child, span } = self;
        let output = child.wait_with_output();
        if let Some(span) = span {
            span.end(output.as_ref().map(|output| output.status));
        }
        output
    }

    fn end(&mut self, status: Result<ExitStatus, &io::Error>) {
        if let Some(span) = self.span.take() {
            span.end(status);
        }
    }
}

impl Deref for Child {
    type Target = process::Child;

    fn deref(&self) -> &process::Child {
        &self.child
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut process::Child {
        &mut self.child
    }
}

/// The span of a child process. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct ProcessSpan(SpanHandle);

impl ProcessSpan {
    /// Opens the span of what `command` runs, and tells the command of it.
    pub(crate) fn open_for(command: &mut Command) -> Self {
        let span = Self::open(command.get_program());
        span.pass_on(command);
        span
    }

    fn open(program: &OsStr) -> Self {
        let name = Path::new(program).file_name().unwrap_or(program);
        let name = name.to_string_lossy().into_owned();
        let detail = Detail {
            kind: Some(SpanKind::Client),
            attributes: vec![KeyValue::new("process.executable.name", name.clone())],
            ..Detail::default()
        };
        Self(SpanHandle::named(Name::Text(name.into()), detail))
    }

    /// Where nothing is traced the command's environment is left as it is: Juju's own
    /// `TRACEPARENT` is still true.
    fn pass_on(&self, command: &mut Command) {
        let context = self.0.context().span().span_context().clone();
        if !context.is_valid() {
            return;
        }
        command.env("TRACEPARENT", trace_context::traceparent(&context));
        match context.trace_state().header() {
            // The state in our own environment belongs to another trace.
            none if none.is_empty() => command.env_remove("TRACESTATE"),
            state => command.env("TRACESTATE", state),
        };
    }

    /// Ends the span with what became of the process.
    fn end(self, status: Result<ExitStatus, &io::Error>) {
        match status {
            Ok(status) => {
                self.exited(status);
                if !status.success() {
                    self.fail(type_name::<ExitStatus>(), &in_words(status));
                }
            }
            Err(error) => self.fail(type_name::<io::Error>(), error),
        }
    }

    /// Records the exit code, if the process had one.
    pub(crate) fn exited(&self, status: ExitStatus) {
        if let Some(code) = status.code() {
            self.0.set_attribute("process.exit.code", i64::from(code));
        }
    }

    /// Records that the process failed.
    pub(crate) fn fail(&self, error_type: &'static str, message: &dyn Display) {
        self.0.fail(Failure { error_type, message, source: None });
    }
}

/// `exit code 1`, `signal 9`
pub(crate) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
