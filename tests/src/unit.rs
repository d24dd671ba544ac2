//! A unit whose charm handles one event after the other. Each is also handled without tracing, and
//! must be the same to Juju: exit code, stdout, stderr.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use charm_tracing_buffer::{Buffer, Options};

use crate::{CharmDir, CharmRun, Finished, Receiver, Trace};

/// The charm's directory, and what its environment says in every execution.
#[derive(Debug)]
pub struct Unit {
    /// The charm's directory.
    pub charm: CharmDir,
    variables: BTreeMap<String, String>,
}

/// One event that was handled.
#[derive(Debug)]
pub struct Handled {
    /// The execution.
    pub finished: Finished,
    /// How much longer it took than without tracing, in deadlines.
    pub held: f64,
    /// What `juju-log` was told at WARNING.
    pub warnings: Vec<String>,
}

/// How long tracing may hold a hook, in all tests that do not say otherwise.
pub const DEADLINE: Duration = Duration::from_secs(1);

impl Unit {
    /// A unit without a backend.
    pub fn new(charm: CharmDir) -> Self {
        Self { charm, variables: BTreeMap::new() }
    }

    /// Sends traces to this endpoint from now on.
    pub fn send_to(&mut self, endpoint: &str) {
        self.set("TEST_CHARM_ENDPOINT", endpoint);
    }

    /// Sets a variable of every execution from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Gives tracing so much time from now on that no machine is too busy for it; for what is not
    /// about the deadline.
    pub fn give_time(&mut self) {
        self.set("OTEL_EXPORTER_OTLP_TIMEOUT", "30000");
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The execution for `event`, to be started.
    pub fn dispatch(&self, event: &str) -> CharmRun {
        let run = self.charm.dispatch(&format!("hooks/{event}"));
        let set = |run: CharmRun, (name, value): (&String, &String)| run.variable(name, value);
        self.variables.iter().fold(run, set)
    }

    /// Has the event handled, untraced and traced.
    ///
    /// # Panics
    ///
    /// When tracing shows, or logs more than one line.
    pub fn handle(&self, event: &str) -> Handled {
        let run = self.dispatch(event);
        let untraced = run.clone().variable("CHARM_TRACING_ENABLED", "0").run();
        let said_before = self.charm.juju_log().len();
        let finished = run.run();
        let seen = |finished: &Finished| {
            let stderr = finished.stderr.replace(&format!("({})", finished.pid), "(pid)");
            (finished.code, finished.stdout.clone(), stderr)
        };
        assert_eq!(seen(&finished), seen(&untraced), "tracing shows");
        let said = self.charm.juju_log().into_iter().skip(said_before);
        let warnings: Vec<String> = said.filter(|line| line.starts_with("WARNING ")).collect();
        assert!(warnings.len() <= 1, "one line at most: {warnings:#?}");
        let held = finished.held_beyond(&untraced);
        Handled { finished, held: held.as_secs_f64() / DEADLINE.as_secs_f64(), warnings }
    }

    /// Has these events handled while there is no backend: their traces wait.
    ///
    /// # Panics
    ///
    /// When one of them fails.
    pub fn buffer_events<E: AsRef<str>>(&self, events: impl IntoIterator<Item = E>) {
        for event in events {
            let finished = self.dispatch(event.as_ref()).without("TEST_CHARM_ENDPOINT").run();
            assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        }
    }

    /// The buffer file.
    pub fn buffer(&self) -> PathBuf {
        self.charm.path().join(".charm_tracing_buffer.raw")
    }

    /// How many executions wait in the buffer.
    pub fn waiting(&self) -> u64 {
        self.with_buffer(|buffer| buffer.len().map(|len| len.events))
    }

    /// How many records wait there: a long execution has several.
    pub fn waiting_records(&self) -> u64 {
        self.with_buffer(|buffer| buffer.len().map(|len| len.records))
    }

    /// How long no attempt is made from `now` on, as the buffer remembers it.
    pub fn back_off(&self, now: std::time::SystemTime) -> Duration {
        let metadata = self.with_buffer(Buffer::metadata);
        let not_before = Duration::from_millis(u64::from_le_bytes(not_before_of(&metadata)));
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        not_before.saturating_sub(now)
    }

    /// Lets the time pass that no attempt is made for: the only thing that a test does to the state
    /// that delivery keeps, which else would have to wait as long.
    pub fn let_back_off_pass(&self) {
        self.with_buffer(|buffer| {
            let mut metadata = buffer.metadata()?;
            if let Some(place) = metadata.get_mut(NOT_BEFORE) {
                place.fill(0);
            }
            buffer.set_metadata(metadata)
        });
    }

    #[expect(clippy::expect_used, reason = "a test cannot go on without the buffer")]
    fn with_buffer<T>(
        &self,
        ask: impl FnOnce(&mut Buffer) -> Result<T, charm_tracing_buffer::Error>,
    ) -> T {
        // Opening enforces the caps: a test that only looks has none that could cost an event.
        let (max_events, max_bytes) = (u64::MAX, 4095 << 20);
        let options = Options {
            max_events,
            max_bytes,
            lock_timeout: Duration::from_secs(5),
            ..Options::default()
        };
        let mut buffer = Buffer::open(self.buffer(), options).expect("open the buffer");
        ask(&mut buffer).expect("ask the buffer")
    }
}

/// Where the state has the time before which no attempt is made.
const NOT_BEFORE: std::ops::Range<usize> = 8..16;

fn not_before_of(metadata: &[u8; 64]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(metadata.get(NOT_BEFORE).unwrap_or(&[0; 8]));
    bytes
}

impl Handled {
    /// Checks that the hook was held for no longer than `deadlines`.
    ///
    /// # Panics
    ///
    /// When it was.
    pub fn assert_held_at_most(&self, deadlines: f64) {
        assert!(self.held <= deadlines, "held for {} deadlines: {self:#?}", self.held);
    }

