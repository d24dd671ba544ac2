//! What this crate itself has to say: to the charm's own logger if it has one, else into Juju's log
//! inside a hook, else to stderr.
//!
//! One `juju-log` is a round trip to the agent, tens of milliseconds on a real unit, so lines are
//! written by a thread that starts with the first one; `finish` waits for it at the end of the
//! execution, for a bounded time, and leaves no process behind. Lines keep their order. Nothing
//! here fails.

use std::env;
use std::io::{self, Write};
use std::panic;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::Environment;
use crate::threads::{self, Heard, lock};

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

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warning => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
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
    tool: Arc<Mutex<Tool>>,
}

/// The call of `juju-log` that is under way.
#[derive(Debug, Default)]
struct Tool {
    child: Option<Child>,
    /// There is no time left: nothing is started any more.
    given_up: bool,
}

const TOOL: &str = "juju-log";

static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// Writes one line, some time before `finish` returns. Where the charm has a logger of its own, for
/// the `log` facade, that decides what becomes of the line.
pub(crate) fn log(environment: &Environment, level: Level, message: &str) {
    if log::max_level() != log::LevelFilter::Off {
        // A logger that panics is no reason for a charm to fail.
        let _ =
            panic::catch_unwind(|| log::log!(target: "charm_tracing", level.into(), "{message}"));
        return;
    }
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
    let writer = lock(&WRITER).take();
    if let Some(Writer { lines, done, tool }) = writer {
        drop(lines);
        if done.recv_timeout(patience).is_err() {
            give_up(&mut lock(&tool));
        }
    }
}

fn give_up(tool: &mut Tool) {
    tool.given_up = true;
    if let Some(mut child) = tool.child.take() {
        // One that has ended meanwhile cannot be killed, and need not be.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Hands the line to the writer; gives it back where there is none to be had, or nothing that it
/// could call.
fn send(line: Line) -> Result<(), Line> {
    let mut writer = lock(&WRITER);
    if writer.is_none() && is_on_path(TOOL) {
        *writer = start_writer();
    }
    match &*writer {
        Some(Writer { lines, .. }) => lines.send(line).map_err(|unsent| unsent.0),
        None => Err(line),
    }
}

/// Whether the program is where `Command` looks for it: a thread and a process are not started for
/// nothing.
fn is_on_path(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return true };
    env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn start_writer() -> Option<Writer> {
    let (lines, queue) = mpsc::channel::<Line>();
    let (finished, done) = mpsc::channel();
    let tool = Arc::<Mutex<Tool>>::default();
    let written_with = Arc::clone(&tool);
    let write_all = move |heard: &Heard| {
        for line in queue {
            if !juju_log(&line, &written_with, heard) && line.level != Level::Debug {
                to_stderr(&line);
            }
        }
        let _ = finished.send(());
    };
    let thread = threads::spawn("charm-tracing-log", write_all);
    thread.ok().map(|_| Writer { lines, done, tool })
}

/// Whether Juju took the line, or there is no time left to ask.
fn juju_log(line: &Line, tool: &Mutex<Tool>, heard: &Heard) -> bool {
    let Ok(stdout) = start(line, &mut lock(tool), heard) else { return false };
    if let Some(mut stdout) = stdout {
        // The tool writes nothing there, but that ends when the tool does: so it is waited for
        // without holding the lock that `finish` needs to kill it.
        let _ = io::copy(&mut stdout, &mut io::sink());
    }
    wait(tool).is_none_or(|ended| ended.success())
}

/// Waits for the tool, which has closed its output and so is about to end, without ever holding the
/// lock for long; `None` when `finish` took it.
fn wait(tool: &Mutex<Tool>) -> Option<ExitStatus> {
    const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
    loop {
        {
            let mut tool = lock(tool);
            match tool.child.as_mut()?.try_wait() {
                Ok(None) => {}
                Ok(Some(ended)) => {
                    tool.child = None;
                    return Some(ended);
                }
                Err(_) => return None,
            }
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn start(line: &Line, tool: &mut Tool, heard: &Heard) -> io::Result<Option<ChildStdout>> {
    if tool.given_up {
        return Ok(None);
    }
    let mut command = Command::new(TOOL);
    command.args(["--log-level", line.level.as_str(), "--", &line.text]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = heard.by_child(|| command.spawn())?;
    let stdout = child.stdout.take();
    tool.child = Some(child);
    Ok(stdout)
}

/// A closed stderr is no reason for a charm to fail.
fn to_stderr(line: &Line) {
    let _ = writeln!(io::stderr(), "{}", line.text);
}
