//! What happens to a long execution while its charm is busy: a clock that ticks, and SIGTERM.
//!
//! One thread sleeps beside the charm. When finished spans have waited long it lets them leave, so
//! that a charm that is killed in the middle of a long call loses little; and it hears SIGTERM, by
//! which Juju ends a charm when a unit or its agent is stopped. Where the charm has left that
//! signal to its default, what was collected is handed over first and then the default happens: to
//! whoever sent it, the charm died of SIGTERM as ever. A charm that already handles the signal when
//! it is built is left alone; when it then ends, its trace is handed on as at any end. (One that
//! begins to handle it later by `signal-hook`, as `tokio` does, shares the signal with this file,
//! and ends after its handler was told; by `sigaction` it has the signal for itself.)

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::{SigId, flag, low_level};

use crate::threads::{self, Heard, lock};

/// Watches an execution until it is dropped.
pub(crate) struct Watch {
    bell: Bell,
    /// What is to be done when the signal comes.
    duty: Arc<Mutex<Duty>>,
    /// Dropped with the watch: the signal's thread waits for that when the end came first.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Taken by whoever is first: the signal, or the execution's end.
enum Duty {
    HandOver(Box<dyn FnOnce() + Send>),
    /// To wait for an end that is under way, for so long.
    Wait(Duration),
    /// It is being done.
    Taken,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("bell", &self.bell).finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to watch the clock: `tick` is called now and then, and says when next.
    pub(crate) fn start(tick: impl Fn() -> Duration + Send + 'static) -> io::Result<Self> {
        let (bell, ear) = Bell::new()?;
        let duty = Arc::new(Mutex::new(Duty::Wait(Duration::ZERO)));
        let (done, ended) = mpsc::channel();
        let of_thread = Arc::clone(&duty);
        let watch = move |_: &Heard| {
            let sleep = AssertUnwindSafe(|| ear.sleep(tick));
            match panic::catch_unwind(sleep) {
                Ok(Woken::BySignal) => die(&of_thread, &ended),
                Ok(Woken::ByTheEnd) | Err(_) => ear.shut(),
            }
        };
        let thread = threads::spawn("charm-tracing", watch)?;
        Ok(Self { bell, duty, done: Some(done), thread: Some(thread) })
    }

    /// From now on `hand_over` is called if the signal comes before the execution's end; unless the
    /// charm, or whoever started it, has decided about the signal.
    pub(crate) fn hand_over_on_signal(&mut self, hand_over: impl FnOnce() + Send + 'static) {
        if is_ours() || own_status().is_ok_and(|status| is_default(&status)) {
            *lock(&self.duty) = Duty::HandOver(Box::new(hand_over));
            // What comes in between is held back, not lost.
            let _ = threads::deaf(|| self.bell.hang());
        }
    }

    /// The execution ends by itself, in so much time at most: a signal from now on waits for that.
    /// Where one was first, the process ends in here.
    pub(crate) fn execution_ends(&mut self, within: Duration) {
        let duty = mem::replace(&mut *lock(&self.duty), Duty::Wait(within));
        if let Duty::Taken = duty {
            drop(self.thread.take().map(JoinHandle::join));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bell.take_down();
        drop(self.done.take());
        // It has nothing to wait for any more. A process that ends while one of its threads sleeps
        // takes longer than one that has waited for the thread.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Does what is to be done, and lets the signal have its effect.
fn die(duty: &Mutex<Duty>, ended: &Receiver<()>) {
    let duty = mem::replace(&mut *lock(duty), Duty::Taken);
    match duty {
        // Whatever goes wrong there, the signal has its effect.
        Duty::HandOver(hand_over) => drop(panic::catch_unwind(AssertUnwindSafe(hand_over))),
        Duty::Wait(patience) => drop(ended.recv_timeout(patience)),
        Duty::Taken => {}
    }
    let _ = low_level::emulate_default_handler(SIGTERM);
}

/// What SIGTERM rings, once it is hung.
#[derive(Debug)]
struct Bell {
    rope: UnixStream,
    /// Whether it was this process that was told. One that it forked has the same rope.
    rung: Arc<AtomicBool>,
    /// Set when the signal is to have its default effect again.
    over: Arc<AtomicBool>,
    actions: Vec<SigId>,
}

impl Bell {
    fn new() -> io::Result<(Self, Ear)> {
        let (rope, hears) = UnixStream::pair()?;
        let (rung, over): (Arc<AtomicBool>, Arc<AtomicBool>) = Default::default();
        let ear = Ear { hears, rung: Arc::clone(&rung), over: Arc::clone(&over) };
        Ok((Self { rope, rung, over, actions: Vec::new() }, ear))
    }

    fn hang(&mut self) -> io::Result<()> {
        // Before the signal is taken: there may be no descriptor to be had.
        let rope = self.rope.try_clone()?;
        let (rung, over) = (Arc::clone(&self.rung), Arc::clone(&self.over));
        // Without this the signal would have no effect at all once nobody hears the bell. It stays,
        // until there is another: what `signal-hook` has once taken it does not give back.
        let default = flag::register_conditional_default(SIGTERM, over)?;
        if let Some(former) = lock(&DEFAULT).replace(default) {
            low_level::unregister(former);
        }
        self.actions.push(flag::register(SIGTERM, rung)?);
        self.actions.push(low_level::pipe::register(SIGTERM, rope)?);
        Ok(())
    }

    fn take_down(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.actions.drain(..).for_each(|action| _ = low_level::unregister(action));
        let _ = self.rope.shutdown(Shutdown::Both);
    }
}

/// What lets SIGTERM have its default effect after the latest execution of this process.
static DEFAULT: Mutex<Option<SigId>> = Mutex::new(None);

/// Whether an earlier execution of this process has taken the signal.
fn is_ours() -> bool {
    lock(&DEFAULT).is_some()
}

/// The bell's other end.
#[derive(Debug)]
struct Ear {
    hears: UnixStream,
    rung: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// What ended the thread's sleep.
enum Woken {
    BySignal,
    ByTheEnd,
}

impl Ear {
    /// Sleeps, but for the ticks.
    fn sleep(&self, tick: impl Fn() -> Duration) -> Woken {
        loop {
            // A socket does not take nothing for a timeout.
            let next = tick().max(Duration::from_millis(1));
            if self.hears.set_read_timeout(Some(next)).is_err() {
                return Woken::ByTheEnd;
            }
            match (&self.hears).read(&mut [0]) {
                Ok(0) => return Woken::ByTheEnd,
                Ok(_) if self.rung.load(Ordering::SeqCst) => return Woken::BySignal,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Woken::ByTheEnd,
                },
            }
        }
    }

    /// Nobody hears the bell from now on: the signal has its default effect.
    fn shut(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
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