    /// Notes what the situation cost, for whoever wants the table (`--no-capture`).
    #[expect(clippy::print_stdout, reason = "the table of what situations cost")]
    pub fn note(&self, situation: &str, lost: usize, twice: usize) {
        println!("| {situation} | {:.2} | {lost} | {twice} |", self.held);
    }

    /// The one line that was logged.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(clippy::panic, reason = "an assertion of tests")]
    pub fn warning(&self) -> &str {
        match &self.warnings[..] {
            [line] => line,
            lines => panic!("one line wanted: {lines:#?}"),
        }
    }
}

/// What came of the events that a unit handled.
impl Receiver {
    /// The events whose traces came whole, each span once, in the order in which they came.
    ///
    /// # Panics
    ///
    /// When a span came twice, or a trace has no root or not every span between the root and a
    /// leaf.
    pub fn events(&self) -> Vec<String> {
        self.traces().iter().map(event_of).collect()
    }

    /// How many spans came more often than once.
    pub fn spans_sent_twice(&self) -> usize {
        let ids = |trace: &Trace| trace.spans.iter().map(|span| span.id.clone()).collect();
        let twice = |mut ids: Vec<String>| {
            ids.sort();
            ids.windows(2).filter(|pair| pair.first() == pair.get(1)).count()
        };
        self.traces().iter().map(|trace| twice(ids(trace))).sum()
    }
}

/// The event of a whole trace.
fn event_of(trace: &Trace) -> String {
    let mut ids: Vec<&str> = trace.spans.iter().map(|span| span.id.as_str()).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair.first() != pair.get(1)), "a span twice in\n{trace}");
    trace.assert_times_nest();
    let root = trace.root();
    let event = root.name.trim_start_matches("hello/0: ").trim_end_matches(" event").to_owned();
    for name in [&format!("event: {event}"), "method call: TestCharm::on_event"] {
        assert!(trace.has(name), "`{name}` is missing in\n{trace}");
    }
    event
}
