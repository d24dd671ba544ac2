//! Programs that show their own traces: the quickstart and the examples.
//!
//! Such a program is a charm and its stage at once. Started by hand it starts a receiver and then
//! itself, the way Juju does: a process per event, Juju's environment, hook tools on `PATH`. Then
//! it draws every trace that arrived.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{CharmDir, Palette, Picture, Receiver, Tree, hook_tools};

/// How many executions the picture shows; a reader's patience is the measure.
const PICTURED: usize = 2;

/// Variables of the charm's environment, besides Juju's.
pub type Variables = Vec<(&'static str, String)>;

/// The whole `main` of such a program.
///
/// Juju runs `charm` for each of `dispatch_paths`, after `prepare` has set the stage: it is given
/// the charm's directory and the URL of the receiver. With the arguments `--svg FILE` the last
/// traces are drawn into that file too.
pub fn show(
    dispatch_paths: &[&str],
    prepare: impl FnOnce(&CharmDir, &str) -> Variables,
    charm: impl FnOnce() -> ExitCode,
) -> ExitCode {
    if let Some(code) = hook_tools::main() {
        return code;
    }
    if env::var_os("JUJU_DISPATCH_PATH").is_some() {
        return charm();
    }
    match play(dispatch_paths, prepare) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "nothing to show: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the charm by OpenTelemetry's own variable where the receiver is: nothing of the charm's
/// code is needed for that.
pub fn by_environment(_charm: &CharmDir, endpoint: &str) -> Variables {
    vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_owned())]
}

fn play(
    dispatch_paths: &[&str],
    prepare: impl FnOnce(&CharmDir, &str) -> Variables,
) -> io::Result<()> {
    let picture = picture_file()?;
    let receiver = Receiver::start();
    let program = env::current_exe()?;
    let charm = CharmDir::new(&program, &program);
    let variables = prepare(&charm, &receiver.endpoint());
    let mut out = io::stdout().lock();
    writeln!(out, "A receiver for OTLP/HTTP listens on {}.\n", receiver.endpoint())?;
    let mut drawn = Vec::new();
    for (nth, dispatch_path) in dispatch_paths.iter().enumerate() {
        let begun =
            |run: crate::CharmRun, (name, value): &(&str, String)| run.variable(name, value);
        let finished = variables.iter().fold(charm.dispatch(dispatch_path), begun).run();
        let code = finished.code.map_or("none".to_owned(), |code| code.to_string());
        let traces = receiver.traces();
        let Some(trace) = traces.get(nth) else {
            return Err(io::Error::other(format!("no trace arrived:\n{}", finished.stderr)));
        };
        let headline = format!("Juju runs {dispatch_path}: exit code {code}");
        writeln!(out, "{headline}\n{}", Tree::new(trace, Palette::of_stdout()))?;
        drawn.push(format!("{headline}\n{}", Tree::new(trace, Palette::Ansi)));
    }
    writeln!(
        out,
        "Each tree is what the charm sent and a backend such as Grafana Tempo would show."
    )?;
    picture.map_or(Ok(()), |file| fs::write(file, picture_of(&program, &drawn)))
}

/// The file named by the arguments, if they name one.
fn picture_file() -> io::Result<Option<PathBuf>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["--svg", file] => Ok(Some(file.into())),
        _ => Err(io::Error::other("the arguments may be `--svg FILE` or nothing")),
    }
}

/// The end of what a terminal shows, under the command that made it.
fn picture_of(program: &Path, drawn: &[String]) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let command = format!("cargo run --example {name}");
    let shown = drawn.get(drawn.len().saturating_sub(PICTURED)..).unwrap_or_default();
    Picture { title: &command, text: shown.join("\n").trim_end() }.to_string()
}
