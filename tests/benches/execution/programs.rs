//! The charms that are measured, built; and what can be said of them without running them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::charms::{self, Charm, Profile};
use crate::report::Progress;

/// The charms that are measured.
pub(crate) const CHARMS: [Charm; 6] = [
    Charm::Untraced,
    Charm::Ours,
    Charm::Usual,
    Charm::UsualHttps,
    Charm::UsualTracing,
    Charm::UsualTracingHttps,
];

/// What is the benchmark's own in a charm's dependencies.
const OF_THE_BENCHMARK: [&str; 5] = ["ours", "pipeline", "usual", "usual-tracing", "work"];

/// The charms, built.
#[derive(Debug)]
pub(crate) struct Programs {
    of: Vec<(Charm, PathBuf)>,
    /// A folder for `PATH` with a `juju-log` that does nothing, and nothing else.
    pub(crate) juju_log: PathBuf,
}

impl Programs {
    /// Builds them; what was built before is there.
    pub(crate) fn build(progress: Progress) -> io::Result<Self> {
        let juju_log = build_juju_log(progress)?;
        let built = CHARMS.map(|charm| Ok((charm, charm.build(Profile::Release, progress)?)));
        Ok(Self { of: built.into_iter().collect::<io::Result<_>>()?, juju_log })
    }

    pub(crate) fn of(&self, charm: Charm) -> PathBuf {
        let found = self.of.iter().find(|(built, _)| *built == charm);
        found.map(|(_, program)| program.clone()).unwrap_or_default()
    }

    /// The size of the stripped program, in bytes.
    pub(crate) fn size(&self, charm: Charm) -> io::Result<u64> {
        Ok(fs::metadata(self.of(charm))?.len())
    }

    /// How many crates the charm depends on, all of them counted, this benchmark's own left out.
    pub(crate) fn crates(charm: Charm) -> io::Result<usize> {
        let arguments =
            ["tree", "--edges", "normal", "--prefix", "none", "--package", charm.package()];
        let listed = charms::cargo(&arguments, charm.features())?;
        let crates: BTreeSet<&str> =
            listed.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let of_the_benchmark =
            |listed: &&&str| OF_THE_BENCHMARK.contains(&listed.split(' ').next().unwrap_or(""));
        let own = crates.iter().filter(of_the_benchmark).count();
        Ok(crates.len() - own - usize::from(charm == Charm::Untraced))
    }
}

/// Builds `juju-log` into a folder of its own.
fn build_juju_log(progress: Progress) -> io::Result<PathBuf> {
    progress.begin("building juju-log");
    let built = charms::build("juju-log", &[], Profile::Release)?;
    let alone = charms::folder().join("juju-log");
    fs::create_dir_all(&alone)?;
    fs::copy(built, alone.join("juju-log"))?;
    Ok(alone)
}
