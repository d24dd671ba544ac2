//! Items and names of the user's that shadow everything an expansion could lean on.

#![no_implicit_prelude]
#![allow(dead_code, unused_macros)]

mod core {}
mod std {}
mod alloc {}
mod charm_tracing {}

struct Result;
struct Option;
struct Some;
struct None;
struct Ok;
struct Err;
struct Box;
struct String;
struct Outcome;
struct CallSite;
struct SpanGuard;
struct Drop;
struct Fn;
struct FnOnce;
struct Future;

macro_rules! line { () => { compile_error!("not this one") }; }
macro_rules! file { () => { compile_error!("not this one") }; }
macro_rules! concat { ($($any:tt)*) => { compile_error!("not this one") }; }
macro_rules! module_path { () => { compile_error!("not this one") }; }

type Fallible<T> = ::core::result::Result<T, u8>;

struct Charm {
    client: Client,
}

struct Client;

impl Client {
    fn get(&self) -> u8 {
        3
    }

    fn own(self) -> Self {
        self
    }
}

#[::charm_tracing::trace_charm(extra_types(Client), service_name = "hello")]
impl Charm {
    fn shadowed<T, R, E, F, A0, A1>(&self, __span: T, __result: R, span: E, call: F, a0: A0, a1: A1) -> Fallible<(T, R)> {
        let __call = self.client.get();
        let _ = (span, call, a0, a1);
        let __value = Client.own().get() + __call;
        ::core::result::Result::Ok((__span, __result))
    }

    fn drop(&self) -> Fallible<u8> {
        ::core::result::Result::Err(self.client.get())
    }

    async fn future(&self, __span: u8, __argument: (u8, u8), (a, __value): (u8, u8)) -> Fallible<u8> {
        ::core::result::Result::Ok(__span + __argument.0 + a + __value)
    }

    fn returned(&self) -> impl ::core::future::Future<Output = u8> + '_ {
        async move { self.client.get() }
    }

    fn enter(self) -> Self {
        self
    }
}

#[::charm_tracing::trace_function(fields(a = a, b = __span))]
fn fields(a: u8, __span: u8) -> Fallible<u8> {
    ::core::result::Result::Ok(a + __span)
}

fn main() {}
