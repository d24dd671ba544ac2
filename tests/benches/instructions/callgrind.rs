//! Counting, by valgrind's callgrind, in an environment where nothing but the charm's code can
//! change what is counted.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) traced_call: u32,
    pub(crate) end_of_execution: u32,
}

/// Valgrind, installed.
#[derive(Debug)]
pub(crate) struct Callgrind {
    valgrind: PathBuf,
    /// Where charms' directories are.
    charms: TempDir,
}

/// Both are fewer than those whose spans leave before the end.
const FEW_CALLS: u32 = 100;
const MORE_CALLS: u32 = 400;
const CALLS_BEFORE_THE_END: u32 = 50;
/// What an execution's end is, as symbols name it.
const END: &str = "charm_tracing::execution::Life::finish";

/// All that the charm has of an environment. No `juju-log` is on `PATH`, however many folders this
/// process has on its own.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("PATH", "/nowhere"),
    // Juju's: without it the charm has no buffer.
    ("JUJU_CONTEXT_ID", "hello/0-install-1"),
    ("JUJU_UNIT_NAME", "hello/0"),
    ("JUJU_DISPATCH_PATH", "hooks/install"),
    ("JUJU_MODEL_NAME", "model"),
    ("JUJU_MODEL_UUID", "cfb9d8a4-0000-4000-8000-000000000000"),
    // The C library has other ways to copy memory for each processor, and an instruction that
    // copies a block is counted once for each of its bytes: a third of an execution's end.
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM,-AVX,-AVX2,-AVX_Fast_Unaligned_Load"),
];

impl Callgrind {
    /// `None` where it is not installed.
    pub(crate) fn find() -> io::Result<Option<Self>> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut valgrinds = env::split_paths(&path).map(|folder| folder.join("valgrind"));
        let Some(valgrind) = valgrinds.find(|valgrind| valgrind.is_file()) else { return Ok(None) };
        Ok(Some(Self { valgrind, charms: TempDir::with_prefix("charm-tracing-bench-")? }))
    }

    /// What a call takes until it returns: that of many less that of few, so that nothing else is
    /// in it. What becomes of its span at the end is the end's.
    pub(crate) fn per_call(&self, charm: &Path) -> io::Result<u32> {
        let toggle = toggle_at_the_end();
        let but_the_end = [toggle.as_str(), "--collect-atstart=yes"];
        // Without a buffer no span leaves before the end, however slow the machine.
        let of =
            |calls| self.count(charm, calls, &but_the_end, &[("CHARM_BUFFER_MAX_EVENTS", "0")]);
        Ok(of(MORE_CALLS)?.saturating_sub(of(FEW_CALLS)?) / (MORE_CALLS - FEW_CALLS))
    }

    /// The median of some runs: ids are random, and compressed they take more or less.
    pub(crate) fn end_of_execution(&self, charm: &Path, runs: usize) -> io::Result<u32> {
        let only_the_end = toggle_at_the_end();
        let count = |_| self.count(charm, CALLS_BEFORE_THE_END, &[&only_the_end], &[]);
        let mut counted = (0..runs).map(count).collect::<io::Result<Vec<u32>>>()?;
        counted.sort_unstable();
        match counted.get(runs / 2) {
            // The function was renamed, or the compiler has put it into its callers.
            None | Some(0) => Err(io::Error::other(format!("`{END}` is not called by that name"))),
            Some(median) => Ok(*median),
        }
    }

    /// Instructions of one execution, on all its threads.
    fn count(
        &self,
        charm: &Path,
        calls: u32,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> io::Result<u32> {
        // No buffer of the execution before.
        let charm_dir = TempDir::new_in(self.charms.path())?;
        let mut valgrind = Command::new(&self.valgrind);
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(options);
        valgrind.arg(charm).current_dir(charm_dir.path()).env_clear();
        valgrind.envs(ENVIRONMENT).envs(variables.iter().copied());
        valgrind.env("JUJU_CHARM_DIR", charm_dir.path()).env("CHARM_CALLS", calls.to_string());
        let output = valgrind.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(io::Error::other(format!("callgrind failed:\n{said}")));
        }
        collected(&said)
            .ok_or_else(|| io::Error::other(format!("callgrind says no count:\n{said}")))
    }
}

/// Begins to count where the end begins, or stops to where it is counting, and the other way round
/// behind it.
fn toggle_at_the_end() -> String {
    format!("--toggle-collect={END}")
}

/// The number that callgrind's last lines say.
fn collected(said: &str) -> Option<u32> {
    let (_, counted) = said.lines().find_map(|line| line.split_once("Collected : "))?;
    counted.trim().parse().ok()
}
