//! The machine that figures are taken on: figures of two machines cannot be compared.

use std::fs;
use std::process::Command;
use std::thread;

/// Processor, operating system, compiler, and what else the machine was doing when it began.
pub(super) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let line = |path: &str, key: &str| value(&read(path), key);
    let load = read("/proc/loadavg");
    format!(
        "{cores} cores of {}, {}, Linux {}, {}; load average {} at the beginning",
        line("/proc/cpuinfo", "model name"),
        line("/etc/os-release", "PRETTY_NAME"),
        read("/proc/sys/kernel/osrelease"),
        compiler(),
        load.split(' ').next().unwrap_or("?"),
    )
}

/// What stands behind `key` and `:` or `=`.
fn value(text: &str, key: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(key));
    let value = found.unwrap_or("an unknown kind").trim_start_matches([':', '=', ' ', '\t']);
    value.trim_matches('"').to_owned()
}

fn compiler() -> String {
    // The compiler is cargo's, not the first on PATH.
    let rustc = option_env!("RUSTC").unwrap_or("rustc");
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
