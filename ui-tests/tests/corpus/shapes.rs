//! The corpus: functions of every shape, written once, compiled plain, traced, and traced with
//! `extra_types` by the three modules of `corpus.rs`. Each says in the log what it does, and what
//! is dropped when.

#![allow(clippy::all, reason = "every shape, the odd ones too")]

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::num::ParseIntError;
use std::rc::Rc;

use crate::log::{Drops, log};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type IoResult<T = ()> = std::io::Result<T>;

#[derive(Debug)]
struct Broken(u8);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

impl std::error::Error for Broken {}

impl From<ParseIntError> for Broken {
    fn from(_: ParseIntError) -> Self {
        Self(99)
    }
}

struct NotDisplay;

struct Charm {
    name: String,
    jobs: Vec<u8>,
    dropped: Drops,
}

charm! {
    impl Charm {
        const ID: u8 = 7;

        fn new(name: &str) -> Self {
            Self { name: name.to_owned(), jobs: vec![3, 1, 2], dropped: Drops("charm") }
        }

        const fn id() -> u8 {
            Self::ID
        }

        fn unit(&self) {
            log(format!("unit of {}", self.name));
        }

        fn borrowed(&self) -> &str {
            &self.name
        }

        fn first_job(&mut self) -> Result<&mut u8, Broken> {
            self.jobs.first_mut().ok_or(Broken(0))
        }

        fn find<'a>(&'a self, wanted: &'a u8) -> Result<&'a u8, &'a str> {
            self.jobs.iter().find(|job| *job == wanted).ok_or(&self.name)
        }

        fn question_mark(&mut self, text: &str) -> Result<u8, Broken> {
            let number: u8 = text.parse()?;
            self.jobs.push(number);
            Ok(number)
        }

        fn early_return(&self, early: bool) -> Outcome<u8> {
            if early {
                return Err(Box::new(Broken(1)));
            }
            let text = "12".parse::<u8>()?;
            Ok(text)
        }

        fn macro_return(&self, early: bool) -> Result<(), String> {
            macro_rules! bail {
                ($($text:tt)*) => { return Err(format!($($text)*)) };
            }
            if early {
                bail!("bailed out of {}", self.name);
            }
            Ok(())
        }

        fn alias(&self) -> IoResult {
            Err(std::io::Error::other("io"))
        }

        fn not_display(&self) -> Result<(), NotDisplay> {
            Err(NotDisplay)
        }

        fn patterns(
            &self,
            (a, mut b): (u8, u8),
            [first, .., last]: [u8; 4],
            Broken(code): Broken,
            _: Drops,
            _named: Drops,
        ) -> Result<u8, Broken> {
            b += 1;
            Ok(a + b + first + last + code)
        }

        fn arguments_are_dropped_in_order(
            &self,
            first: Drops,
            _: Drops,
            (second, _): (Drops, Drops),
            _third: Drops,
        ) -> Result<u8, Broken> {
            let _local = Drops("local");
            log("body");
            drop(second);
            let _ = first;
            Ok(1)
        }

        fn by_value(self, _extra: Drops) -> Result<String, Broken> {
            let Self { name, .. } = self;
            log("taken apart");
            Ok(name)
        }

        fn by_mut_value(mut self) -> Result<Self, Broken> {
            self.jobs.clear();
            Ok(self)
        }

        fn boxed(self: Box<Self>) -> Result<usize, Broken> {
            Ok(self.jobs.len())
        }

        fn counted(self: Rc<Self>) -> Result<usize, Broken> {
            Ok(Rc::strong_count(&self))
        }

        fn tail_temporary(&self) -> Result<usize, Broken> {
            let _local = Drops("local");
            self.temporary(Drops("temporary")).length()
        }

        fn temporary(&self, drops: Drops) -> Temporary<'_> {
            Temporary(&self.name, drops)
        }

        fn impl_argument(&self, text: impl Display, call: impl Fn(u8) -> u8) -> Result<String, Broken> {
            Ok(format!("{text}{}", call(2)))
        }

        fn impl_return(&self) -> impl Iterator<Item = u8> + '_ {
            self.jobs.iter().map(|job| job * 2)
        }

        fn impl_in_result(&self) -> Result<impl Iterator<Item = u8> + '_, Box<dyn std::error::Error>> {
            if self.jobs.is_empty() {
                return Err(Box::new(Broken(3)));
            }
            Ok(self.jobs.iter().map(|job| job * 3))
        }

        fn dyn_in_result(&self) -> Result<Box<dyn Fn(u8) -> u8 + '_>, Broken> {
            Ok(Box::new(|x| x + self.jobs[0]))
        }

        fn recursive(&self, depth: u8) -> Result<u8, Broken> {
            if depth == 0 { Err(Broken(depth)) } else { self.recursive(depth - 1) }
        }

        fn nested(&self) -> Result<u8, Broken> {
            fn inner(x: u8) -> Result<u8, Broken> {
                Ok(x * 2)
            }
            let closure = |x| inner(x)?.checked_add(1).ok_or(Broken(2));
            closure(3)
        }

        fn generic<T: Display + Clone, const N: usize>(&self, items: [T; N]) -> Result<String, T>
        where
            T: Into<String>,
        {
            match items.first() {
                Some(item) if N > 1 => Err(item.clone()),
                Some(item) => Ok(item.to_string()),
                None => Ok(String::new()),
            }
        }

        fn returns_generic<T, F: FnOnce() -> T>(&self, make: F) -> T {
            make()
        }

        unsafe fn not_safe(&self, index: usize) -> Result<u8, Broken> {
            // SAFETY: the caller says that there are as many.
            Ok(unsafe { *self.jobs.get_unchecked(index) })
        }

        extern "C" fn for_c(x: u8) -> u8 {
            x + 1
        }

        fn never(&self) -> ! {
            panic!("never returns")
        }

        #[cfg(any())]
        fn not_there(&self) -> ThisTypeDoesNotExist {}

        /// Documented.
        #[inline]
        #[must_use]
        fn attributes(&self, #[allow(unused_variables)] unused: u8) -> Result<u8, Broken> {
            Ok(1)
        }

        fn labels_and_loops(&self) -> Result<u8, Broken> {
            let mut sum = 0;
            'outer: for a in 0..5 {
                for b in &self.jobs {
                    if *b == a {
                        continue 'outer;
                    }
                    if sum > 20 {
                        break 'outer;
                    }
                    sum += b;
                }
            }
            Ok(sum)
        }

        fn shadowed(&self, span: u8, result: u8, current: u8) -> Result<u8, Broken> {
            let __span = span;
            let __result = result;
            Ok(__span + __result + current)
        }

        fn raw_names(&self, r#type: u8) -> Result<u8, Broken> {
            let r#fn = r#type;
            Ok(r#fn)
        }

        fn entries(&self) -> Result<HashMap<&str, u8>, Broken> {
            let mut map = HashMap::new();
            map.insert(self.name.as_str(), 1);
            Ok(map)
        }
    }
}

