//! The attributes never change what a program means: one corpus of functions, compiled plain,
//! traced, and traced with `extra_types`, does the same three times, down to the order of drops.

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

/// Types of another crate, which knows nothing of tracing.
mod foreign {
    use std::cell::{Cell, RefCell, RefMut};
    use std::ops::{Deref, DerefMut, Index, IndexMut};
    use std::sync::{Mutex, MutexGuard};

    use crate::log::{Drops, log};

    /// A client that says what it does.
    #[derive(Debug)]
    pub(crate) struct Client {
        name: String,
        calls: Cell<u32>,
        pub(crate) dropped: Drops,
    }

    impl Client {
        pub(crate) fn new(name: &str) -> Self {
            Self { name: name.to_owned(), calls: Cell::new(0), dropped: Drops("client") }
        }

        pub(crate) fn get(&self) -> u32 {
            self.calls.set(self.calls.get() + 1);
            log(format!("{} get", self.name));
            self.calls.get()
        }

        pub(crate) fn set(&mut self, calls: u32) -> &mut Self {
            log(format!("{} set {calls}", self.name));
            self.calls.set(calls);
            self
        }

        #[must_use]
        pub(crate) fn pure(&self) -> u32 {
            self.calls.get()
        }

        pub(crate) fn with(self, suffix: &str) -> Self {
            let Self { name, calls, dropped } = self;
            Self { name: name + suffix, calls, dropped }
        }

        pub(crate) fn name(&self) -> &str {
            &self.name
        }

        pub(crate) fn name_mut(&mut self) -> &mut String {
            &mut self.name
        }

        pub(crate) fn drops(&self, name: &'static str) -> Drops {
            log(format!("made {name}"));
            Drops(name)
        }

        pub(crate) fn lend(&self, _with: &Drops) -> Lent<'_> {
            Lent { client: self, dropped: Drops("lent") }
        }

        pub(crate) fn fails(&self) -> Result<u32, Drops> {
            Err(Drops("error"))
        }

        pub(crate) fn takes<T>(&self, _value: T) -> u32 {
            self.get()
        }

        pub(crate) fn exits(&self) -> ! {
            panic!("exits")
        }

        pub(crate) async fn fetch(&self, add: u32) -> Result<u32, Drops> {
            log("fetching");
            std::future::ready(()).await;
            if add == 0 { Err(Drops("error")) } else { Ok(self.get() + add) }
        }

