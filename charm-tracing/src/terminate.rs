//! SIGTERM: a charm that is told to end loses no span that it has.
//!
//! Juju ends a charm this way when a unit or its agent is stopped. Where the charm has left the
//! signal to its default, a thread waits for it, hands over what was collected, and lets the
//! default happen: to whoever sent it, the charm died of SIGTERM as ever. A charm that already
//! handles the signal when its first event begins is left alone; when it then ends, its trace is
//! handed on as at any end. (One that begins to handle it later shares the signal with this file,
//! and ends after its handler was told.)

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{flag, low_level};

/// How long an execution that is just ending is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

type HandOver = Box<dyn FnOnce() + Send>;

/// Waits for SIGTERM until it is dropped; from then on the signal has its default effect.
pub(crate) struct Watch {
    /// Taken by whoever is first: the signal, or the execution's end.
    hand_over: Arc<Mutex<Option<HandOver>>>,
    /// Set when the default effect is wanted again.
    over: Arc<AtomicBool>,
    signals: Handle,
    /// Dropped with the watch: the signal's thread waits for that when the end came first.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to wait; `hand_over` is called if the signal comes before the execution's end.
    /// `None` where the charm, or whoever started it, has decided about the signal.
    pub(crate) fn start(hand_over: impl FnOnce() + Send + 'static) -> Option<Self> {
        let has_default = own_status().is_ok_and(|status| is_default(&status));
        has_default.then(|| Self::wait(Box::new(hand_over))).flatten()
    }

    fn wait(hand_over: HandOver) -> Option<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut arriving = Signals::new([SIGTERM]).ok()?;
        // Without this the signal would have no effect at all once nobody waits for it.
        flag::register_conditional_default(SIGTERM, Arc::clone(&over)).ok()?;
        let signals = arriving.handle();
        let hand_over = Arc::new(Mutex::new(Some(hand_over)));
        let (done, ended) = mpsc::channel();
        let of_thread = Arc::clone(&hand_over);
        let wait = move || {
            if arriving.forever().next().is_some() {
                die(&of_thread, &ended);
            }
        };
        let thread = thread::Builder::new().name("charm-tracing-term".to_owned());
        let Ok(thread) = thread.spawn(wait) else {
            over.store(true, Ordering::SeqCst);
            return None;
        };
        Some(Self { hand_over, over, signals, done: Some(done), thread: Some(thread) })
    }

    /// The execution ends by itself: a signal from now on waits for that.
    pub(crate) fn execution_ends(&self) {
        take(&self.hand_over);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.signals.close();
        drop(self.done.take());
        // It has nothing to wait for any more. A process that ends while one of its threads sleeps
        // takes longer than one that has waited for the thread.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Hands over, or waits for the end that is under way, and lets the signal have its effect.
fn die(hand_over: &Mutex<Option<HandOver>>, ended: &Receiver<()>) {
    match take(hand_over) {
        // Whatever goes wrong there, the signal has its effect.
        Some(hand_over) => drop(panic::catch_unwind(AssertUnwindSafe(hand_over))),
        None => drop(ended.recv_timeout(PATIENCE)),
    }
    let _ = low_level::emulate_default_handler(SIGTERM);
}

fn take(hand_over: &Mutex<Option<HandOver>>) -> Option<HandOver> {
    hand_over.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What the kernel says of this process. It fits into one read, which costs as much as each of the
/// several that a growing buffer takes.
fn own_status() -> io::Result<String> {
    let mut status = [0; 4096];
    let length = File::open("/proc/self/status")?.read(&mut status)?;
    Ok(String::from_utf8_lossy(&status[..length]).into_owned())
}

/// Whether SIGTERM is neither caught nor ignored, by `/proc/self/status`.
fn is_default(status: &str) -> bool {
    let is_set = |field: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some(mask & (1 << (SIGTERM - 1)) != 0)
    };
    [is_set("SigCgt:"), is_set("SigIgn:")] == [Some(false), Some(false)]
}

#[cfg(test)]
mod tests {
    use super::is_default;

    #[test]
    fn a_signal_that_is_caught_or_ignored_is_not_default() {
        let status = |ignored, caught| format!("Name:\tx\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n");
        assert!(is_default(&status("0000000000001000", "0000000000000440")));
        assert!(!is_default(&status("0000000000004000", "0000000000000000")));
        assert!(!is_default(&status("0000000000000000", "0000000000004000")));
        assert!(!is_default("Name:\tx\n"));
    }
}
