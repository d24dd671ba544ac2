//! What every measured charm does, however it is traced: one event, in which one function is called
//! as often as the environment says.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};

/// How often the charm calls its function: `CHARM_CALLS`, else 50.
pub fn calls() -> u64 {
    number_in("CHARM_CALLS").unwrap_or(50)
}

/// The number that a variable says.
pub fn number_in(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// What a charm does most: text from values, and whether it has changed.
pub fn render(number: u64) -> u64 {
    let mut text = String::new();
    for line in 0..8 {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "upstream-{line} = 10.0.{line}.{number}:8080");
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The end of the event. With `CHARM_SAYS_MEMORY` the charm says what it has used of memory so far,
/// in KiB: what follows is the end of tracing, which has a peak of its own.
///
/// # Errors
///
/// Where stdout cannot be written to, or there is no `/proc`.
pub fn finish(result: u64) -> io::Result<()> {
    std::hint::black_box(result);
    if env::var_os("CHARM_SAYS_MEMORY").is_none() {
        return Ok(());
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    writeln!(io::stdout(), "{}", peak.trim().trim_end_matches(" kB"))
}
