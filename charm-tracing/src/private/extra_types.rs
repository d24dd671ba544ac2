//! Calls on values of `extra_types(..)`, traced where they are made.
//!
//! Whether a call is one is decided when it happens, by the name of its receiver's type: nothing is
//! asked of the type when the charm is compiled, so that a traced body is inferred and
//! borrow-checked like the plain one. The call itself stands in the expansion untouched, behind the
//! guard that [`enter_call`] or [`depth`] makes, or in the arguments of [`awaited`].
//!
//! No receiver is evaluated twice. A place is only looked at: by a reference where that does
//! nothing, else by a closure that is never called. A value is passed through.

use std::any;
use std::cell::RefCell;
use std::future::IntoFuture;
use std::marker::PhantomData;

use super::future::cover;
use crate::call_site::{CallSite, Name, TypeName};
use crate::current::is_tracing;
use crate::span::{SpanGuard, SpanHandle};
use crate::type_name;

/// The names of the listed types.
pub type ExtraTypes<'a> = &'a [fn() -> &'static str];

/// The type of a receiver, and nothing of its value.
#[derive(Debug)]
pub struct TypeOf<T: ?Sized>(PhantomData<fn(&T)>);

/// The type of what is referred to.
#[inline]
pub fn type_of<T: ?Sized>(_: &T) -> TypeOf<T> {
    TypeOf(PhantomData)
}

/// The type of a place. It may lie in a packed struct, which allows no reference.
#[inline]
pub fn type_of_place<T: ?Sized>(_: *const T) -> TypeOf<T> {
    TypeOf(PhantomData)
}

/// The type of a place that is not evaluated.
#[inline]
pub fn type_behind<T: ?Sized>(_: impl FnOnce() -> TypeOf<T>) -> TypeOf<T> {
    TypeOf(PhantomData)
}

/// Stands for a value that is not moved, where its type is all that is wanted. Never called.
///
/// # Panics
///
/// When it is called.
#[cold]
pub fn same_type_as<T>(_: &T) -> T {
    unreachable!("charm-tracing calls this nowhere")
}

/// The listed type that `T` is, or points to.
fn listed<T: ?Sized>(types: ExtraTypes<'_>) -> Option<TypeName> {
    let name = any::type_name::<T>();
    types.iter().copied().find(|listed| type_name::reaches(name, listed()))
}

thread_local! {
    /// The spans of calls whose receivers were passed through [`through`].
    static OPEN: RefCell<Vec<SpanGuard>> = const { RefCell::new(Vec::new()) };

    /// The calls whose receivers were passed through [`through_awaited`] and whose futures are not
    /// made yet: an entry for each, `None` where it is not traced.
    static UNMADE: RefCell<Vec<Option<Call>>> = const { RefCell::new(Vec::new()) };
}

/// A call that is traced: on what type, and where.
#[derive(Debug, Clone, Copy)]
struct Call {
    type_name: TypeName,
    site: &'static CallSite,
}

impl Call {
    #[inline]
    fn on<T: ?Sized>(types: ExtraTypes<'_>, site: &'static CallSite) -> Option<Self> {
        let type_name = if is_tracing() { listed::<T>(types) } else { None };
        Some(Self { type_name: type_name?, site })
    }

    fn enter(self) -> SpanGuard {
        SpanGuard::enter(Name::MethodOf(self.type_name, self.site))
    }

    fn open(self) -> SpanHandle {
        SpanHandle::open(Name::MethodOf(self.type_name, self.site))
    }
}

/// Opens the span of a call on a place.
#[inline]
pub fn enter_call<T: ?Sized>(
    _: TypeOf<T>,
    types: ExtraTypes<'_>,
    site: &'static CallSite,
) -> Option<SpanGuard> {
    Call::on::<T>(types, site).map(Call::enter)
}

/// Closes, when it is dropped, what [`through`] opened since it was made.
#[derive(Debug)]
pub struct Depth(usize);

/// Remembers how many calls are open.
#[inline]
pub fn depth() -> Depth {
    let open = if is_tracing() { OPEN.try_with(|open| open.borrow().len()).ok() } else { None };
    Depth(open.unwrap_or(usize::MAX))
}

impl Drop for Depth {
    #[inline]
    fn drop(&mut self) {
        if self.0 != usize::MAX {
            close_above(self.0);
        }
    }
}

fn close_above(depth: usize) {
    let is_above = |open: &mut Vec<SpanGuard>| (open.len() > depth).then(|| open.pop()).flatten();
    // A guard is dropped with nothing borrowed.
    while let Ok(Some(guard)) = OPEN.try_with(|open| is_above(&mut open.borrow_mut())) {
        drop(guard);
    }
}

/// Passes the receiver of a call through and opens the call's span.
#[inline]
pub fn through<T>(value: T, types: ExtraTypes<'_>, site: &'static CallSite) -> T {
    push(Call::on::<T>(types, site));
    value
}

/// Passes a value through and opens the span of a call on a part of it.
#[inline]
pub fn through_part<T, P: ?Sized>(
    value: T,
    _: impl FnOnce(&T) -> TypeOf<P>,
    types: ExtraTypes<'_>,
    site: &'static CallSite,
) -> T {
    push(Call::on::<P>(types, site));
    value
}

#[inline]
fn push(call: Option<Call>) {
    if let Some(call) = call {
        let guard = call.enter();
        let _ = OPEN.try_with(|open| open.borrow_mut().push(guard));
    }
}

/// A call whose future is awaited in its span.
#[derive(Debug, Clone, Copy)]
pub struct AwaitedCall(Option<Call>);

/// The call on a place whose future is about to be made.
#[inline]
pub fn await_call<T: ?Sized>(
    _: TypeOf<T>,
    types: ExtraTypes<'_>,
    site: &'static CallSite,
) -> AwaitedCall {
    AwaitedCall(Call::on::<T>(types, site))
}

/// Passes the receiver of a call through whose future is about to be made.
#[inline]
pub fn through_awaited<T>(value: T, types: ExtraTypes<'_>, site: &'static CallSite) -> T {
    remember(Call::on::<T>(types, site));
    value
}

/// Passes a value through; the future of a call on a part of it is about to be made.
#[inline]
pub fn through_part_awaited<T, P: ?Sized>(
    value: T,
    _: impl FnOnce(&T) -> TypeOf<P>,
    types: ExtraTypes<'_>,
    site: &'static CallSite,
) -> T {
    remember(Call::on::<P>(types, site));
    value
}

fn remember(call: Option<Call>) {
    let _ = UNMADE.try_with(|unmade| unmade.borrow_mut().push(call));
}

/// Polls a call's future in its span, if it has one.
pub fn awaited<F: IntoFuture>(call: AwaitedCall, future: F) -> impl Future<Output = F::Output> {
    let future = future.into_future();
    async move {
        match call.0 {
            Some(call) => cover(&call.open(), future).await,
            None => future.await,
        }
    }
}

/// Polls the future of a call whose receiver was passed through.
pub fn awaited_value<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let call = UNMADE.try_with(|unmade| unmade.borrow_mut().pop()).ok().flatten().flatten();
    awaited(AwaitedCall(call), future)
}