        pub(crate) async fn connect(&self) -> Lent<'_> {
            Lent { client: self, dropped: Drops("connection") }
        }
    }

    /// What a client lends.
    #[derive(Debug)]
    pub(crate) struct Lent<'a> {
        pub(crate) client: &'a Client,
        dropped: Drops,
    }

    impl<'a> Lent<'a> {
        pub(crate) fn value(&self) -> u32 {
            log(format!("value of {:?}", self.dropped));
            self.client.get()
        }

        pub(crate) fn client(&self) -> &'a Client {
            self.client
        }
    }

    pub(crate) trait Provider {
        fn provide(&self) -> u32;
        fn provide_mut(&mut self) -> u32;
    }

    impl Provider for Client {
        fn provide(&self) -> u32 {
            self.get()
        }

        fn provide_mut(&mut self) -> u32 {
            self.set(7).get()
        }
    }

    /// A smart pointer that says when it is looked through, and where.
    #[derive(Debug)]
    pub(crate) struct Watched<T>(pub(crate) T);

    impl<T> Deref for Watched<T> {
        type Target = T;

        fn deref(&self) -> &T {
            log("deref");
            &self.0
        }
    }

    impl<T> DerefMut for Watched<T> {
        fn deref_mut(&mut self) -> &mut T {
            log("deref_mut");
            &mut self.0
        }
    }

    /// A key that can be used once.
    #[derive(Debug)]
    pub(crate) struct Key(pub(crate) usize);

    impl<T> Index<Key> for Watched<Vec<T>> {
        type Output = T;

        fn index(&self, key: Key) -> &T {
            log(format!("index {}", key.0));
            &self.0[key.0]
        }
    }

    impl<T> IndexMut<Key> for Watched<Vec<T>> {
        fn index_mut(&mut self, key: Key) -> &mut T {
            log(format!("index_mut {}", key.0));
            &mut self.0[key.0]
        }
    }

    /// A type with a lifetime.
    #[derive(Debug)]
    pub(crate) struct Guarded<'a, T>(pub(crate) &'a mut T);

    impl<T: Copy> Guarded<'_, T> {
        pub(crate) fn read(&self) -> T {
            *self.0
        }

        pub(crate) fn write(&mut self, value: T) {
            *self.0 = value;
        }
    }

    /// Cells and locks of clients.
    #[derive(Debug)]
    pub(crate) struct Shared {
        pub(crate) cell: RefCell<Client>,
        pub(crate) lock: Mutex<Client>,
    }

    impl Shared {
        pub(crate) fn new() -> Self {
            Self { cell: RefCell::new(Client::new("cell")), lock: Mutex::new(Client::new("lock")) }
        }

        pub(crate) fn borrowed(&self) -> RefMut<'_, Client> {
            self.cell.borrow_mut()
        }

        pub(crate) fn locked(&self) -> MutexGuard<'_, Client> {
            self.lock.lock().unwrap()
        }
    }

    /// A constant that says when it is dropped.
    pub(crate) struct Constant(pub(crate) u8);

    impl Constant {
        pub(crate) const VALUE: Self = Self(3);

        pub(crate) fn get(&self) -> u8 {
            self.0
        }
    }

    impl Drop for Constant {
        fn drop(&mut self) {
            log("dropped constant");
        }
    }

    /// What can be promoted to a static.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Promoted(pub(crate) u8);

    impl Promoted {
        pub(crate) fn forever(&'static self) -> &'static u8 {
            &self.0
        }
    }

    /// Fields that no reference can be made to.
    #[repr(C, packed)]
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Packed {
        pub(crate) byte: u8,
        pub(crate) word: u32,
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

    pub(crate) mod calls;
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

    pub(crate) mod calls;
    pub(crate) mod futures;
    pub(crate) mod shapes;
}

/// Every method call in the bodies is rewritten; those on the listed types become spans.
#[path = "corpus"]
mod extra_types {
    macro_rules! charm {
        ($($item:tt)*) => {
            #[charm_tracing::trace_charm(extra_types(
                crate::foreign::Client,
                crate::foreign::Guarded<'_, u8>,
                dyn crate::foreign::Provider,
                String,
                Vec<u8>,
                std::collections::HashMap<String, u64>,
                Box<dyn std::error::Error>,
            ))]
            $($item)*
        };
    }
    macro_rules! block {
        (@after #[$first:meta] $($item:tt)*) => { #[$first] #[charm_tracing::trace_type(extra_types(crate::foreign::Client, String))] $($item)* };
        ($($item:tt)*) => {
            #[charm_tracing::trace_type(extra_types(
                crate::foreign::Client,
                crate::foreign::Guarded<'_, u8>,
                dyn crate::foreign::Provider,
                String,
                Vec<u8>,
                std::collections::HashMap<String, u64>,
                Box<dyn std::error::Error>,
            ))]
            $($item)*
        };
    }
    macro_rules! function { ($($item:tt)*) => { #[charm_tracing::trace_function] $($item)* }; }

    pub(crate) mod calls;
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
        (plain::shapes::run as fn(), traced::shapes::run as fn(), extra_types::shapes::run as fn()),
        (plain::futures::run, traced::futures::run, extra_types::futures::run),
        (plain::calls::run, traced::calls::run, extra_types::calls::run),
    ];
    let execution = Execution::begin();
    for (plain, traced, extra_types) in everything {
        let plain = logged(plain);
        assert_eq!(plain, logged(traced));
        assert_eq!(plain, logged(extra_types));
        assert!(plain.len() > 50, "{plain:#?}");
    }
    execution.end();
}
