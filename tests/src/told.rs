//! An execution that does what it is told, when it is told to: for tests of what becomes of a long
//! one.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test cannot go on without the execution"
)]

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{CharmDir, Receiver, Trace, Unit};

/// The signal that ends a process at once.
pub const SIGKILL: i32 = 9;
/// The signal that asks it to.
pub const SIGTERM: i32 = 15;

/// An execution of `test-charm` that does what it is told, when it is told to.
///
/// Every function panics where the execution does not do as it ought to.
#[derive(Debug)]
pub struct Told {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Told {
    /// Starts it; it waits for orders in its handler.
    pub fn start(unit: &Unit) -> Self {
        Self::start_by(unit.dispatch("told").command(), HANDLES)
    }

    /// The same, but it waits for orders while it is being built.
    pub fn start_in_constructor(unit: &Unit) -> Self {
        let run = unit.dispatch("told").variable("TEST_CHARM_CONSTRUCTOR", "told");
        Self::start_by(run.command(), "test-charm is being built\n")
    }

    /// Two executions, one after the other, in one process that goes on after them.
    pub fn start_two(unit: &Unit) -> Self {
        let run = unit.dispatch("told").variable("TEST_CHARM_EXECUTIONS", "2");
        Self::start_by(run.command(), HANDLES)
    }

    /// Starts it by a shell that ignores SIGTERM, and so does it then.
    pub fn start_without_sigterm(unit: &Unit) -> Self {
        let run = unit.dispatch("told").command();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; exec \"$0\""]).arg(run.get_program());
        let set = run.get_envs().filter_map(|(key, value)| Some((key, value?)));
        command.env_clear().envs(set).current_dir(unit.charm.path());
        Self::start_by(command, HANDLES)
    }

    fn start_by(mut command: Command, first_line: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut told = Self { child, orders, said: BufReader::new(said) };
        assert_eq!(told.line(), first_line);
        told
    }

    /// Gives an order and waits until it is carried out.
    pub fn tell(&mut self, order: &str) {
        let said = self.tell_and_hear(order);
        assert!(said.ends_with("spans are finished\n"), "{said}");
    }

    /// Gives an order; what it then says.
    pub fn tell_and_hear(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.line()
    }

    /// Gives it more work than it is let do, and returns after it has said so many lines: how many
    /// spans were finished by then.
    pub fn work_for(&mut self, lines: usize) -> usize {
        for _ in 0..200 {
            writeln!(self.orders, "spans 100").unwrap();
        }
        let said = (0..lines).map(|_| self.line()).next_back().unwrap();
        said.split(' ').next().unwrap().parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        send(signal, &self.child);
    }

    /// Sends a signal and waits for the end; what the charm said on stderr.
    pub fn end_by(mut self, signal: i32) -> String {
        self.signal(signal);
        let status = ended(&mut self.child);
        assert_eq!(status.signal(), Some(signal), "it died of the signal, as ever: {status}");
        io::read_to_string(self.child.stderr.take().unwrap()).unwrap()
    }

    /// Has no more orders, and lets it come to its own end meanwhile.
    pub fn let_end(self) -> Ending {
        drop(self.orders);
        Ending(self.child)
    }

    /// Lets it come to its own end.
    pub fn end(self) {
        drop(self.orders);
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

const HANDLES: &str = "test-charm handles told\n";

/// An execution that is coming to its end.
#[derive(Debug)]
pub struct Ending(Child);

impl Ending {
    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        send(signal, &self.0);
    }

    /// How the process has ended.
    pub fn wait(mut self) -> ExitStatus {
        ended(&mut self.0)
    }
}

/// How it has ended. One that does not end, a signal notwithstanding, is killed.
fn ended(child: &mut Child) -> ExitStatus {
    const PATIENCE: Duration = Duration::from_secs(60);
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn send(signal: i32, child: &Child) {
    let killed = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
    assert!(killed.unwrap().success());
}

/// A unit whose backend takes everything, and that has the time for it.
pub fn world(charm: CharmDir) -> (Unit, Receiver) {
    let (mut unit, receiver) = (Unit::new(charm), Receiver::start());
    unit.send_to(&receiver.endpoint());
    unit.give_time();
    (unit, receiver)
}

/// How many of the spans that were ordered are there.
pub fn counted(trace: &Trace) -> usize {
    trace.spans.iter().filter(|span| span.name == "method call: Store::count").count()
}

/// The trace of the execution that was told what to do, once another has delivered it.
pub fn delivered(unit: &Unit, receiver: &Receiver) -> Option<Trace> {
    unit.handle("next");
    assert_eq!((receiver.spans_sent_twice(), unit.waiting()), (0, 0));
    receiver.traces().into_iter().find(|trace| counted(trace) > 0)
}
