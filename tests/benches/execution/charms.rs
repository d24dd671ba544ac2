//! The charms of `tests/charms`, built as their users build them: each for itself, so that the
//! features of one do not reach another; and what can be said of them without running them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::Progress;

/// One way to trace the same charm, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charm {
    Untraced,
    Ours,
    Usual,
    UsualHttps,
    UsualTracing,
    UsualTracingHttps,
}

impl Charm {
    pub(crate) const ALL: [Self; 6] = [
        Self::Untraced,
        Self::Ours,
        Self::Usual,
        Self::UsualHttps,
        Self::UsualTracing,
        Self::UsualTracingHttps,
    ];

    /// As figures name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Ours => "charm-tracing",
            Self::Usual => "usual",
            Self::UsualHttps => "usual-https",
            Self::UsualTracing => "usual-tracing",
            Self::UsualTracingHttps => "usual-tracing-https",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Ours => "ours",
            Self::Usual | Self::UsualHttps => "usual",
            Self::UsualTracing | Self::UsualTracingHttps => "usual-tracing",
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Self::UsualHttps | Self::UsualTracingHttps => &["--features", "https"],
            _ => &[],
        }
    }
}

/// The charms, built.
#[derive(Debug)]
pub(crate) struct Charms {
    programs: PathBuf,
    /// A folder for `PATH` with a `juju-log` that does nothing, and nothing else.
    pub(crate) juju_log: PathBuf,
}

/// What is the benchmark's own in a charm's dependencies.
const OF_THE_BENCHMARK: [&str; 5] = ["ours", "pipeline", "usual", "usual-tracing", "work"];

impl Charms {
    /// Builds them; what was built before is there.
    pub(crate) fn build(progress: Progress) -> io::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("charms");
        let charms = Self { programs: folder.join("programs"), juju_log: folder.join("juju-log") };
        fs::create_dir_all(&charms.programs)?;
        fs::create_dir_all(&charms.juju_log)?;
        let release = folder.join("release");
        progress.begin("building juju-log");
        cargo(&folder, &["build", "--release", "--package", "juju-log"], &[])?;
        fs::copy(release.join("juju-log"), charms.juju_log.join("juju-log"))?;
        for charm in Charm::ALL {
            progress.begin(&format!("building {}", charm.name()));
            let arguments = ["build", "--release", "--package", charm.package()];
            cargo(&folder, &arguments, charm.features())?;
            // The next one of the same package is built over it.
            fs::copy(release.join(charm.package()), charms.program(charm))?;
        }
        Ok(charms)
    }

    pub(crate) fn program(&self, charm: Charm) -> PathBuf {
        self.programs.join(charm.name())
    }

    /// The size of the stripped program, in bytes.
    pub(crate) fn size(&self, charm: Charm) -> io::Result<u64> {
        Ok(fs::metadata(self.program(charm))?.len())
    }

    /// How many crates the charm depends on, all of them counted, this benchmark's own left out.
    pub(crate) fn crates(charm: Charm) -> io::Result<usize> {
        let arguments =
            ["tree", "--edges", "normal", "--prefix", "none", "--package", charm.package()];
        let listed = cargo(Path::new(env!("CARGO_TARGET_TMPDIR")), &arguments, charm.features())?;
        let crates: BTreeSet<&str> =
            listed.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let of_the_benchmark =
            |listed: &&&str| OF_THE_BENCHMARK.contains(&listed.split(' ').next().unwrap_or(""));
        let own = crates.iter().filter(of_the_benchmark).count();
        Ok(crates.len() - own - usize::from(charm == Charm::Untraced))
    }
}

/// Runs cargo in the charms' workspace; what it says on stdout.
fn cargo(target: &Path, arguments: &[&str], features: &[&str]) -> io::Result<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(features).args(["--locked", "--quiet"]);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("charms"));
    cargo.env("CARGO_TARGET_DIR", target).stderr(std::process::Stdio::inherit());
    let output = cargo.output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("cargo {} {}", arguments.join(" "), features.join(" "))))
    }
}
