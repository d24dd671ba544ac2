//! The attributes never change what a program means: one corpus of functions, compiled plain, traced,
//! and traced with `extra_types`, does the same three times, down to the order of drops.

#![deny(warnings, reason = "an expansion raises none")]
#![allow(clippy::duplicate_mod, reason = "written once, compiled three times")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

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

/// Polls a future until it is done.
fn run_to_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[path = "corpus"]
mod plain {
    macro_rules! charm { ($($item:tt)*) => { $($item)* }; }
    macro_rules! block {
        (@after $($item:tt)*) => { $($item)* };
        ($($item:tt)*) => { $($item)* };
    }
    macro_rules! function { ($($item:tt)*) => { $($item)* }; }

    pub(crate) mod futures;
    pub(crate) mod shapes;
}

#[path = "corpus"]
mod traced {
    macro_rules! charm { ($($item:tt)*) => { #[charm_tracing::trace_charm] $($item)* }; }
    macro_rules! block {
        (@after #[$first:meta] $($item:tt)*) => { #[$first] #[charm_tracing::trace_type] $($item)* };
        ($($item:tt)*) => { #[charm_tracing::trace_type] $($item)* };
    }
    macro_rules! function { ($($item:tt)*) => { #[charm_tracing::trace_function] $($item)* }; }

    pub(crate) mod futures;
    pub(crate) mod shapes;
}

fn logged(run: fn()) -> Vec<String> {
    run();
    log::take()
}

#[test]
fn a_traced_program_does_what_it_does_plain() {
    let everything = [
        (plain::shapes::run as fn(), traced::shapes::run as fn()),
        (plain::futures::run, traced::futures::run),
    ];
    let execution = Execution::begin();
    for (plain, traced) in everything {
        let plain = logged(plain);
        assert_eq!(plain, logged(traced));
        assert!(plain.len() > 60, "{plain:#?}");
    }
    execution.end();
}
