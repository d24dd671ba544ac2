//! Hook tools: the programs by which a charm talks to its Juju agent, each call a span.
//!
//! One call is a round trip to the agent, tens of milliseconds on a real unit. What is recorded of
//! it is which tool, how long, and how it ended; never what was asked or answered.

use std::any::type_name;
use std::borrow::Cow;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Map, Value};

use super::redact::redact;
use crate::process::{ProcessSpan, in_words};

/// How much of a line of an error is worth recording, in characters.
const LONGEST_LINE: usize = 500;

/// A call of one of Juju's hook tools, to be completed and [`run`](HookTool::run).
///
/// ```
/// use charm_tracing::juju::{HookToolError, hook_tool};
///
/// fn on_config_changed() -> Result<(), HookToolError> {
///     let config = hook_tool("config-get").arg("--format=json").run()?;
///     hook_tool("status-set").args(["active", "ready"]).run()?;
///     hook_tool("relation-set").args(["--app", "--file", "-"]).stdin("password: hunter2").run()?;
///     Ok(())
/// }
/// # assert!(on_config_changed().is_err(), "there are no hook tools outside a hook");
/// ```
pub fn hook_tool(name: impl Into<String>) -> HookTool {
    HookTool { name: name.into(), arguments: Vec::new(), stdin: None }
}

/// A call of a hook tool that is being put together. See [`hook_tool`].
#[derive(Clone)]
#[must_use = "it is called by `run`"]
pub struct HookTool {
    name: String,
    arguments: Vec<OsString>,
    stdin: Option<Vec<u8>>,
}

impl HookTool {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Gives the tool something to read, which for secrets is the better way than an argument: the
    /// arguments of a process are visible to others. Without it there is nothing to read.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Runs the tool to its end and returns what it wrote to stdout.
    ///
    /// # Errors
    ///
    /// When the tool cannot be started (outside a hook there are none), when it fails, and when
    /// what it says is not UTF-8.
    pub fn run(self) -> Result<String, HookToolError> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let span = ProcessSpan::open_for(&mut command);
        let result = match call(&mut command, self.stdin.as_deref()) {
            Ok(output) => {
                span.exited(output.status);
                self.text_of(output)
            }
            Err(error) => Err(self.error(Cause::NotRun(error))),
        };
        if let Err(error) = &result {
            span.fail(type_name::<HookToolError>(), &error.cause);
        }
        result
    }

    /// What the tool says, if it succeeded.
    fn text_of(&self, output: Output) -> Result<String, HookToolError> {
        if output.status.success() {
            let text = String::from_utf8(output.stdout);
            return text.map_err(|_invalid| self.error(Cause::NotText));
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = match stderr.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => self.redacted(line),
            None => in_words(output.status),
        };
        Err(self.error(Cause::Failed { exit_code: output.status.code(), said, stderr }))
    }

    /// The line without anything that the tool was told.
    fn redacted(&self, line: &str) -> String {
        let given = self.given();
        let redacted = redact(line, given.iter().map(AsRef::as_ref));
        redacted.chars().take(LONGEST_LINE).collect()
    }

    /// Everything that the tool was told, as text.
    fn given(&self) -> Vec<Cow<'_, str>> {
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy());
        let input = self.stdin.as_deref().map(String::from_utf8_lossy);
        arguments.chain(input).collect()
    }

    fn error(&self, cause: Cause) -> HookToolError {
        HookToolError { tool: self.name.clone(), cause }
    }
}

/// The tool's name alone: what it is given may be secret.
impl fmt::Debug for HookTool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HookTool").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs the command with `input` to read.
fn call(command: &mut Command, input: Option<&[u8]>) -> io::Result<Output> {
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        // A thread of its own, so that a tool that writes before it has read everything does not
        // wait for us while we wait for it.
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A tool that ends without reading it all says by its exit code why.
            thread::Builder::new().spawn_scoped(scope, move || stdin.write_all(input))?;
        }
        child.wait_with_output()
    })
}

/// A hook tool that could not be run, or that failed.
///
/// Neither `Display` nor `Debug` show anything that the tool was given, so that the error may be
/// recorded and logged; [`stderr`](Self::stderr) is what the tool really said.
///
/// ```
/// use charm_tracing::juju::hook_tool;
///
/// let error = hook_tool("config-get").run().unwrap_err();
/// assert_eq!(error.tool(), "config-get");
/// assert_eq!(error.exit_code(), None, "outside a hook it cannot even be run");
/// ```
pub struct HookToolError {
    tool: String,
    cause: Cause,
}

enum Cause {
    NotRun(io::Error),
    NotText,
    Failed {
        exit_code: Option<i32>,
        /// The first line of stderr without what the tool was given.
        said: String,
        stderr: String,
    },
}

