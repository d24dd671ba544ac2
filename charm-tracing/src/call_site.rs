//! Call sites: where in the source a traced call is, and what its span is called.
//!
//! All of it is known when the charm is compiled, so that a span holds a reference to it and no
//! text of its own; it is put into words when the span leaves.

use std::borrow::Cow;

use opentelemetry::KeyValue;

use crate::type_name;

/// Where in the source a traced call is; one static per call site.
#[derive(Debug)]
pub struct CallSite {
    span_name: &'static str,
    function: &'static str,
    file: &'static str,
    line: u32,
}

impl CallSite {
    /// `span_name` is what the backend shows (`method call: Type::method`), `function` the fully
    /// qualified path. Where the type is only known to the call, `function` is the method's bare
    /// name, and `span_name` is empty if it has none of its own.
    pub const fn new(
        span_name: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self { span_name, function, file, line }
    }

    fn attributes(&self, function: Cow<'static, str>) -> Vec<KeyValue> {
        vec![
            KeyValue::new("code.function.name", function),
            KeyValue::new("code.file.path", self.file),
            KeyValue::new("code.line.number", i64::from(self.line)),
        ]
    }
}

/// A type's name, for whoever wants to know it: `std::any::type_name::<T>`.
pub(crate) type TypeName = fn() -> &'static str;

/// What a span is called.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    /// A call, as its call site says.
    Call(&'static CallSite),
    /// A call of a method of a type that the call site does not know.
    MethodOf(TypeName, &'static CallSite),
    Text(Cow<'static, str>),
}

impl Name {
    /// The name in words, and what the call site says beside it.
    pub(crate) fn describe(&self) -> (Cow<'_, str>, Vec<KeyValue>) {
        match self {
            Self::Call(site) => (site.span_name.into(), site.attributes(site.function.into())),
            Self::MethodOf(type_name, site) => describe_method(type_name(), site),
            Self::Text(name) => (name.as_ref().into(), Vec::new()),
        }
    }
}

fn describe_method(type_name: &'static str, site: &CallSite) -> (Cow<'static, str>, Vec<KeyValue>) {
    let name = match site.span_name {
        "" => format!("method call: {}::{}", type_name::last_word(type_name), site.function).into(),
        name => name.into(),
    };
    let function = format!("{}::{}", type_name::path(type_name), site.function);
    (name, site.attributes(function.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_after_its_type() {
        const SITE: CallSite = CallSite::new("", "update", "src/charm.rs", 7);
        let (name, attributes) = Name::MethodOf(|| "hello::charm::Charm<u8>", &SITE).describe();
        assert_eq!(name, "method call: Charm::update");
        let function = KeyValue::new("code.function.name", "hello::charm::Charm::update");
        assert_eq!(attributes[0], function);
    }

    #[test]
    fn a_name_of_its_own_is_kept() {
        const SITE: CallSite = CallSite::new("method call: other", "update", "src/charm.rs", 7);
        let (name, _) = Name::MethodOf(|| "hello::Charm", &SITE).describe();
        assert_eq!(name, "method call: other");
    }
}
