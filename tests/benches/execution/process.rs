//! One execution as a whole process: how long it takes, what it uses, how often it syncs.
//!
//! The kernel counts the memory of a process's parent as its own from before it became another
//! program, and a benchmark with a receiver in it has much. So the processes that are measured are
//! started by another one, which is this benchmark too, but has done nothing yet.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use charm_tracing_tests::CharmRun;
use wait4::Wait4 as _;

/// What one execution has cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In milliseconds, from its start to its end.
    pub(crate) wall: f64,
    /// In milliseconds, of user and system, with that of the processes that it waited for.
    pub(crate) cpu: f64,
    /// The most that it had, in KiB.
    pub(crate) memory: f64,
    /// The number that it said, if it said one.
    pub(crate) said: Option<f64>,
}

/// The first argument of the process that starts others.
const LAUNCH: &str = "launch";

/// Does what [`measure`] started this process for, if it was that.
pub(crate) fn launched() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != LAUNCH {
        return None;
    }
    let mut program = Command::new(arguments.next()?);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Some(launch(&mut program).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

fn launch(program: &mut Command) -> io::Result<()> {
    let began = Instant::now();
    let mut child = program.spawn()?;
    let used = child.wait4()?;
    let wall = began.elapsed();
    if !used.status.success() {
        return Err(io::Error::other("the charm failed"));
    }
    let mut said = String::new();
    child.stdout.take().map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut said))?;
    let cpu = used.rusage.utime + used.rusage.stime;
    let (wall, cpu) = (wall.as_nanos(), cpu.as_nanos());
    write!(io::stdout(), "{wall} {cpu} {} {said}", used.rusage.maxrss)
}

/// Runs it to its end, which has to be a success.
pub(crate) fn measure(run: &CharmRun) -> io::Result<Sample> {
    let of_charm = run.command();
    let mut launcher = command_like(&of_charm, env::current_exe()?);
    launcher.arg(LAUNCH).arg(of_charm.get_program());
    let output = launcher.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, cpu, memory, ref said @ ..] = numbers[..] else {
        return Err(io::Error::other(format!("{} failed", of_charm.get_program().display())));
    };
    let said = said.first().copied();
    Ok(Sample { wall: wall / 1e6, cpu: cpu / 1e6, memory: memory / 1024.0, said })
}

/// How many system calls of the execution made the disk write; `None` without `strace`.
pub(crate) fn syncs(run: &CharmRun) -> io::Result<Option<usize>> {
    let of_charm = run.command();
    let mut strace = command_like(&of_charm, "strace");
    // Its own, not the charm's, which has none here.
    strace.env("PATH", env::var_os("PATH").unwrap_or_default());
    let watched = "trace=fsync,fdatasync,msync,sync_file_range,sync,syncfs,openat,pwritev2";
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", watched]).arg(of_charm.get_program());
    match strace.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Ok(Some(text.lines().filter(|line| is_sync(line)).count()))
        }
    }
}

/// Whether a line of `strace`'s is a call that syncs, or opens a file whose every write does.
fn is_sync(line: &str) -> bool {
    let call = line.trim_start_matches("[pid").trim_start_matches([' ', ']']);
    let call = call.trim_start_matches(|c: char| c.is_ascii_digit() || c == ']' || c == ' ');
    let opens_or_writes = call.starts_with("openat(") || call.starts_with("pwritev2(");
    let synced = ["O_SYNC", "O_DSYNC", "RWF_SYNC", "RWF_DSYNC"];
    let calls = ["fsync(", "fdatasync(", "msync(", "sync_file_range(", "sync(", "syncfs("];
    calls.iter().any(|name| call.starts_with(name))
        || opens_or_writes && synced.iter().any(|flag| call.contains(flag))
}

/// Another program in the place of this one, with the same environment.
fn command_like(command: &Command, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut other = Command::new(program);
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    other.env_clear().envs(set);
    if let Some(directory) = command.get_current_dir() {
        other.current_dir(directory);
    }
    other
}