struct Temporary<'a>(&'a str, Drops);

impl Temporary<'_> {
    fn length(&self) -> Result<usize, Broken> {
        Ok(self.0.len())
    }
}

struct Holder<'a, T> {
    item: &'a T,
    _marker: PhantomData<T>,
}

block! {
    impl<'a, T: Display> Holder<'a, T> {
        fn show(&self) -> Result<String, Broken> {
            Ok(self.item.to_string())
        }

        fn item(&self) -> Result<&'a T, Broken> {
            Ok(self.item)
        }

        fn pair<U>(&self, other: U) -> Result<(&'a T, U), U::Err>
        where
            U: std::str::FromStr,
        {
            Ok((self.item, other))
        }
    }
}

trait Handler {
    type Error;
    fn handle(&mut self, event: &str) -> Result<(), Self::Error>;
    fn default_method(&self) -> usize {
        1
    }
}

block! {
    impl Handler for Charm {
        type Error = Broken;

        fn handle(&mut self, event: &str) -> Result<(), Self::Error> {
            self.name.push_str(event);
            if event == "bad" { Err(Broken(5)) } else { Ok(()) }
        }
    }
}

block! {
    impl Iterator for Temporary<'_> {
        type Item = Result<u8, Broken>;

        fn next(&mut self) -> Option<Self::Item> {
            None
        }
    }
}

