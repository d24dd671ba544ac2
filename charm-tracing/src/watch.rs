//! What happens to a long execution while its charm is busy: a clock that ticks, and SIGTERM.
//!
//! One thread sleeps beside the charm. When finished spans have waited long it lets them leave, so
//! that a charm that is killed in the middle of a long call loses little; and it hears SIGTERM, by
//! which Juju ends a charm when a unit or its agent is stopped. Where the charm has left that signal
//! to its default, what was collected is handed over first and then the default happens: to whoever
//! sent it, the charm died of SIGTERM as ever. A charm that already handles the signal when its
//! first event begins is left alone; when it then ends, its trace is handed on as at any end. (One
//! that begins to handle it later shares the signal with this file, and ends after its handler was
//! told.)

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::{SigId, flag, low_level};

/// How long an execution that is just ending is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

type HandOver = Box<dyn FnOnce() + Send>;

/// Watches an execution until it is dropped.
pub(crate) struct Watch {
    /// Taken by whoever is first: the signal, or the execution's end.
    hand_over: Arc<Mutex<Option<HandOver>>>,
    /// Rung by the signal; shut, it wakes the thread for the last time.
    bell: UnixStream,
    signal: Option<Signal>,
    /// Dropped with the watch: the signal's thread waits for that when the end came first.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("signal", &self.signal).finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to watch the clock: `tick` is called now and then, and says when next.
    pub(crate) fn start(tick: impl Fn() -> Duration + Send + 'static) -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        let hand_over = Arc::new(Mutex::new(None));
        let (done, ended) = mpsc::channel();
        let of_thread = Arc::clone(&hand_over);
        let watch = move || {
            if let Woken::BySignal = sleep(ear, tick) {
                die(&of_thread, &ended);
            }
        };
        let thread = thread::Builder::new().name("charm-tracing".to_owned()).spawn(watch)?;
        Ok(Self { hand_over, bell, signal: None, done: Some(done), thread: Some(thread) })
    }

    /// From now on `hand_over` is called if the signal comes before the execution's end; unless the
    /// charm, or whoever started it, has decided about the signal.
    pub(crate) fn hand_over_on_signal(&mut self, hand_over: impl FnOnce() + Send + 'static) {
        if own_status().is_ok_and(|status| is_default(&status)) {
            *lock(&self.hand_over) = Some(Box::new(hand_over));
            self.signal = Signal::rings(&self.bell).ok();
        }
    }

    /// The execution ends by itself: a signal from now on waits for that.
    pub(crate) fn execution_ends(&self) {
        take(&self.hand_over);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.signal.take());
        let _ = self.bell.shutdown(Shutdown::Both);
        drop(self.done.take());
        // It has nothing to wait for any more. A process that ends while one of its threads sleeps
        // takes longer than one that has waited for the thread.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// SIGTERM rings a bell instead of its default effect, until this is dropped.
#[derive(Debug)]
struct Signal {
    ringing: SigId,
    /// Set when the default effect is wanted again.
    over: Arc<AtomicBool>,
}

impl Signal {
    fn rings(bell: &UnixStream) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let ringing = low_level::pipe::register(SIGTERM, bell.try_clone()?)?;
        // Without this the signal would have no effect at all once nobody hears it.
        flag::register_conditional_default(SIGTERM, Arc::clone(&over))?;
        Ok(Self { ringing, over })
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        low_level::unregister(self.ringing);
    }
}

/// Why the thread does not sleep any more.
enum Woken {
    BySignal,
    ByTheEnd,
}

/// Sleeps, but for the ticks.
fn sleep(mut ear: UnixStream, tick: impl Fn() -> Duration) -> Woken {
    loop {
        // Nothing is no timeout a socket knows.
        let next = tick().max(Duration::from_millis(1));
        if ear.set_read_timeout(Some(next)).is_err() {
            return Woken::ByTheEnd;
        }
        match ear.read(&mut [0]) {
            Ok(0) => return Woken::ByTheEnd,
            Ok(_) => return Woken::BySignal,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Woken::ByTheEnd,
            },
        }
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
    lock(hand_over).take()
}

fn lock(hand_over: &Mutex<Option<HandOver>>) -> MutexGuard<'_, Option<HandOver>> {
    hand_over.lock().unwrap_or_else(PoisonError::into_inner)
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
