//! The attributes never change what a program means: one corpus of functions, compiled plain, traced,
//! and traced with `extra_types`, does the same three times, down to the order of drops.

#![allow(clippy::duplicate_mod, reason = "written once, compiled three times")]

use charm_tracing::Execution;

mod log {
    use std::cell::RefCell;

    thread_local!(static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

    /// Adds a line.
    pub(crate) fn log(line: impl Into<String>) {
        LOG.with_borrow_mut(|log| log.push(line.into()));
    }

    /// Takes what was logged.
    pub(crate) fn take() -> Vec<String> {
        LOG.take()
    }

    /// Logs that it is dropped.
    #[derive(Debug)]
    pub(crate) struct Drops(pub(crate) &'static str);

    impl Drop for Drops {
        fn drop(&mut self) {
            log(format!("dropped {}", self.0));
        }
    }
}

#[path = "corpus"]
mod plain {
    macro_rules! charm { ($($item:tt)*) => { $($item)* }; }
    macro_rules! block { ($($item:tt)*) => { $($item)* }; }
    macro_rules! function { ($($item:tt)*) => { $($item)* }; }

    #[path = "shapes.rs"]
    pub(crate) mod shapes;
}

#[path = "corpus"]
mod traced {
    macro_rules! charm { ($($item:tt)*) => { #[charm_tracing::trace_charm] $($item)* }; }
    macro_rules! block { ($($item:tt)*) => { #[charm_tracing::trace_type] $($item)* }; }
    macro_rules! function { ($($item:tt)*) => { #[charm_tracing::trace_function] $($item)* }; }

    #[path = "shapes.rs"]
    pub(crate) mod shapes;
}

fn logged(run: fn()) -> Vec<String> {
    run();
    log::take()
}

#[test]
fn a_traced_program_does_what_it_does_plain() {
    let plain = logged(plain::shapes::run);
    let execution = Execution::begin();
    let traced = logged(traced::shapes::run);
    execution.end();
    assert_eq!(plain, traced);
    assert!(plain.len() > 60, "{plain:#?}");
}