mod deep {
    pub(super) mod deeper {
        pub(in super::super) struct Inner(pub(in super::super) u8);
    }
}

block! {
    impl deep::deeper::Inner {
        fn get(&self) -> core::result::Result<u8, ()> {
            if self.0 > 0 { Ok(self.0) } else { Err(()) }
        }
    }
}

function! {
    fn free(x: &str) -> Result<usize, ParseIntError> {
        x.parse()
    }
}

function! {
    fn many_arguments(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> Result<u8, Broken> {
        Ok(a + b + c + d + e + f + g + h)
    }
}

fn show<T: fmt::Debug, E: Display>(name: &str, result: Result<T, E>) {
    match result {
        Ok(value) => log(format!("{name}: Ok({value:?})")),
        Err(error) => log(format!("{name}: Err({error})")),
    }
}

/// Runs everything.
pub(crate) fn run() {
    let mut charm = Charm::new("hello");
    log(format!("id {}", Charm::id()));
    charm.unit();
    log(charm.borrowed());
    show("first_job", charm.first_job().map(|job| std::mem::replace(job, 9)));
    show("find", charm.find(&2));
    show("find", charm.find(&77));
    show("question_mark", charm.question_mark("5"));
    show("question_mark", charm.question_mark("x"));
    show("early_return", charm.early_return(true));
    show("early_return", charm.early_return(false));
    show("macro_return", charm.macro_return(true));
    show("macro_return", charm.macro_return(false));
    show("alias", charm.alias());
    log(charm.not_display().is_err().to_string());
    let arguments = ((1, 2), [1, 2, 3, 4], Broken(1), Drops("wild"), Drops("named"));
    show(
        "patterns",
        charm.patterns(arguments.0, arguments.1, arguments.2, arguments.3, arguments.4),
    );
    show(
        "arguments_are_dropped_in_order",
        charm.arguments_are_dropped_in_order(
            Drops("first"),
            Drops("wild"),
            (Drops("second"), Drops("rest")),
            Drops("third"),
        ),
    );
    show("by_value", Charm::new("gone").by_value(Drops("extra")));
    show("by_mut_value", Charm::new("empty").by_mut_value().map(|charm| charm.jobs.len()));
    show("boxed", Box::new(Charm::new("box")).boxed());
    show("counted", Rc::new(Charm::new("rc")).counted());
    show("tail_temporary", charm.tail_temporary());
    show("impl_argument", charm.impl_argument("x", |x| x + 1));
    log(format!("impl_return: {:?}", charm.impl_return().collect::<Vec<_>>()));
    show("impl_in_result", charm.impl_in_result().map(Iterator::collect::<Vec<_>>));
    show("dyn_in_result", charm.dyn_in_result().map(|call| call(1)));
    show("recursive", charm.recursive(3));
    show("nested", charm.nested());
    show("generic", charm.generic(["a", "b"]));
    show("generic", charm.generic(["a"]));
    log(charm.returns_generic(|| "made"));
    // SAFETY: there is a first job.
    show("not_safe", unsafe { charm.not_safe(0) });
    log(Charm::for_c(1).to_string());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| charm.never()));
    log(caught.is_err().to_string());
    show("attributes", charm.attributes(1));
    show("labels_and_loops", charm.labels_and_loops());
    show("shadowed", charm.shadowed(1, 2, 3));
    show("raw_names", charm.raw_names(4));
    show("entries", charm.entries());
    let holder = Holder { item: &5_u8, _marker: PhantomData };
    show("show", holder.show());
    show("item", holder.item());
    show("pair", holder.pair(6_u8));
    show("handle", charm.handle("bad"));
    show("handle", charm.handle("good"));
    log(charm.default_method().to_string());
    log(Temporary("t", Drops("iterator")).next().is_none().to_string());
    log(format!("{:?}", deep::deeper::Inner(0).get()));
    show("free", free("12"));
    show("free", free("twelve"));
    show("many_arguments", many_arguments(1, 2, 3, 4, 5, 6, 7, 8));
    log(format!("{:?}", (charm.temporary(Drops("last")).1, &charm.dropped)));
}
