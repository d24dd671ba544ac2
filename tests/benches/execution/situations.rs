//! What a charm may find when it is done, set up again for each execution.

use std::fs::{self, File};
use std::io::{self, Write as _};

use charm_tracing_tests::{Authority, CharmDir, CharmRun, Down, Receiver, Unit, Unserved};
use tempfile::TempDir;

use crate::charms::Charm;
use crate::process::{self, Sample};
use crate::programs::Programs;

/// Where traces are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Http,
    Https,
    Refused,
    Hanging,
    Absent,
}

/// What was before the execution that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Executions like it.
    Alike,
    /// The backend took everything; there is no failure to back off from.
    Settled,
    /// The same, and then one execution that failed.
    BackingOff,
    /// A hundred executions without a backend.
    Hundred,
}

/// The executions that the buffer holds when it is full.
const HUNDRED: usize = 100;
/// Spans besides the calls: the root's and the event's.
const SPANS_BESIDES: usize = 2;

/// The backends, and the charms that meet them.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) programs: Programs,
    http: Receiver,
    https: Receiver,
    refused: Down,
    hanging: Unserved,
    files: TempDir,
}

impl Ground {
    pub(crate) fn prepare(programs: Programs) -> io::Result<Self> {
        let authority = Authority::new("benchmark");
        let files = TempDir::with_prefix("charm-tracing-bench-")?;
        fs::write(files.path().join("ca.pem"), authority.pem())?;
        let http = Receiver::start();
        let https = Receiver::start_tls(authority.server("127.0.0.1"));
        http.decode_later();
        https.decode_later();
        Ok(Self {
            programs,
            http,
            https,
            refused: Down::reserve(),
            hanging: Down::reserve().deaf(),
            files,
        })
    }

    fn endpoint(&self, backend: Backend) -> Option<String> {
        match backend {
            Backend::Http => Some(self.http.endpoint()),
            Backend::Https => Some(self.https.endpoint()),
            Backend::Refused => Some(self.refused.endpoint()),
            Backend::Hanging => Some(self.hanging.endpoint()),
            Backend::Absent => None,
        }
    }

    /// The execution `run`, with this backend in its environment.
    fn towards(&self, backend: Backend, run: CharmRun) -> CharmRun {
        let certificate = self.files.path().join("ca.pem");
        let Some(endpoint) = self.endpoint(backend) else { return run };
        let run = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
        if backend == Backend::Https {
            run.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &certificate.to_string_lossy())
        } else {
            run
        }
    }

    /// How many spans came since this was last asked.
    fn spans_that_came(&self) -> usize {
        let receivers = [&self.http, &self.https];
        let requests = receivers.iter().flat_map(|receiver| receiver.take_accepted());
        let resources = requests.filter_map(|received| received.request);
        let scopes = resources.flat_map(|request| request.resource_spans);
        scopes.flat_map(|resource| resource.scope_spans).map(|scope| scope.spans.len()).sum()
    }
}

/// One charm in one situation, with all that was measured of it.
#[derive(Debug)]
pub(crate) struct Situation {
    pub(crate) charm: Charm,
    pub(crate) backend: Backend,
    pub(crate) before: Before,
    pub(crate) calls: u64,
    pub(crate) samples: Vec<Sample>,
    unit: Unit,
    /// The buffer with a hundred executions, where there were so many before.
    full: Vec<u8>,
}

impl Situation {
    pub(crate) fn new(ground: &Ground, charm: Charm, backend: Backend, calls: u64) -> Self {
        let program = ground.programs.of(charm);
        let mut unit = Unit::new(CharmDir::new(program, env!("CARGO_BIN_EXE_hook-tool")));
        // No hook tools: `juju-log` is a cost of its own.
        unit.set("PATH", "/nowhere");
        unit.set("CHARM_CALLS", &calls.to_string());
        let (before, samples, full) = (Before::Alike, Vec::new(), Vec::new());
        Self { charm, backend, before, calls, samples, unit, full }
    }

    /// The same after something else than executions like it.
    pub(crate) fn after(mut self, before: Before, ground: &Ground) -> io::Result<Self> {
        self.before = before;
        if before == Before::Hundred {
            for _ in 0..HUNDRED {
                self.execute(ground, Backend::Absent)?;
            }
            self.full = fs::read(self.unit.buffer())?;
        }
        Ok(self)
    }

    /// The same with one more variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.unit.set(name, value);
        self
    }

    /// Measures one execution more.
    pub(crate) fn once(&mut self, ground: &Ground) -> io::Result<()> {
        self.set_up(ground)?;
        ground.spans_that_came();
        let sample = self.execute(ground, self.backend)?;
        self.check(ground.spans_that_came())?;
        self.samples.push(sample);
        Ok(())
    }

    /// How many system calls of one execution sync; `None` where that cannot be seen.
    pub(crate) fn syncs(&self, ground: &Ground) -> io::Result<Option<usize>> {
        self.set_up(ground)?;
        process::syncs(&self.run(ground, self.backend))
    }

    fn run(&self, ground: &Ground, backend: Backend) -> CharmRun {
        ground.towards(backend, self.unit.dispatch("install"))
    }

    fn execute(&self, ground: &Ground, backend: Backend) -> io::Result<Sample> {
        process::measure(&self.run(ground, backend))
    }

    fn set_up(&self, ground: &Ground) -> io::Result<()> {
        match self.before {
            Before::Alike => {}
            Before::Settled => self.settle(ground)?,
            Before::BackingOff => {
                self.settle(ground)?;
                self.execute(ground, self.backend)?;
            }
            Before::Hundred if self.backend == Backend::Absent => {}
            Before::Hundred => self.fill()?,
        }
        Ok(())
    }

    fn settle(&self, ground: &Ground) -> io::Result<()> {
        self.unit.let_back_off_pass();
        self.execute(ground, Backend::Http).map(drop)
    }

    /// Puts the hundred executions back, on the disk too: none of it is left for a sync of the
    /// charm's.
    fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.unit.buffer())?;
        file.write_all(&self.full)?;
        file.sync_all()
    }

    /// A figure of an execution whose spans did not come is none.
    fn check(&self, came: usize) -> io::Result<()> {
        let of_one = usize::try_from(self.calls).unwrap_or(usize::MAX) + SPANS_BESIDES;
        let is_healthy = matches!(self.backend, Backend::Http | Backend::Https);
        let executions = match (self.charm, self.before) {
            (Charm::Untraced, _) => 0,
            (_, Before::Hundred) if is_healthy => 1 + HUNDRED,
            _ => usize::from(is_healthy),
        };
        let wanted = of_one * executions;
        if came == wanted {
            return Ok(());
        }
        let Self { charm, backend, before, .. } = self;
        let what = format!("{charm:?} {backend:?} {before:?}");
        Err(io::Error::other(format!("{what}: {wanted} spans wanted, {came} came")))
    }
}
