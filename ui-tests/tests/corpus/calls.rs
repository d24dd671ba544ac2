//! The corpus: calls of every shape, which `extra_types` rewrites.

#![allow(clippy::all, reason = "every shape, the odd ones too")]

use std::collections::HashMap;
use std::fmt::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use crate::foreign::{
    Client, Constant, Guarded, Key, Lent, Packed, Promoted, Provider, Shared, Watched,
};
use crate::log::{Drops, log};
use crate::run_to_end;

static STATIC: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "static".to_owned());
static mut MUTABLE: u32 = 4;
#[allow(non_upper_case_globals)]
const lowercase: &str = "constant";

struct Charm {
    client: Client,
    inner: Inner,
    boxed: Box<Client>,
    counted: Rc<Client>,
    shared: Shared,
    list: Vec<Client>,
    watched: Watched<Client>,
    provider: Box<dyn Provider>,
    packed: Packed,
    names: HashMap<String, u64>,
}

struct Inner {
    client: Client,
    pair: (Client, u8),
}

fn client(name: &str) -> Client {
    log(format!("client({name})"));
    Client::new(name)
}

block! {
    impl Charm {
        fn new() -> Self {
            Self {
                client: Client::new("field"),
                inner: Inner { client: client("inner"), pair: (client("pair"), 1) },
                boxed: Box::new(Client::new("boxed")),
                counted: Rc::new(Client::new("counted")),
                shared: Shared::new(),
                list: vec![Client::new("first"), Client::new("second")],
                watched: Watched(Client::new("watched")),
                provider: Box::new(Client::new("provider")),
                packed: Packed { byte: 1, word: 2 },
                names: HashMap::new(),
            }
        }

        fn places(&mut self) -> u32 {
            self.client.get();
            self.inner.client.get();
            self.inner.pair.0.get();
            self.boxed.get();
            self.counted.get();
            self.client.set(3).set(4);
            (self.client).get();
            (*self.boxed).get();
            let local = &mut self.client;
            local.set(5);
            let sum = local.get() + (&*local).get() + (&mut *local).get();
            self.provider.provide_mut() + self.provider.provide() + sum
        }

        fn provider(&self) -> &Client {
            log("provider()");
            &self.client
        }

        fn provider_mut(&mut self) -> &mut Client {
            &mut self.client
        }

        fn inner(&self) -> &Inner {
            &self.inner
        }

        fn values(&mut self) -> u32 {
            self.provider().get();
            Client::new("new").get();
            client("by value").with("!").get();
            self.provider_mut().set(9);
            self.shared.borrowed().get();
            self.shared.borrowed().set(1).set(2);
            self.shared.locked().set(3);
            self.shared.cell.borrow_mut().set(4);
            self.shared.lock.lock().unwrap().set(5);
            self.inner().client.get();
            (*self.provider()).get();
            Shared::new().cell.into_inner().get()
        }

        fn watched_once(&mut self) -> u32 {
            self.watched.get();
            self.watched.set(3);
            let nested = Watched(Watched(client("nested")));
            nested.get();
            (*nested).get();
            (**nested).get();
            let inner = Watched(Inner { client: client("in"), pair: (client("pair"), 1) });
            inner.client.get() + inner.pair.0.get()
        }

        fn indexed(&mut self, at: usize) -> u32 {
            let sum = self.list[0].get() + self.list[at].get() + self.list[at - 1 + 0].get();
            self.list[at].set(8);
            let mut watched = Watched(vec![client("a"), client("b")]);
            let key = Key(1);
            watched[key].get();
            watched[Key(0)].set(2);
            let mut map = HashMap::from([("key".to_owned(), client("mapped"))]);
            let name = "key".to_owned();
            map[&name].get();
            map.get_mut(&name).unwrap().set(6);
            sum + map["key"].get()
        }

        fn packed(&self) -> u32 {
            let packed = self.packed;
            packed.word.count_ones() + self.packed.word.pow(2) + u32::from(packed.byte.max(1))
        }

        fn statics(&self) -> u32 {
            log(STATIC.len().to_string());
            log(lowercase.len().to_string());
            log(Constant::VALUE.get().to_string());
            log(Constant(4).get().to_string());
            // SAFETY: nothing else looks.
            #[allow(static_mut_refs)]
            unsafe {
                MUTABLE.pow(2) + MUTABLE.clone()
            }
        }

        fn promoted(&self) -> [&'static u8; 4] {
            const HELD: Promoted = Promoted(2);
            let first = Promoted(1).forever();
            let second = (&Promoted(3)).forever();
            let third = [5_u8, 6].iter().next().unwrap();
            [first, HELD.forever(), second, third]
        }

        fn order_of_drops(&self) -> usize {
            let _first = self.client.drops("local");
            self.client.lend(&self.client.drops("argument")).value();
            let value = self.client.lend(&self.client.drops("argument")).value();
            self.client.drops("statement");
            let _ = self.client.drops("underscore");
            let kept = &self.client.drops("extended");
            match self.client.lend(&Drops("scrutinee")).value() {
                1 => log("one"),
                _ => log("other"),
            }
            if self.client.lend(&Drops("condition")).value() > 0 {
                log("then");
            }
            if let Some(value) = Some(self.client.lend(&Drops("if let")).value()) {
                log(value.to_string());
            }
            while let Err(_error) = self.client.fails() {
                log("loop");
                break;
            }
            for byte in self.client.lend(&Drops("for")).client().name().bytes().take(1) {
                log(byte.to_string());
            }
            log(format!("{value} {kept:?}"));
            self.client.lend(&self.client.drops("tail")).client().name().len()
        }

        fn tail_statement(&self) {
            let _local = Drops("local");
            self.client.lend(&self.client.drops("argument")).value();
        }

        fn question_mark(&self, fail: bool) -> Result<u32, Drops> {
            let _local = Drops("local");
            let sum = self.client.takes(self.client.lend(&Drops("temporary")).value());
            if fail {
                self.client.takes(self.client.fails()?);
            }
            client("made").takes(if fail { self.client.fails()? } else { sum });
            Ok(sum)
        }

        fn early_exits(&self) -> u32 {
            let mut sum = 0;
            for number in 0..4 {
                sum += self.client.takes(if number == 1 { continue } else { number });
                sum += client("loop").takes(if number == 2 { break } else { number });
            }
            let found = 'block: {
                self.provider().takes(if sum > 0 { break 'block sum } else { 1 })
            };
            found + self.client.get()
        }

        fn two_phase(&mut self) -> usize {
            let mut numbers: Vec<usize> = Vec::new();
            numbers.push(numbers.len());
            numbers.push(numbers.iter().sum());
            let mut text = String::new();
            text.push_str(&text.clone());
            self.names.insert(self.client.name().to_owned(), self.names.len() as u64);
            self.client.set(self.client.pure());
            numbers.len() + text.len() + self.names.len()
        }

        fn inference(&mut self) -> usize {
            let mut late = Vec::new();
            late.push(1_u16);
            let mut map = HashMap::new();
            map.insert(1_u8, 2_u8);
            let mut other = HashMap::new();
            other.insert("x".to_owned(), 2);
            let number: u8 = "7".parse().unwrap();
            let parsed = "8".parse().unwrap();
            let sum = u64::wrapping_add(parsed, other["x"]);
            let collected: Vec<_> = late.iter().map(|x| x * 2).collect();
            let joined: String = ["a", "b"].iter().map(|text| text.to_uppercase()).collect();
            let boxed: Box<dyn Fn(u8) -> u8> = Box::new(move |x| x.saturating_add(number));
            let integer = 5;
            let text = integer.to_string();
            let total = collected.iter().fold(0, |a, b| a + b);
            let error: Box<dyn std::error::Error> = "x".into();
            usize::from(total) + joined.len() + text.len() + map.len() + boxed(1) as usize
                + sum as usize + error.to_string().len()
        }

        fn closures(&mut self) -> u32 {
            let plain: fn(&Client) -> u32 = |client| client.get();
            let by_reference = || self.inner.client.get() + self.client.pure();
            let sum = by_reference() + plain(&self.client);
            let mut by_mutable = || self.inner.pair.0.set(1).get();
            let more = by_mutable() + self.client.get();
            let owned = client("owned");
            let by_value = move || owned.with("?").get();
            let nested = |x: u32| (|| x + self.client.get())();
            sum + more + by_value() + nested(2)
        }

        fn returned(&self) -> impl Fn(u32) -> u32 + '_ {
            let client = &self.client;
            move |add| client.get() + add
        }

        fn macros(&self) -> String {
            println!("{} {name}", self.client.get(), name = self.provider().name());
            let list = vec![self.client.get(), self.client.pure()];
            let repeated = vec![self.client.get(); 2];
            assert!(self.client.get() > 0);
            assert!(self.client.get() > 0, "got {}", self.client.get());
            assert_eq!(self.client.pure(), self.client.pure(), "{}", self.client.pure());
            debug_assert!(matches!(self.client.get(), 1..));
            let mut text = String::new();
            write!(text, "{}", self.client.lend(&Drops("in write")).value()).unwrap();
            format!("{text} {:?} {list:?} {repeated:?}", self.client.fails().is_err())
        }

        fn assertion_message(&self) -> String {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert!(self.client.get() == 0 && self.client.name() != "x");
            }));
            let payload = caught.unwrap_err();
            let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
            text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap()
        }

        fn paths(&mut self) -> u32 {
            Client::get(&self.client);
            Client::set(&mut self.client, 3);
            Client::get(&self.boxed);
            Client::get(self.provider());
            <Client as Provider>::provide(&self.client);
            let owned = Client::with(client("path"), "!");
            let name = String::from("x");
            String::len(&name) as u32 + Client::get(&owned)
        }

        fn assignments(&mut self) -> usize {
            *self.client.name_mut() = "renamed".to_owned();
            *self.provider_mut().name_mut() += "!";
            self.shared.cell.borrow_mut().dropped = Drops("replaced");
            let (a, b);
            (a, b) = (self.client.get(), self.client.get());
            let mut total = 0;
            total += self.client.get() + a + b;
            self.client.name().len() + total as usize
        }

        fn control_flow(&self, number: u32) -> u32 {
            let value = match number {
                0 => return self.client.get(),
                n if self.client.pure() > n => n,
                _ if number > 100 => self.client.exits(),
                other => other + if self.client.get() > 0 { 1 } else { 0 },
            };
            let Some(_) = Some(self.client.get()) else { return self.client.get() };
            loop {
                if self.client.get() > 0 {
                    break self.client.get() + value;
                }
            }
        }

        fn diverges(&self) -> u32 {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _local = Drops("unwound");
                #[allow(unreachable_code)]
                self.client.takes(self.client.exits());
            }));
            u32::from(caught.is_err()) + self.client.get()
        }

        fn never(&self) -> ! {
            self.client.exits()
        }

        fn guarded<'a>(&mut self, byte: &'a mut u8) -> Guarded<'a, u8> {
            let mut guarded = Guarded(byte);
            guarded.write(guarded.read() + 1);
            let mut local = 3;
            let mut shorter = Guarded(&mut local);
            shorter.write(4);
            guarded.write(shorter.read());
            guarded
        }

        fn object<'a>(&self, provider: &'a (dyn Provider + 'a), local: &mut dyn Provider) -> u32 {
            provider.provide() + local.provide_mut() + local.provide()
        }

        fn generic<P: Provider + ?Sized>(&self, provider: &mut P) -> u32 {
            provider.provide_mut();
            provider.provide()
        }

        fn blocks(&self) -> u32 {
            let value = { let inner = self.client.get(); inner + self.client.get() };
            let unsafe_value = unsafe { (&raw const self.client).as_ref().unwrap().get() };
            const { assert!("const".len() == 5) };
            let array = [self.client.get(); 2];
            struct Item;
            impl Item {
                fn method(&self, client: &Client) -> u32 {
                    client.get()
                }
            }
            if value > 0 { &self.client } else { &self.inner.client }.get()
                + (match value { 0 => &self.client, _ => &self.inner.client }).get()
                + Item.method(&self.client) + array[0] + unsafe_value
        }

        fn consumed(self) -> usize {
            let Self { client, boxed, inner, .. } = self;
            let name = client.with("-consumed");
            let unboxed = (*boxed).with("-unboxed");
            name.name().len() + unboxed.name().len() + inner.pair.0.with("x").name().len()
        }

        fn counted(self: Rc<Self>) -> u32 {
            self.client.get() + self.inner.client.get()
        }

        fn pinned(self: Pin<&mut Self>) -> u32 {
            self.client.get()
        }

        async fn awaited(&self) -> Result<u32, Drops> {
            let _local = Drops("local");
            let first = self.client.fetch(1).await?;
            let second = self.provider().fetch(self.client.fetch(2).await?).await?;
            let third = self.client.connect().await.value();
            let fourth = self.client.connect().await.client().fetch(3).await?;
            self.client.lend(&Drops("argument")).client().fetch(1).await?;
            let unawaited = self.client.fetch(5);
            let block = async { self.client.fetch(6).await.unwrap_or(0) + self.client.get() };
            let sum = self.client.takes(self.client.fetch(7).await?);
            log(format!("{} {}", unawaited.await?, block.await));
            Client::fetch(&self.client, 8).await?;
            self.client.fetch(0).await?;
            Ok(first + second + third + fourth + sum)
        }

        async fn sendable(client: Arc<std::sync::Mutex<u8>>, text: String) -> usize {
            let length = text.len();
            std::future::ready(length).await;
            let locked = *client.lock().unwrap();
            text.replace('a', "b").split('b').map(str::len).sum::<usize>() + usize::from(locked)
        }

        fn attributes(&self) -> u32 {
            #[cfg(any())]
            self.client.no_such_method();
            #[allow(unused_must_use)]
            self.client.pure();
            #[rustfmt::skip]
            self.client.get();
            self.client.get()
        }

        fn positions(&mut self) -> Option<u32> {
            let mut sum = 0;
            for number in 0..self.list.len() {
                sum += number;
            }
            for number in self.client.pure()..self.client.pure() + 2 {
                sum += number as usize;
            }
            let Some(first) = self.list.first() else { return None };
            let Some(last) = self.list.last() else { return None };
            while self.client.get() < 3 {}
            if self.client.get() == self.client.get() || !self.list.is_empty() {
                sum += 1;
            }
            match self.client.get() {
                0 => self.client.get() + 1,
                n if n == self.client.pure() => self.client.get() - 1,
                _ => -(self.client.get() as i32) as u32,
            };
            self.client.name_mut().clear();
            *self.client.name_mut() = self.list[0].name().to_uppercase();
            let text = &*self.client.name();
            let slice = &self.list[..self.list.len()];
            let closure = |add: usize| self.client.name().len() + add;
            let called = (|| self.client.name().len())();
            let range = self.client.pure()..=self.client.pure();
            let tuple = (self.client.get(), [self.client.get()], Some(self.client.get()));
            let structure = Packed { byte: 1, word: self.client.get() };
            { self.client.get() };
            if first.get() > 1000 { self.client.get() } else { last.get() };
            let size = sum + text.len() + slice.len() + closure(1) + called + tuple.1.len();
            let cast = self.client.get() as usize;
            self.client.get().checked_add(range.count() as u32 + structure.word + (size + cast) as u32)
        }

        fn tail_operator(&self) -> u32 {
            self.client.get() + self.client.get()
        }

        fn tail_index(&self) -> u32 {
            self.client.name().as_bytes()[0] as u32
        }

        fn tail_field(&mut self) -> usize {
            self.shared.borrowed().set(2).dropped.0.len()
        }

        fn chains(&self) -> Vec<String> {
            let mut lengths: Vec<usize> = self
                .list
                .iter()
                .map(|client| client.name())
                .filter(|name| !name.is_empty())
                .flat_map(|name| name.split('s'))
                .map(|part| part.len())
                .collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.iter().rev().map(ToString::to_string).collect()
        }
    }
}

