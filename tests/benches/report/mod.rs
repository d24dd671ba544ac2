//! What the benchmarks have in common: how they are asked, how they say how far they are, and how
//! their figures are said: in a terminal, in BENCHMARKS.md and as a picture.
//!
//! A benchmark makes its [`Report`] of tables, ratios and verdicts, in that order, and draws a
//! [`BarChart`] where one says more. Nothing here measures.

#![allow(
    dead_code,
    unused_imports,
    reason = "no benchmark says its figures in every form that there is"
)]

mod document;
mod machine;
mod options;
mod plot;
mod progress;
mod statistics;
mod table;
mod verdict;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{ExitCode, Termination};

pub(crate) use options::Options;
pub(crate) use plot::{Bar, BarChart, Group, Scale, Whose};
pub(crate) use progress::Progress;
pub(crate) use statistics::Spread;
pub(crate) use table::Table;
pub(crate) use verdict::Verdict;

/// Runs a benchmark as it is asked to; `about` is the first thing that `--help` says.
///
/// A run ends well, or as it says.
pub(crate) fn benchmark<E: Termination>(
    about: &str,
    run: impl FnOnce(Options) -> io::Result<E>,
) -> ExitCode {
    let options = match Options::from_arguments(about) {
        Ok(options) => options,
        Err(end) => return end,
    };
    match run(options) {
        Ok(end) => end.report(),
        Err(error) => {
            Progress::new().begin(&format!("the benchmark cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What one run of a benchmark has found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The benchmark's name, and its section's in BENCHMARKS.md.
    name: &'static str,
    text: String,
}

impl Report {
    /// A report without figures, which says on what machine they are taken.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, text: format!("Measured on {}.\n", machine::describe()) }
    }

    /// Adds a sentence.
    pub(crate) fn note(&mut self, sentence: &str) {
        let _ = write!(self.text, "\n{sentence}\n");
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, title: &str, table: &Table) {
        let _ = write!(self.text, "\n#### {title}\n\n{table}");
    }

    /// Adds `ratio` lines, one per figure, for programs that compare runs. Names have no spaces.
    pub(crate) fn ratios<'a>(&mut self, ratios: impl IntoIterator<Item = (&'a str, f64)>) {
        self.text.push_str("\n```text\n");
        for (name, ratio) in ratios {
            let _ = writeln!(self.text, "ratio {} {ratio:.3}", name.replace(' ', "-"));
        }
        self.text.push_str("```\n");
    }

    /// Adds what is wanted, beside what is reached.
    pub(crate) fn verdicts(&mut self, verdicts: &[Verdict]) {
        let mut table = Table::new(["wanted", "at most", "reached", ""]);
        for verdict in verdicts {
            table.row(verdict.cells());
        }
        self.table("Wanted and reached", &table);
    }

    /// Prints the report, and saves it if that is what `options` say.
    pub(crate) fn publish(&self, options: Options, chart: Option<&BarChart>) -> io::Result<()> {
        io::stdout().lock().write_all(self.text.as_bytes())?;
        if !options.save {
            return Ok(());
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        document::save(&root.join("BENCHMARKS.md"), self.name, &self.text)?;
        chart.map_or(Ok(()), |chart| {
            chart.draw(&root.join("docs/figures").join(self.name).with_extension("svg"))
        })
    }
}
