//! The small method that every contender calls, traced in every way.

use std::hint::black_box;

use charm_tracing::{trace_charm, trace_function, trace_method, trace_type};

/// A charm whose traces go nowhere, and wait nowhere.
#[derive(Debug)]
pub(crate) struct Nowhere;

#[trace_charm(buffer_max_events = 0)]
impl Nowhere {}

/// What is called.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    state: u64,
    listed: Listed,
    unlisted: Unlisted,
}

impl Subject {
    #[inline(never)]
    pub(crate) fn plain(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }

    #[fastrace::trace]
    #[inline(never)]
    pub(crate) fn fastrace(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }

    #[tracing::instrument(skip_all)]
    #[inline(never)]
    pub(crate) fn tracing(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }
}

#[trace_type(extra_types(Listed))]
impl Subject {
    #[inline(never)]
    pub(crate) fn method(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }

    #[trace_method(fields(by = by, kind = "small"))]
    #[inline(never)]
    pub(crate) fn with_two_attributes(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }

    #[inline(never)]
    pub(crate) fn returns_ok(&mut self, by: u64) -> Result<u64, &'static str> {
        self.state = black_box(self.state.wrapping_add(by));
        if self.state == u64::MAX { Err("never") } else { Ok(self.state) }
    }

    #[inline(never)]
    pub(crate) fn returns_err(&mut self, by: u64) -> Result<u64, &'static str> {
        self.state = black_box(self.state.wrapping_add(by));
        if self.state == u64::MAX { Ok(self.state) } else { Err("always") }
    }

    #[inline(never)]
    pub(crate) async fn awaited(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }

    /// `calls` calls on a listed type.
    pub(crate) fn on_listed(&mut self, calls: u64) {
        for by in 0..calls {
            black_box(self.listed.call(by));
        }
    }

    /// `calls` calls on a type that is not listed, in a body where one is.
    pub(crate) fn on_unlisted(&mut self, calls: u64) {
        for by in 0..calls {
            black_box(self.unlisted.call(by));
        }
    }
}

/// A root, for contenders of ours.
#[trace_function]
pub(crate) fn root(calls: &mut dyn FnMut()) {
    calls();
}

#[derive(Debug, Default)]
struct Listed(u64);

impl Listed {
    #[inline(never)]
    fn call(&mut self, by: u64) -> u64 {
        self.0 = black_box(self.0.wrapping_add(by));
        self.0
    }
}

#[derive(Debug, Default)]
struct Unlisted(u64);

impl Unlisted {
    #[inline(never)]
    fn call(&mut self, by: u64) -> u64 {
        self.0 = black_box(self.0.wrapping_add(by));
        self.0
    }
}
