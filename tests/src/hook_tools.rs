//! Hook tools as Juju puts them on a charm's `PATH`, for charms that no Juju runs: one program that
//! is called by many names and keeps what it is told in a folder.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The names that the tools are called by.
pub const NAMES: [&str; 5] = ["action-fail", "config-get", "is-leader", "juju-log", "status-set"];

/// Where the tools keep their state.
pub const STATE_VARIABLE: &str = "FAKE_JUJU_STATE";

/// Acts as a hook tool if this process was called by the name of one.
pub fn main() -> Option<ExitCode> {
    let mut arguments = env::args();
    let called = arguments.next()?;
    let name = Path::new(&called).file_name()?.to_str()?;
    let tool = NAMES.into_iter().find(|tool| *tool == name)?;
    let arguments: Vec<String> = arguments.collect();
    Some(match act(tool, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // As the real ones do.
            let _ = writeln!(io::stderr(), "ERROR {error}");
            ExitCode::FAILURE
        }
    })
}

fn act(tool: &str, arguments: &[String]) -> io::Result<()> {
    match tool {
        "is-leader" => writeln!(io::stdout(), "true"),
        "config-get" => writeln!(io::stdout(), "{{}}"),
        "juju-log" => note(tool, &log_line(arguments)),
        _ => note(tool, &arguments.join(" ")),
    }
}

/// `LEVEL message` of `--log-level LEVEL -- message`.
fn log_line(arguments: &[String]) -> String {
    let level = after(arguments, "--log-level").first().map_or("INFO", String::as_str);
    format!("{level} {}", after(arguments, "--").join(" "))
}

/// What stands behind `flag`.
fn after<'a>(arguments: &'a [String], flag: &str) -> &'a [String] {
    let place = arguments.iter().position(|argument| argument == flag);
    place.and_then(|place| arguments.get(place + 1..)).unwrap_or_default()
}

/// Appends a line to what the tool keeps.
fn note(tool: &str, line: &str) -> io::Result<()> {
    let folder = env::var_os(STATE_VARIABLE).map(PathBuf::from).ok_or_else(|| {
        io::Error::other(format!("{STATE_VARIABLE} is not set: this tool is for tests"))
    })?;
    fs::create_dir_all(&folder)?;
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join(tool))?;
    writeln!(file, "{}", line.replace('\n', " "))
}
