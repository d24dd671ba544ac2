//! The hook tools that the tests put on a charm's `PATH`; it acts by the name it is called by.

use std::process::ExitCode;

use charm_tracing_tests::hook_tools;

fn main() -> ExitCode {
    hook_tools::main().unwrap_or(ExitCode::FAILURE)
}
