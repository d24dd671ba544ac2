//! Charms run the way Juju runs them: one process per event, Juju's environment, the charm's
//! directory as working directory, hook tools first on `PATH`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fake_juju::FakeJuju;
use crate::hook_tools;

/// The directory of the charm that `tests` itself builds, for its integration tests.
#[macro_export]
macro_rules! test_charm {
    () => {
        $crate::CharmDir::new(env!("CARGO_BIN_EXE_test-charm"), env!("CARGO_BIN_EXE_hook-tool"))
    };
}

/// A charm's directory, with hook tools beside it and the state that they keep.
#[derive(Debug)]
pub struct CharmDir {
    folder: TempDir,
    program: PathBuf,
}

impl CharmDir {
    /// A directory for a charm that `program` implements, with hook tools that `tools`
    /// implements: a program whose `main` calls [`hook_tools::main`].
    ///
    /// # Panics
    ///
    /// When the directory cannot be made.
    #[expect(clippy::expect_used, reason = "without a charm there is no test")]
    pub fn new(program: impl Into<PathBuf>, tools: impl AsRef<Path>) -> Self {
        Self::make(program.into(), tools.as_ref()).expect("make the charm's directory")
    }

    fn make(program: PathBuf, tools: &Path) -> io::Result<Self> {
        let folder = TempDir::with_prefix("charm-tracing-")?;
        let dir = Self { folder, program };
        for made in [dir.path(), dir.tools(), dir.state()] {
            fs::create_dir(made)?;
        }
        fs::write(dir.path().join("metadata.yaml"), "name: hello-k8s\nsummary: says hello\n")?;
        for tool in hook_tools::NAMES {
            symlink(tools, dir.tools().join(tool))?;
        }
        Ok(dir)
    }

    /// The charm's own directory, its working directory.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("charm")
    }

    /// Where the hook tools keep what they are told.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn tools(&self) -> PathBuf {
        self.folder.path().join("tools")
    }

    /// What the model's log shows as Juju configures it: every line above DEBUG, its level before
    /// it.
    pub fn juju_log(&self) -> Vec<String> {
        let mut lines = self.debug_log();
        lines.retain(|line| !line.starts_with("DEBUG "));
        lines
    }

    /// Every line that `juju-log` was told, its level before it.
    pub fn debug_log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.state().join("juju-log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What Juju knows of the unit.
    pub fn juju(&self) -> FakeJuju {
        FakeJuju::at(self.state())
    }

    /// An execution for `dispatch_path`, `hooks/install`, with the environment of unit `hello/0`.
    pub fn dispatch(&self, dispatch_path: &str) -> CharmRun {
        let mut run = CharmRun {
            program: self.program.clone(),
            directory: self.path(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
        };
        let path = env::var_os("PATH").unwrap_or_default();
        let mut tools_first = vec![self.tools()];
        tools_first.extend(env::split_paths(&path));
        let path = env::join_paths(tools_first).unwrap_or(path);
        run.environment.insert("PATH".into(), path);
        run.environment.insert(hook_tools::STATE_VARIABLE.into(), self.state().into());
        run.environment.insert("JUJU_CHARM_DIR".into(), self.path().into());
        let run = run
            .variable("JUJU_DISPATCH_PATH", dispatch_path)
            .variable("JUJU_UNIT_NAME", "hello/0")
            .variable("JUJU_MODEL_NAME", "welcome")
            .variable("JUJU_MODEL_UUID", "cdcaed9f-336d-47d3-83ba-d9ea9047b18c")
            .variable("JUJU_VERSION", "3.6.8")
            .variable("JUJU_CONTEXT_ID", "hello/0-run-commands-1");
        match dispatch_path.split_once('/') {
            Some(("actions", action)) => run.variable("JUJU_ACTION_NAME", action),
            Some((_, hook)) => run.variable("JUJU_HOOK_NAME", hook),
            None => run,
        }
    }
}

/// One execution that is about to begin. Its environment is exactly what is put into it.
#[derive(Debug, Clone)]
pub struct CharmRun {
    program: PathBuf,
    directory: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<OsString, OsString>,
}

/// An execution that is over.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took, the start of the process included.
    pub took: Duration,
    /// For how much of that a processor was waited for, by it or by the test: what a busy machine
    /// adds.
    pub waited: Duration,
    /// The number that the process had.
    pub pid: u32,
}

impl CharmRun {
    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// What Juju says in an event of the relation `id`, `tracing:3`, whose other end is `remote`.
    #[must_use]
    pub fn in_relation(self, id: &str, remote: &str) -> Self {
        let name = id.split(':').next().unwrap_or_default();
        let run = self.variable("JUJU_RELATION", name).variable("JUJU_RELATION_ID", id);
        run.variable("JUJU_REMOTE_APP", remote)
    }

    /// What every execution is told by Juju 4.1: its own trace, unsampled as most are, and that no
    /// backend for charms is configured.
    #[must_use]
    pub fn juju_4(self) -> Self {
        self.variable("JUJU_VERSION", "4.1.0")
            .variable("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
            .variable("TRACESTATE", "")
            .variable("JUJU_TRACE_ID", "0af7651916cd43dd8448eb211c80319c")
            .variable("JUJU_SPAN_ID", "b7ad6b7169203331")
            .variable("JUJU_TRACE_FLAGS", "0")
            .variable("JUJU_CHARM_TRACE_CONFIG_HTTP", "")
            .variable("JUJU_CHARM_TRACE_CONFIG_GRPC", "")
            .variable("JUJU_CHARM_TRACE_CONFIG_CA_CERT", "")
    }

    /// Removes every variable whose name begins with `prefix`.
    #[must_use]
    pub fn without(mut self, prefix: &str) -> Self {
        let begins = |name: &OsString| name.to_string_lossy().starts_with(prefix);
        self.environment.retain(|name, _| !begins(name));
        self
    }

    /// Appends an argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The process to be, for a test that wants to hold it in its own hands.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        command.current_dir(&self.directory);
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn run(&self) -> Finished {
        Finished::of(&mut self.command())
    }
}

impl Finished {
    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its charm")]
    pub fn of(command: &mut Command) -> Self {
        let (began, own_wait) = (Instant::now(), waited_for_processor("thread-self"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the charm");
        let pid = child.id();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stderr = thread::spawn(|| read(stderr));
        let stdout = read(stdout);
        let stderr = stderr.join().expect("read what the charm says");
        // It has ended, or is about to; it is there until somebody waits for it.
        let wait = waited_for_processor(&pid.to_string());
        let code = child.wait().expect("wait for the charm").code();
        let took = began.elapsed();
        let own_wait = waited_for_processor("thread-self").saturating_sub(own_wait);
        Self { code, stdout, stderr, took, waited: wait + own_wait, pid }
    }

    /// How much longer it took than another. A machine that is busy with something else holds up
    /// nobody who would not have been held anyway.
    pub fn held_beyond(&self, other: &Self) -> Duration {
        let took = |finished: &Self| finished.took.saturating_sub(finished.waited);
        took(self).saturating_sub(took(other))
    }
}

/// All that comes out of a pipe.
fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How long a process's main thread has been ready to run and was not let, as the kernel counts it;
/// nothing where it does not count.
fn waited_for_processor(of: &str) -> Duration {
    let counts = fs::read_to_string(format!("/proc/{of}/schedstat")).unwrap_or_default();
    let waited = counts.split_whitespace().nth(1).and_then(|nanoseconds| nanoseconds.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}
