//! Spans of futures: current during each poll and at no other time, cancelled when the future is
//! dropped before it is done.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::thread;

use opentelemetry::Value;

use super::field::Fields;
use crate::current::is_tracing;
use crate::span::SpanHandle;

/// Polls `future` in its span.
pub async fn cover<F: Future>(span: &SpanHandle, future: F) -> F::Output {
    // Dropped after the future, which may have spans to end.
    let unfinished = Unfinished(span);
    let mut future = pin!(future);
    let output = poll_fn(|context| {
        let _current = span.attach();
        future.as_mut().poll(context)
    })
    .await;
    mem::forget(unfinished);
    output
}

/// Says, when it is dropped, that its span's future was.
struct Unfinished<'a>(&'a SpanHandle);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // A panic is noticed by the span itself.
        if !thread::panicking() {
            self.0.cancel();
        }
    }
}

/// The fields of a future that is not polled yet.
#[derive(Debug, Default)]
pub struct CollectedFields(RefCell<Vec<(&'static str, Value)>>);

impl CollectedFields {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets them on the span.
    pub fn set_on(self, span: &SpanHandle) {
        for (key, value) in self.0.into_inner() {
            span.set_attribute(key, value);
        }
    }
}

impl Fields for CollectedFields {
    fn is_recording(&self) -> bool {
        is_tracing()
    }

    fn set(&self, key: &'static str, value: Value) {
        self.0.borrow_mut().push((key, value));
    }
}

/// Says to the compiler what an `async` block returns: it cannot be written there, and without it
/// `return Err(Box::new(error))` would not coerce. Never called.
///
/// # Panics
///
/// When it is called.
#[cold]
pub fn unreachable<T>() -> T {
    unreachable!("charm-tracing calls this nowhere")
}
