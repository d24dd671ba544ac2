//! Which execution the code that runs here and now belongs to.
//!
//! A process runs one execution, and whatever its threads do belongs to that: it needs no mark in
//! contexts, and a thread that has found it once finds it again without a lock. Captures of tests
//! run side by side, and so may executions; theirs is the entry that their contexts carry.
//!
//! Invariants: what is given to `here` runs while the thread's context is borrowed, so it attaches
//! nothing and calls no user code; nothing here panics, on threads that are ending neither.

use std::cell::RefCell;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use opentelemetry::Context;

use crate::collector::Collector;

/// How many executions are being traced in this process. While it is 0 a traced call costs this
/// one load.
static TRACED: AtomicUsize = AtomicUsize::new(0);

/// The number of the execution that the process runs; 0 while it runs none.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// The execution that the process runs.
static PROCESS: RwLock<Process> = RwLock::new(Process::NONE);

#[derive(Debug, Clone)]
struct Process {
    number: usize,
    collector: Option<Arc<Collector>>,
}

impl Process {
    const NONE: Self = Self { number: 0, collector: None };
}

thread_local! {
    /// What this thread saw last in `PROCESS`.
    static SEEN: Seen = Seen::first();
}

/// What a thread remembers.
///
/// It is made after the API's own thread-local and so goes before that does: a thread that ends and
/// has lost this must not touch the API's.
struct Seen {
    process: RefCell<Process>,
    /// The API's thread-local was gone before this was made: the thread is ending.
    api_is_gone: bool,
}

impl Seen {
    fn first() -> Self {
        let touch = panic::catch_unwind(|| Context::map_current(|_| ()));
        Self { process: RefCell::new(Process::NONE), api_is_gone: touch.is_err() }
    }
}

/// To be called wherever a context is attached: a thread may have to do with the API long before it
/// opens a span, and open its first when it ends.
pub(crate) fn prepare_thread() {
    let _ = SEEN.try_with(|_| ());
}

/// The entry of a `Context` that says which execution it belongs to, where that is not the
/// process's.
#[derive(Debug)]
struct Lineage(Arc<Collector>);

/// How far an execution reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The process runs this one execution: spans of threads without a span are its own too.
    Process,
    /// One of several: only spans whose contexts descend from its root's.
    Lineage,
}

/// The execution that a span belongs to: a way to its collector. Cloning that of the process's
/// execution counts nothing.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    Process(usize),
    Lineage(Arc<Collector>),
}

impl Owner {
    /// Calls `tell` with the collector, while that execution is under way.
    #[inline]
    pub(crate) fn with<R>(&self, tell: impl FnOnce(&Collector) -> R) -> Option<R> {
        match self {
            Self::Lineage(collector) => Some(tell(collector)),
            Self::Process(number) => with_process(*number, tell),
        }
    }
}

/// Where code runs: its context, and the execution that this belongs to.
#[derive(Debug)]
pub(crate) struct Here<'a> {
    pub(crate) context: &'a Context,
    pub(crate) collector: &'a Collector,
    pub(crate) owner: Owner,
}

/// Whether anything may be recorded in this process.
#[inline]
pub(crate) fn is_tracing() -> bool {
    TRACED.load(Ordering::Relaxed) != 0
}

/// What `look` sees where this code runs; `None` where nothing is being traced.
#[inline]
pub(crate) fn here<R>(look: impl FnOnce(Here<'_>) -> Option<R>) -> Option<R> {
    if !is_tracing() {
        return None;
    }
    // Written where it stays: a value that is handed out of closures is copied once for each.
    let mut found = None;
    let look = |here: Here<'_>| found = look(here);
    let _ = SEEN.try_with(|seen| {
        if !seen.api_is_gone {
            Context::map_current(|context| in_context(context, &seen.process, look));
        }
    });
    found
}

/// The same for what is opened in `context`, wherever that is from: if it does not say which
/// execution it belongs to, this thread does.
pub(crate) fn at<R>(context: &Context, look: impl FnOnce(Here<'_>) -> Option<R>) -> Option<R> {
    if context.get::<Lineage>().is_none() {
        return here(look);
    }
    let mut found = None;
    let look = |here: Here<'_>| found = look(here);
    let _ = SEEN.try_with(|seen| in_context(context, &seen.process, look));
    found
}

#[inline]
fn in_context(context: &Context, seen: &RefCell<Process>, look: impl FnOnce(Here<'_>)) {
    if context.is_telemetry_suppressed() {
        return;
    }
    let lineage = context.get();
    if lineage.is_none() && seen.borrow().number != NUMBER.load(Ordering::Acquire) {
        see(seen);
    }
    let seen = seen.borrow();
    let (collector, owner) = match (lineage, &seen.collector) {
        (Some(Lineage(collector)), _) => (collector, Owner::Lineage(Arc::clone(collector))),
        (None, Some(collector)) => (collector, Owner::Process(seen.number)),
        (None, None) => return,
    };
    look(Here { context, collector, owner });
}

/// Calls `tell` with the collector of the process's execution, if its number is `number`.
#[inline]
fn with_process<R>(number: usize, tell: impl FnOnce(&Collector) -> R) -> Option<R> {
    let mut tell = Some(tell);
    let mut tell_of = |process: &Process| {
        let collector = process.collector.as_ref().filter(|_| process.number == number)?;
        Some(tell.take()?(collector))
    };
    let told = SEEN.try_with(|Seen { process, .. }| {
        if process.borrow().number != number {
            see(process);
        }
        tell_of(&process.borrow())
    });
    // A thread that is ending looks every time.
    told.unwrap_or_else(|_| tell_of(&read_process()))
}

#[cold]
fn see(seen: &RefCell<Process>) {
    drop(seen.replace(read_process()));
}

fn read_process() -> Process {
    PROCESS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The registration that lets spans open in an execution, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) owner: Owner,
}

impl Registration {
    /// Registers the execution whose spans `collector` collects. A process that runs one already
    /// runs the next beside it, which then reaches as far as its root's context does.
    pub(crate) fn new(collector: &Arc<Collector>, reach: Reach) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        TRACED.fetch_add(1, Ordering::Relaxed);
        let mut process = write_process();
        if reach == Reach::Lineage || process.number != 0 {
            return Self { owner: Owner::Lineage(Arc::clone(collector)) };
        }
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        *process = Process { number, collector: Some(Arc::clone(collector)) };
        NUMBER.store(number, Ordering::Release);
        Self { owner: Owner::Process(number) }
    }

    /// The context that the root's is made of.
    pub(crate) fn context(&self) -> Context {
        match &self.owner {
            Owner::Process(_) => Context::new(),
            Owner::Lineage(collector) => Context::new().with_value(Lineage(Arc::clone(collector))),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        TRACED.fetch_sub(1, Ordering::Relaxed);
        if matches!(self.owner, Owner::Process(_)) {
            let mut process = write_process();
            NUMBER.store(0, Ordering::Release);
            *process = Process::NONE;
        }
    }
}

fn write_process() -> RwLockWriteGuard<'static, Process> {
    PROCESS.write().unwrap_or_else(PoisonError::into_inner)
}
