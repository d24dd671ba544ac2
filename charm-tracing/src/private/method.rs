//! Spans of methods whose type the attribute cannot see: `#[trace_method]` in a block that is not
//! traced.

use std::any::type_name;

use crate::call_site::{CallSite, Name};
use crate::span::{SpanGuard, SpanHandle};

/// Opens the span of a method of `T`. Its call site knows the method, and the span's name if it has
/// one of its own.
#[inline]
pub fn enter_method<T: ?Sized>(site: &'static CallSite) -> SpanGuard {
    SpanGuard::enter(Name::MethodOf(type_name::<T>, site))
}

/// Opens the span of a future, which becomes current as often as that is polled.
#[inline]
pub fn open(site: &'static CallSite) -> SpanHandle {
    SpanHandle::open(Name::Call(site))
}

/// Opens the span of a future that a method of `T` makes.
#[inline]
pub fn open_method<T: ?Sized>(site: &'static CallSite) -> SpanHandle {
    SpanHandle::open(Name::MethodOf(type_name::<T>, site))
}
