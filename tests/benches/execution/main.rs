//! What a hook costs as a whole process: the same charm untraced, with charm-tracing, and
//! instrumented the usual ways, with a backend that is well, in other moods, or not there.
//!
//! The contenders take turns, round by round, so that whatever else the machine does hits them
//! alike; what is added is the median of the differences to the untraced charm of the same round.
//! Every execution of a healthy backend is checked: a figure of spans that did not come is none.

#[path = "../charms/mod.rs"]
mod charms;
#[path = "../report/mod.rs"]
mod report;

mod findings;
mod process;
mod programs;
mod situations;

use std::io;
use std::process::ExitCode;

use charms::Charm;
use findings::{Findings, Hangs, Scaling};
use process::Sample;
use programs::Programs;
use report::{Options, Progress};
use situations::{Backend, Before, Ground, Situation};

const ABOUT: &str = "\
What a hook costs as a whole process: untraced, with charm-tracing, instrumented the usual ways.
cargo bench -p charm-tracing-tests --bench execution [-- OPTIONS]";

/// The event with few calls, and that with many.
const FEW: u64 = 50;
const MANY: u64 = 1_000;
const HUGE: u64 = 100_000;
/// Executions one after the other, while the backend hangs.
const IN_A_ROW: usize = 20;

fn main() -> ExitCode {
    if let Some(launched) = process::launched() {
        return launched;
    }
    report::benchmark(ABOUT, run)
}

fn run(options: Options) -> io::Result<()> {
    let progress = Progress::new();
    let ground = Ground::prepare(Programs::build(progress)?)?;
    let situations = take_turns(&ground, options, progress)?;
    let syncs = count_syncs(&situations, &ground, progress)?;
    let hangs = hang(&ground, options, progress)?;
    let scaling = scale(&ground, options, progress)?;
    let findings = Findings { situations, syncs, hangs, scaling, programs: &ground.programs };
    findings.report()?.publish(options, Some(&findings.chart()))
}

/// Everything that takes a moment, once a round.
fn take_turns(ground: &Ground, options: Options, progress: Progress) -> io::Result<Vec<Situation>> {
    progress.begin("preparing buffers");
    let mut situations = of_healthy_backends(ground);
    situations.extend(of_other_backends(ground)?);
    progress.begin("healthy and unhealthy backends");
    let rounds = options.rounds(3, 60);
    for round in 0..rounds {
        progress.round(round, rounds);
        for situation in &mut situations {
            situation.once(ground)?;
        }
    }
    Ok(situations)
}

fn of_healthy_backends(ground: &Ground) -> Vec<Situation> {
    let contenders = [
        (Charm::Untraced, Backend::Absent),
        (Charm::Ours, Backend::Http),
        (Charm::Usual, Backend::Http),
        (Charm::UsualTracing, Backend::Http),
        (Charm::Ours, Backend::Https),
        (Charm::UsualHttps, Backend::Https),
        (Charm::UsualTracingHttps, Backend::Https),
    ];
    let with = |calls| contenders.map(|(charm, to)| Situation::new(ground, charm, to, calls));
    [with(FEW), with(MANY)].into_iter().flatten().collect()
}

fn of_other_backends(ground: &Ground) -> io::Result<Vec<Situation>> {
    let ours = |backend| Situation::new(ground, Charm::Ours, backend, FEW);
    Ok(vec![
        ours(Backend::Http).with("PATH", &ground.programs.juju_log.to_string_lossy()),
        ours(Backend::Refused).after(Before::Settled, ground)?,
        ours(Backend::Refused).after(Before::BackingOff, ground)?,
        Situation::new(ground, Charm::Usual, Backend::Refused, FEW),
        ours(Backend::Absent).after(Before::Settled, ground)?,
        ours(Backend::Absent).after(Before::Hundred, ground)?,
        ours(Backend::Http).after(Before::Hundred, ground)?,
    ])
}

/// How often each situation syncs, in their order; `None` where `strace` is missing.
fn count_syncs(
    situations: &[Situation],
    ground: &Ground,
    progress: Progress,
) -> io::Result<Vec<Option<usize>>> {
    progress.begin("counting the calls that sync");
    situations.iter().map(|situation| situation.syncs(ground)).collect()
}

/// Executions in a row before a backend that takes connections and says nothing.
fn hang(ground: &Ground, options: Options, progress: Progress) -> io::Result<Hangs> {
    progress.begin("a backend that hangs");
    let mut hangs = Hangs { untraced: Vec::new(), rows: Vec::new(), usual: Vec::new() };
    let mut untraced = Situation::new(ground, Charm::Untraced, Backend::Absent, FEW);
    let mut usual = Situation::new(ground, Charm::Usual, Backend::Hanging, FEW);
    let rounds = options.rounds(1, 5);
    for round in 0..rounds {
        progress.round(round, rounds);
        // A unit of its own: nothing has failed yet.
        let mut ours = Situation::new(ground, Charm::Ours, Backend::Hanging, FEW);
        for _ in 0..IN_A_ROW {
            untraced.once(ground)?;
            ours.once(ground)?;
        }
        hangs.rows.push(ours.samples);
    }
    usual.once(ground)?;
    (hangs.untraced, hangs.usual) = (untraced.samples, usual.samples);
    Ok(hangs)
}

/// One execution with few spans, and one with very many.
fn scale(ground: &Ground, options: Options, progress: Progress) -> io::Result<Scaling> {
    progress.begin("executions with very many spans");
    let of = |charm, calls| Situation::new(ground, charm, Backend::Http, calls);
    // Without a buffer no span leaves before the end.
    let waiting = |calls| {
        let ours = of(Charm::Ours, calls).with("CHARM_BUFFER_MAX_EVENTS", "0");
        ours.with("CHARM_SAYS_MEMORY", "1")
    };
    let mut ours = [0, MANY, HUGE].map(|calls| of(Charm::Ours, calls));
    let mut untraced = [0, MANY, HUGE].map(|calls| of(Charm::Untraced, calls));
    let mut waiting = [0, HUGE].map(waiting);
    let rounds = options.rounds(2, 15);
    for round in 0..rounds {
        progress.round(round, rounds);
        for situation in ours.iter_mut().chain(&mut untraced).chain(&mut waiting) {
            situation.once(ground)?;
        }
    }
    let samples = |situation: Situation| situation.samples;
    Ok(Scaling {
        ours: ours.map(samples),
        untraced: untraced.map(samples),
        waiting: waiting.map(samples),
    })
}

/// One figure of many samples.
fn figures(samples: &[Sample], figure: fn(&Sample) -> f64) -> impl Iterator<Item = f64> {
    samples.iter().map(figure)
}
