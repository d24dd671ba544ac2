//! Threads of our own, beside the charm's, and how they share what they share.
//!
//! They hear no signals: a charm that blocks one, to wait for it or to finish something first, does
//! so on the threads that it knows of, and the kernel gives the signal to any thread that takes it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};

/// What the thread that started one of ours lets through.
#[derive(Debug)]
pub(crate) struct Heard(Option<SigSet>);

impl Heard {
    /// Starts a process, which is no thread of ours and begins with what its parent blocks.
    pub(crate) fn by_child<R>(&self, start: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(heard) => with_mask(heard, |_| start()),
            None => start(),
        }
    }
}

/// Starts a thread that hears no signals.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce(&Heard) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned());
    // A thread begins with what the one that starts it blocks.
    with_mask(&SigSet::all(), |heard| thread.spawn(move || body(&heard)))
}

/// Keeps signals from this thread for as long as `code` runs.
pub(crate) fn deaf<R>(code: impl FnOnce() -> R) -> R {
    with_mask(&SigSet::all(), |_| code())
}

/// Runs `code` while this thread blocks `mask`; tells it what was let through before.
fn with_mask<R>(mask: &SigSet, code: impl FnOnce(Heard) -> R) -> R {
    let before = mask.thread_swap_mask(SigmaskHow::SIG_SETMASK).ok();
    let result = code(Heard(before));
    if let Some(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}

/// Locks `mutex`. What a thread left there by panicking is whole: nothing here changes in two steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