trait Extension {
    fn twice(&self) -> u32;
}

block! {
    impl Extension for Client {
        fn twice(&self) -> u32 {
            self.get() + self.get()
        }
    }
}

block! {
    impl Extension for Vec<Client> {
        fn twice(&self) -> u32 {
            self.iter().map(|client| client.twice()).sum()
        }
    }
}

struct Generic<'a, T>(&'a T, Vec<T>);

block! {
    impl<'a, T: Clone + Into<u64>> Generic<'a, T> {
        fn sum(&self) -> u64 {
            let first: u64 = self.0.clone().into();
            self.1.iter().cloned().map(Into::into).fold(first, |a, b| a.wrapping_add(b))
        }
    }
}

block! {
    impl<'a, T> Generic<'a, T> {
        fn first(&self) -> Option<&'a T> {
            self.1.is_empty().then(|| self.0)
        }
    }
}

fn must_be_send<T: Send>(value: T) -> T {
    value
}

/// Runs everything.
pub(crate) fn run() {
    let mut charm = Charm::new();
    log(charm.places().to_string());
    log(charm.values().to_string());
    log(charm.watched_once().to_string());
    log(charm.indexed(1).to_string());
    log(charm.packed().to_string());
    log(charm.statics().to_string());
    log(format!("{:?}", charm.promoted()));
    log(charm.order_of_drops().to_string());
    charm.tail_statement();
    log(format!("{:?}", charm.question_mark(false)));
    log(format!("{:?}", charm.question_mark(true)));
    log(charm.early_exits().to_string());
    log(charm.two_phase().to_string());
    log(charm.inference().to_string());
    log(charm.closures().to_string());
    log(charm.returned()(3).to_string());
    log(charm.macros());
    log(charm.assertion_message());
    log(charm.paths().to_string());
    log(charm.assignments().to_string());
    log(charm.control_flow(0).to_string());
    log(charm.control_flow(3).to_string());
    log(charm.diverges().to_string());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| charm.never()));
    log(caught.is_err().to_string());
    let mut byte = 1;
    log(charm.guarded(&mut byte).read().to_string());
    let (provider, mut local) = (Client::new("dyn"), Client::new("local"));
    log(charm.object(&provider, &mut local).to_string());
    log(charm.generic(&mut local).to_string());
    log(charm.generic::<dyn Provider>(&mut local).to_string());
    log(charm.blocks().to_string());
    log(format!("{:?}", run_to_end(charm.awaited())));
    let shared = Arc::new(std::sync::Mutex::new(2));
    log(run_to_end(must_be_send(Charm::sendable(shared, "banana".to_owned()))).to_string());
    log(charm.attributes().to_string());
    log(format!("{:?}", charm.positions()));
    log(charm.tail_operator().to_string());
    log(charm.tail_index().to_string());
    log(charm.tail_field().to_string());
    log(format!("{:?}", charm.chains()));
    log(charm.list.twice().to_string());
    log(Generic(&1_u32, vec![2, 3]).sum().to_string());
    log(format!("{:?}", Generic(&1_u32, vec![]).first()));
    log(Pin::new(&mut charm).pinned().to_string());
    log(charm.consumed().to_string());
    log(Rc::new(Charm::new()).counted().to_string());
    let lent: Option<Lent<'_>> = None;
    log(lent.is_none().to_string());
}
