//! Spans of methods whose type the attribute cannot see: `#[trace_method]` in a block that is not
//! traced.

use std::any::type_name;

use opentelemetry::KeyValue;

use super::type_name;
use crate::collector::{CallSite, Detail, Name};
use crate::span::{SpanGuard, SpanHandle, is_tracing};

/// Opens the span of a method of `T`. Its call site knows the method, and the span's name if it has
/// one of its own.
#[inline]
pub fn enter_method<T: ?Sized>(site: &'static CallSite) -> SpanGuard {
    let (name, detail) =
        if is_tracing() { describe(site, type_name::<T>()) } else { (Name::Site(site), None) };
    SpanGuard::open(name, detail)
}

/// Opens the span of a future, which becomes current as often as that is polled.
#[inline]
pub fn open(site: &'static CallSite) -> SpanHandle {
    SpanHandle::open(site)
}

/// Opens the span of a future that a method of `T` makes.
#[inline]
pub fn open_method<T: ?Sized>(site: &'static CallSite) -> SpanHandle {
    if !is_tracing() {
        return SpanHandle::open(site);
    }
    let (name, detail) = describe(site, type_name::<T>());
    SpanHandle::named(name, detail.unwrap_or_default())
}

/// The name and the attributes of a method's span.
pub(super) fn describe(site: &'static CallSite, type_name: &str) -> (Name, Option<Detail>) {
    let name = match site.span_name {
        "" => format!("method call: {}::{}", type_name::last_word(type_name), site.function).into(),
        name => name.into(),
    };
    let path = format!("{}::{}", type_name::path(type_name), site.function);
    let attributes = vec![
        KeyValue::new("code.function.name", path),
        KeyValue::new("code.file.path", site.file),
        KeyValue::new("code.line.number", i64::from(site.line)),
    ];
    let detail = Detail { attributes, ..Detail::default() };
    (Name::Text(name), Some(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &Name) -> &str {
        match name {
            Name::Text(text) => text,
            Name::Site(site) => site.span_name,
        }
    }

    #[test]
    fn a_method_is_named_after_its_type() {
        const SITE: CallSite = CallSite::new("", "update", "src/charm.rs", 7);
        let (name, detail) = describe(&SITE, "hello::charm::Charm<u8>");
        assert_eq!(text(&name), "method call: Charm::update");
        assert_eq!(
            detail.unwrap().attributes[0],
            KeyValue::new("code.function.name", "hello::charm::Charm::update")
        );
    }

    #[test]
    fn a_name_of_its_own_is_kept() {
        const SITE: CallSite = CallSite::new("method call: other", "update", "src/charm.rs", 7);
        let (name, _) = describe(&SITE, "hello::Charm");
        assert_eq!(text(&name), "method call: other");
    }
}