impl HookToolError {
    /// The tool's name.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The tool's exit code; `None` when it was not run or a signal ended it.
    pub fn exit_code(&self) -> Option<i32> {
        match &self.cause {
            Cause::Failed { exit_code, .. } => *exit_code,
            Cause::NotRun(_) | Cause::NotText => None,
        }
    }

    /// All that the tool wrote to stderr, word for word. It may quote what the tool was given.
    pub fn stderr(&self) -> &str {
        match &self.cause {
            Cause::Failed { stderr, .. } => stderr,
            Cause::NotRun(_) | Cause::NotText => "",
        }
    }

    /// Whether Juju does not let this unit do that: a unit that is not the leader reads or writes
    /// its application's databag, or the relation is gone.
    pub fn is_permission_denied(&self) -> bool {
        self.stderr().contains("permission denied")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun(error) if error.kind() == io::ErrorKind::NotFound => {
                formatter.write_str("there is no such program; hook tools are there only in a hook")
            }
            Self::NotRun(error) => error.fmt(formatter),
            Self::NotText => formatter.write_str("its output is not UTF-8"),
            Self::Failed { said, .. } => formatter.write_str(said),
        }
    }
}

impl fmt::Display for HookToolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` failed: {}", self.tool, self.cause)
    }
}

impl fmt::Debug for HookToolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("HookToolError");
        shown.field("tool", &self.tool).field("exit_code", &self.exit_code());
        shown.field("said", &format_args!("{}", self.cause)).finish()
    }
}

// What it wraps it says itself: a source would have it said twice by whoever prints the chain.
impl Error for HookToolError {}

/// A databag: text under names.
pub(super) type Databag = Map<String, Value>;

/// Why one of the calls below gave nothing to go on.
#[derive(Debug)]
pub(super) enum Unanswered {
    Failed(HookToolError),
    /// The tool says something that is not of the form which Juju documents.
    Malformed {
        tool: &'static str,
    },
}

impl fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(formatter),
            Self::Malformed { tool } => write!(formatter, "`{tool}` answers what cannot be read"),
        }
    }
}

/// The ids of the relations by that name, `tracing:3`.
pub(super) fn relation_ids(name: &str) -> Result<Vec<String>, Unanswered> {
    texts("relation-ids", &[name])
}

/// The application at the other end of a relation; `None` where there is none (any more).
pub(super) fn remote_application(relation: &str) -> Result<Option<String>, Unanswered> {
    match ask("relation-list", &["-r", relation, "--app"])? {
        Value::String(application) => Ok(Some(application).filter(|name| !name.is_empty())),
        Value::Null => Ok(None),
        _ => Err(Unanswered::Malformed { tool: "relation-list" }),
    }
}

/// The units at the other end of a relation.
pub(super) fn remote_units(relation: &str) -> Result<Vec<String>, Unanswered> {
    texts("relation-list", &["-r", relation])
}

/// What an application says in a relation.
pub(super) fn application_databag(
    relation: &str,
    application: &str,
) -> Result<Databag, Unanswered> {
    databag(&["-r", relation, "-", application, "--app"])
}

/// What a unit says in a relation.
pub(super) fn unit_databag(relation: &str, unit: &str) -> Result<Databag, Unanswered> {
    databag(&["-r", relation, "-", unit])
}

/// Sets one key of this application's own databag. Juju lets the leader alone do that.
pub(super) fn set_in_own_databag(
    relation: &str,
    key: &str,
    value: &str,
) -> Result<(), HookToolError> {
    let databag = serde_json::json!({ key: value }).to_string();
    let call = hook_tool("relation-set").args(["-r", relation, "--app", "--file", "-"]);
    call.stdin(databag).run().map(drop)
}

/// Whether this unit leads its application.
pub(super) fn is_leader() -> Result<bool, Unanswered> {
    let answer = ask("is-leader", &[])?;
    answer.as_bool().ok_or(Unanswered::Malformed { tool: "is-leader" })
}

fn databag(arguments: &[&str]) -> Result<Databag, Unanswered> {
    match ask("relation-get", arguments)? {
        Value::Object(databag) => Ok(databag),
        Value::Null => Ok(Databag::new()),
        _ => Err(Unanswered::Malformed { tool: "relation-get" }),
    }
}

/// A list of texts; Juju writes an empty list as `null` too.
fn texts(tool: &'static str, arguments: &[&str]) -> Result<Vec<String>, Unanswered> {
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    let list = match ask(tool, arguments)? {
        Value::Array(values) => values.into_iter().map(text).collect(),
        Value::Null => Some(Vec::new()),
        _ => None,
    };
    list.ok_or(Unanswered::Malformed { tool })
}

/// Asks a tool for JSON.
fn ask(tool: &'static str, arguments: &[&str]) -> Result<Value, Unanswered> {
    let call = hook_tool(tool).arg("--format=json").args(arguments);
    let answer = call.run().map_err(Unanswered::Failed)?;
    serde_json::from_str(&answer).map_err(|_not_json| Unanswered::Malformed { tool })
}
