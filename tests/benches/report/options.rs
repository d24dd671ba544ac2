//! How a benchmark is asked.

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What a benchmark is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// A few rounds: whether it works, not what it costs.
    pub(crate) quick: bool,
    /// What is found goes into BENCHMARKS.md and its picture into docs/figures.
    pub(crate) save: bool,
}

const USAGE: &str = "\
Options, behind `--`:
  --quick   a few rounds: to see that it works, not what it costs
  --save    write the figures into BENCHMARKS.md and draw them into docs/figures
  --help    this

Progress goes to stderr, in colour on a terminal unless NO_COLOR is set.
";

impl Options {
    /// Reads the process's arguments. `Err` is how the process ends at once: it was asked for help,
    /// or for what is not there.
    pub(crate) fn from_arguments(about: &str) -> Result<Self, ExitCode> {
        let mut options = Self { quick: false, save: false };
        for argument in env::args().skip(1) {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--save" => options.save = true,
                // What cargo itself tells every benchmark.
                "--bench" => {}
                "--help" | "-h" => {
                    let _ = write!(io::stdout(), "{about}\n\n{USAGE}");
                    return Err(ExitCode::SUCCESS);
                }
                unknown => {
                    let _ = write!(io::stderr(), "there is no option `{unknown}`\n\n{USAGE}");
                    return Err(ExitCode::from(2));
                }
            }
        }
        Ok(options)
    }

    /// `few` where it is to be quick, else `many`.
    pub(crate) fn rounds(self, few: usize, many: usize) -> usize {
        if self.quick { few } else { many }
    }
}
