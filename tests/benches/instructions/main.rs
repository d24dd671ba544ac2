//! How many instructions tracing takes, which a machine that is busy does not change: of one traced
//! call, and of an execution's end, counted by valgrind's callgrind.
//!
//! The figures that are committed beside this file are of one compiler; with another there is
//! nothing to compare.

#[path = "../charms/mod.rs"]
mod charms;
#[path = "../report/mod.rs"]
mod report;

mod callgrind;
mod committed;

use std::io::{self, Write as _};
use std::process::ExitCode;

use callgrind::{Callgrind, Counted};
use charms::{Charm, Profile};
use committed::{Committed, Compared};
use report::{Options, Progress, Report, Table};

const ABOUT: &str = "\
How many instructions a traced call and an execution's end take. Fails where they take more than 5 %
more than the committed figures; `--save` commits to those of this run.
cargo bench -p charm-tracing-tests --bench instructions [-- OPTIONS]";

const SAVE: &str = "`cargo bench -p charm-tracing-tests --bench instructions -- --save`";

/// How much more than the committed figure is no regression yet, and how much less is no news.
const TOLERANCE: f64 = 0.05;

fn main() -> ExitCode {
    report::benchmark(ABOUT, run)
}

fn run(options: Options) -> io::Result<ExitCode> {
    let Some(callgrind) = Callgrind::find()? else {
        return skipped("valgrind is not installed (`apt-get install valgrind` or the like)");
    };
    let compiler = committed::compiler()?;
    if options.save {
        let counted = count(&callgrind, options)?;
        let committed = Committed { compiler, counted };
        committed.write()?;
        report(committed.beside(counted)).publish(options, None)?;
        return Ok(ExitCode::SUCCESS);
    }
    let committed = Committed::read()?;
    if committed.compiler != compiler {
        let theirs = committed.compiler;
        return skipped(&format!("the committed figures are of {theirs}, this is {compiler}"));
    }
    let compared = committed.beside(count(&callgrind, options)?);
    report(compared).publish(options, None)?;
    judge(compared)
}

fn skipped(why: &str) -> io::Result<ExitCode> {
    writeln!(io::stdout(), "SKIPPED: no instructions are counted: {why}")?;
    Ok(ExitCode::SUCCESS)
}

fn count(callgrind: &Callgrind, options: Options) -> io::Result<Counted> {
    let progress = Progress::new();
    let ours = Charm::Ours.build(Profile::Profiling, progress)?;
    let untraced = Charm::Untraced.build(Profile::Profiling, progress)?;
    progress.begin("counting instructions");
    let (traced, plain) = (callgrind.per_call(&ours)?, callgrind.per_call(&untraced)?);
    Ok(Counted {
        traced_call: traced.saturating_sub(plain),
        end_of_execution: callgrind.end_of_execution(&ours, options.rounds(1, 3))?,
    })
}

fn report(compared: [Compared; 2]) -> Report {
    let mut report = Report::new("instructions");
    let mut table = Table::new(["", "instructions", "committed"]);
    for Compared { what, now, then } in compared {
        table.row([what.to_owned(), now.to_string(), then.to_string()]);
    }
    report.table("Instructions", &table);
    let ratios =
        compared.map(|compared| (format!("{}/committed", compared.what), compared.ratio()));
    report.ratios(ratios.iter().map(|(name, ratio)| (name.as_str(), *ratio)));
    report
}

/// Says what is to be done about a figure that is not the committed one, and fails if it is worse.
fn judge(compared: [Compared; 2]) -> io::Result<ExitCode> {
    let mut end = ExitCode::SUCCESS;
    for compared in compared {
        let advice = if compared.ratio() > 1.0 + TOLERANCE {
            end = ExitCode::FAILURE;
            "Make it cheaper; if it has to cost that much, say why and commit to it"
        } else if compared.ratio() < 1.0 - TOLERANCE {
            "It has become cheaper: commit to it, and it stays so"
        } else {
            continue;
        };
        let Compared { what, now, then } = compared;
        writeln!(
            io::stderr(),
            "{what}: {now} instructions, {then} are committed. {advice}: {SAVE}"
        )?;
    }
    Ok(end)
}
