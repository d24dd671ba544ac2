//! How far a benchmark is, on stderr.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

/// Says what is being done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    is_terminal: bool,
    is_coloured: bool,
}

impl Progress {
    /// On a terminal it counts rounds in place, and in colour unless `NO_COLOR` is set.
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let wants_none = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_terminal, is_coloured: is_terminal && !wants_none }
    }

    /// Begins something that takes a while.
    pub(crate) fn begin(self, what: &str) {
        let (bold, plain) = if self.is_coloured { ("\x1b[1;34m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{bold}==>{plain} {what}");
    }

    /// Begins the round `number` of `count`, the first is 0.
    pub(crate) fn round(self, number: usize, count: usize) {
        if !self.is_terminal {
            return;
        }
        let end = if number + 1 == count { "\n" } else { "" };
        let _ = write!(io::stderr(), "\r    round {} of {count}{end}", number + 1);
    }
}
