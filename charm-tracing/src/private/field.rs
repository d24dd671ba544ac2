//! The values of `fields(..)`: what a span can be told about an argument.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Deref;

use opentelemetry::Value;

use crate::failure::in_words;
use crate::span::{SpanGuard, SpanHandle};

/// What may be the value of a field: numbers, `bool`, text, an `Option` of one, anything that is
/// `Display`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a field",
    label = "expected a number, a `bool`, text, an `Option` of one, or something that is `Display`",
    note = "what is only `Debug` can be written `format!(\"{{value:?}}\")`"
)]
pub trait AttributeValue {
    /// The attribute's value; `None` leaves it out.
    fn attribute_value(&self) -> Option<Value>;
}

macro_rules! values {
    ($($Type:ty => |$value:ident| $convert:expr;)*) => {$(
        impl AttributeValue for $Type {
            fn attribute_value(&self) -> Option<Value> {
                let $value = self;
                Some($convert)
            }
        }
    )*};
}

values! {
    bool => |value| Value::Bool(*value);
    i8 => |value| Value::I64((*value).into());
    i16 => |value| Value::I64((*value).into());
    i32 => |value| Value::I64((*value).into());
    i64 => |value| Value::I64(*value);
    i128 => |value| whole(*value);
    isize => |value| whole(*value);
    u8 => |value| Value::I64((*value).into());
    u16 => |value| Value::I64((*value).into());
    u32 => |value| Value::I64((*value).into());
    u64 => |value| whole(*value);
    u128 => |value| whole(*value);
    usize => |value| whole(*value);
    f32 => |value| Value::F64((*value).into());
    f64 => |value| Value::F64(*value);
    str => |value| Value::String(value.to_owned().into());
    String => |value| Value::String(value.clone().into());
    Cow<'_, str> => |value| Value::String(value.clone().into_owned().into());
    Value => |value| value.clone();
}

/// A whole number; one that OpenTelemetry has no number for is text.
fn whole<N: Copy + Display + TryInto<i64>>(number: N) -> Value {
    match number.try_into() {
        Ok(number) => Value::I64(number),
        Err(_) => Value::String(number.to_string().into()),
    }
}

impl<T: AttributeValue + ?Sized> AttributeValue for &T {
    fn attribute_value(&self) -> Option<Value> {
        (**self).attribute_value()
    }
}

impl<T: AttributeValue + ?Sized> AttributeValue for &mut T {
    fn attribute_value(&self) -> Option<Value> {
        (**self).attribute_value()
    }
}

impl<T: AttributeValue> AttributeValue for Option<T> {
    fn attribute_value(&self) -> Option<Value> {
        self.as_ref()?.attribute_value()
    }
}

/// A field's value on its way to the span. The first `value` whose bounds hold is taken: that of
/// `Field`, else that of what it dereferences to.
#[derive(Debug)]
pub struct Field<'a, T: ?Sized>(Displayed<'a, T>);

/// A value that can only be displayed.
#[derive(Debug)]
pub struct Displayed<'a, T: ?Sized>(Impossible<'a, T>);

/// A value that cannot be recorded, which is an error when the charm is compiled.
#[derive(Debug)]
pub struct Impossible<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> Field<'a, T> {
    /// Takes a value.
    #[inline]
    pub fn of(value: &'a T) -> Self {
        Self(Displayed(Impossible(value)))
    }
}

impl<T: AttributeValue + ?Sized> Field<'_, T> {
    /// The attribute's value.
    pub fn value(&self) -> Option<Value> {
        self.0.0.0.attribute_value()
    }
}

impl<'a, T: ?Sized> Deref for Field<'a, T> {
    type Target = Displayed<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Display + ?Sized> Displayed<'_, T> {
    /// The attribute's value.
    pub fn value(&self) -> Option<Value> {
        Some(in_words(&self.0.0).into())
    }
}

impl<'a, T: ?Sized> Deref for Displayed<'a, T> {
    type Target = Impossible<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: ?Sized> Impossible<'_, T> {
    /// The attribute's value, which there is not.
    pub fn value(&self) -> Option<Value>
    where
        T: AttributeValue,
    {
        self.0.attribute_value()
    }
}

/// A span that fields are set on.
pub trait Fields {
    /// Whether anything is recorded.
    fn is_recording(&self) -> bool;

    /// Sets an attribute.
    fn set(&self, key: &'static str, value: Value);
}

impl Fields for SpanGuard {
    fn is_recording(&self) -> bool {
        SpanGuard::is_recording(self)
    }

    fn set(&self, key: &'static str, value: Value) {
        self.set_attribute(key, value);
    }
}

impl Fields for SpanHandle {
    fn is_recording(&self) -> bool {
        SpanHandle::is_recording(self)
    }

    fn set(&self, key: &'static str, value: Value) {
        self.set_attribute(key, value);
    }
}

/// Sets a field whose value is only asked for where it is recorded.
#[inline]
pub fn set_field(span: &impl Fields, key: &'static str, value: impl FnOnce() -> Option<Value>) {
    if span.is_recording()
        && let Some(value) = value()
    {
        span.set(key, value);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn values_keep_their_kind() {
        let text = "jobs".to_owned();
        assert_eq!(Field::of(&true).value(), Some(Value::Bool(true)));
        assert_eq!(Field::of(&3_usize).value(), Some(Value::I64(3)));
        assert_eq!(Field::of(&&0.5_f64).value(), Some(Value::F64(0.5)));
        assert_eq!(Field::of(&text.as_str()).value(), Some("jobs".into()));
        assert_eq!(Field::of(&Some(&text)).value(), Some("jobs".into()));
        assert_eq!(Field::of(&None::<u8>).value(), None);
    }

    #[test]
    fn a_number_too_large_for_a_number_is_text() {
        let text = u64::MAX.to_string();
        assert_eq!(Field::of(&u64::MAX).value(), Some(text.into()));
    }

    #[test]
    fn anything_else_is_displayed() {
        assert_eq!(Field::of(&Ipv4Addr::LOCALHOST).value(), Some("127.0.0.1".into()));
    }

    #[derive(Default)]
    struct Span {
        recording: bool,
        set: RefCell<Vec<(&'static str, Value)>>,
    }

    impl Fields for Span {
        fn is_recording(&self) -> bool {
            self.recording
        }

        fn set(&self, key: &'static str, value: Value) {
            self.set.borrow_mut().push((key, value));
        }
    }

    #[test]
    fn a_value_is_asked_for_only_where_it_is_recorded() {
        let span = Span::default();
        set_field(&span, "jobs", || unreachable!("nothing is recorded"));
        let span = Span { recording: true, ..Span::default() };
        set_field(&span, "jobs", || Field::of(&2).value());
        set_field(&span, "none", || None);
        assert_eq!(span.set.into_inner(), [("jobs", Value::I64(2))]);
    }
}
