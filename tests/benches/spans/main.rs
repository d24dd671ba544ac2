//! What one traced call costs, beside the same call traced by the usual means, in one run.
//!
//! Every contender calls the same small method a hundred times under each root, so that what a root
//! costs is shared by its calls, as in an execution. The contenders take turns, round by round, so
//! that whatever else the machine does hits them alike. What is counted is the recording, up to
//! where a span waits to be sent: the end of an execution, and what the peers do in threads of
//! their own meanwhile, is the benchmark `execution`'s to measure.

#[path = "../charms/mod.rs"]
mod charms;
#[path = "../report/mod.rs"]
mod report;

mod contenders;
mod findings;
mod subject;

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use charms::{Charm, Profile};
use contenders::Contender;
use findings::{COMPILED_OUT, Figure, Findings};
use report::{Options, Progress, Spread, Whose};

const ABOUT: &str = "\
What one traced call costs, beside the same call traced by the usual means.
cargo bench -p charm-tracing-tests --bench spans [-- OPTIONS]";

/// A process is started for each figure of the program without tracing, which takes a while.
const ROUNDS_A_PROCESS: usize = 10;

fn main() -> ExitCode {
    report::benchmark(ABOUT, run)
}

fn run(options: Options) -> io::Result<()> {
    let progress = Progress::new();
    let compiled_out = Charm::CompiledOut.build(Profile::Release, progress)?;
    let mut contenders = contenders::all()?;
    let mut nanos = vec![Vec::new(); contenders.len()];
    let mut nanos_compiled_out = Vec::new();
    progress.begin("traced calls");
    let rounds = options.rounds(20, 2_000);
    for round in 0..rounds {
        progress.round(round, rounds);
        for (contender, nanos) in contenders.iter_mut().zip(&mut nanos) {
            nanos.push(contender.round());
        }
        if round % ROUNDS_A_PROCESS == 0 {
            nanos_compiled_out.push(said_by(&compiled_out)?);
        }
    }
    let mut figures: Vec<Figure> = contenders.iter().zip(nanos).map(figure).collect();
    let nanos = Spread::of(nanos_compiled_out);
    figures.insert(1, Figure { name: COMPILED_OUT, whose: Whose::Ours, nanos });
    let findings = Findings { rounds, figures };
    findings.report().publish(options, Some(&findings.chart()))
}

fn figure((contender, nanos): (&Contender, Vec<f64>)) -> Figure {
    Figure { name: contender.name, whose: contender.whose, nanos: Spread::of(nanos) }
}

/// The one number that a program says.
fn said_by(program: &Path) -> io::Result<f64> {
    let output = Command::new(program).output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(io::Error::other)
}
