//! Threads of our own, beside the charm's.
//!
//! They hear no signals: a charm that blocks one, to wait for it or to finish something first, does
//! so on the threads that it knows of, and the kernel gives the signal to any thread that would
//! take it.

use std::io;
use std::thread::{self, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};

/// Starts a thread that hears no signals.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // A thread begins with what the one that starts it blocks.
    deaf(|| thread::Builder::new().name(name.to_owned()).spawn(body))
}

/// Keeps signals from this thread for as long as `code` runs.
pub(crate) fn deaf<R>(code: impl FnOnce() -> R) -> R {
    let heard = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let result = code();
    if let Ok(heard) = heard {
        let _ = heard.thread_set_mask();
    }
    result
}
