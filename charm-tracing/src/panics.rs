//! What panics say, and what is still done when one ends the process at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once, mpsc};
use std::thread;
use std::time::Duration;

use opentelemetry::trace::{Status, TraceContextExt};

use crate::failure::FailureText;
use crate::span::current_context;
use crate::threads::lock;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What the panic that is unwinding on this thread said.
pub(crate) fn last_panic() -> FailureText {
    let message = LAST_PANIC.try_with(|last| last.try_borrow().ok()?.clone()).ok().flatten();
    FailureText {
        error_type: Cow::Borrowed("panic"),
        message: message.unwrap_or_else(|| "panicked".to_owned()),
        sources: Vec::new(),
    }
}

/// Puts a panic hook before the one in place, once, that remembers what a panic said: a guard that
/// is dropped by unwinding cannot see it. The hook in place then runs as ever.
pub(crate) fn note_panics() {
    static ONCE: Once = Once::new();
    if thread::panicking() {
        // The hook cannot be changed by a thread that panics; the next execution will.
        return;
    }
    ONCE.call_once(|| {
        let in_place = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = panic_message(info);
            let _ = LAST_PANIC
                .try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(message)));
            in_place(info);
            if cfg!(panic = "abort") {
                speak_last_words(last_panic());
            }
        }));
    });
}

type LastWords = Box<dyn FnOnce(FailureText) + Send>;

/// What is to be done when the process is about to abort.
static LAST_WORDS: Mutex<Option<LastWords>> = Mutex::new(None);

/// Sets what is done when a panic ends the process at once, in a charm that is compiled with
/// `panic = "abort"`: nothing unwinds there, and no guard is ever dropped.
pub(crate) fn before_abort(words: Option<LastWords>) {
    *lock(&LAST_WORDS) = words;
}

/// Runs the last words on a thread of their own, for a bounded time: the panic may have come out of
/// code that they need, with its locks held.
fn speak_last_words(failure: FailureText) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let Ok(Some(words)) = LAST_WORDS.try_lock().map(|mut words| words.take()) else { return };
    let current = current_context();
    let (done, said) = mpsc::channel();
    let speak = move || {
        if let Some(context) = current {
            context.span().set_status(Status::error(failure.message.clone()));
        }
        words(failure);
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(speak).is_ok() {
        let _ = said.recv_timeout(PATIENCE);
    }
}

fn panic_message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let said = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("panicked with a value that is not text");
    match info.location() {
        Some(place) => format!("{said} ({}:{})", place.file(), place.line()),
        None => said.to_owned(),
    }
}
