//! What this crate itself has to say: into Juju's log inside a hook, else to stderr.
//!
//! One `juju-log` is a round trip to the agent, tens of milliseconds on a real unit, so lines are
//! written by a thread that starts with the first one; `finish` waits for it at the end of the
//! execution, for a bounded time. Lines keep their order. Nothing here fails.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Environment;

/// How much a line matters, as `juju-log` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

#[derive(Debug)]
struct Line {
    level: Level,
    text: String,
}

/// The thread that calls `juju-log`.
#[derive(Debug)]
struct Writer {
    lines: Sender<Line>,
    done: Receiver<()>,
}

static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// Writes one line, some time before `finish` returns.
pub(crate) fn log(environment: &Environment, level: Level, message: &str) {
    let line = Line { level, text: format!("charm-tracing: {message}") };
    if !environment.is_juju() {
        to_stderr(&line);
    } else if let Err(line) = send(line) {
        to_stderr(&line);
    }
}

/// Writes one line, word for word and at DEBUG, for programs that follow `juju debug-log`. Outside
/// a hook nobody does.
pub(crate) fn announce(text: String) {
    let in_a_hook = env::var_os("JUJU_CONTEXT_ID").is_some_and(|id| !id.is_empty());
    if in_a_hook {
        // It is of no use anywhere but in Juju's log.
        let _ = send(Line { level: Level::Debug, text });
    }
}

/// Waits until every line is written, or `patience` is over: what the agent does not take by then
/// is given up.
pub(crate) fn finish(patience: Duration) {
    let writer = writer().take();
    if let Some(Writer { lines, done }) = writer {
        drop(lines);
        let _ = done.recv_timeout(patience);
    }
}

/// Hands the line to the writer; gives it back where there is none to be had.
fn send(line: Line) -> Result<(), Line> {
    let mut writer = writer();
    if writer.is_none() {
        *writer = start_writer();
    }
    match &*writer {
        Some(Writer { lines, .. }) => lines.send(line).map_err(|unsent| unsent.0),
        None => Err(line),
    }
}

fn writer() -> MutexGuard<'static, Option<Writer>> {
    WRITER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start_writer() -> Option<Writer> {
    let (lines, queue) = mpsc::channel::<Line>();
    let (finished, done) = mpsc::channel();
    let write_all = move || {
        for line in queue {
            if !juju_log(&line) && line.level != Level::Debug {
                to_stderr(&line);
            }
        }
        let _ = finished.send(());
    };
    let name = "charm-tracing-log".to_owned();
    thread::Builder::new().name(name).spawn(write_all).ok().map(|_| Writer { lines, done })
}

/// Whether Juju took the line.
fn juju_log(line: &Line) -> bool {
    Command::new("juju-log")
        .args(["--log-level", line.level.as_str(), "--", &line.text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A closed stderr is no reason for a charm to fail.
fn to_stderr(line: &Line) {
    let _ = writeln!(io::stderr(), "{}", line.text);
}
