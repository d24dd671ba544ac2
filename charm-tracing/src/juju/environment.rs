//! What Juju says about this execution, as typed values.
//!
//! A missing, empty or malformed variable is an absent value: no charm fails because of what its
//! environment says.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::Event;

/// The variables that Juju sets for one execution of a charm.
///
/// ```
/// use charm_tracing::juju::Environment;
///
/// let environment = Environment::from_pairs([
///     ("JUJU_UNIT_NAME", "hello/0"),
///     ("JUJU_DISPATCH_PATH", "hooks/config-changed"),
/// ]);
/// assert_eq!(environment.application(), Some("hello"));
/// assert_eq!(environment.event().name(), "config-changed");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
}

/// The trace that Juju itself keeps of this execution: a position in it, and its vendors' state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent {
    /// The span that Juju opened for this execution.
    pub context: SpanContext,
}

impl Environment {
    /// Reads the environment of this process. A variable that is not text is absent.
    pub fn from_process() -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: env::vars_os().filter_map(text).collect() }
    }

    /// An environment that says exactly what is given; for tests.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter();
        Self { variables: pairs.map(|(key, value)| (key.into(), value.into())).collect() }
    }

    /// A variable's value; an empty one is absent.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether Juju runs this process: inside a hook there is a context to call hook tools in.
    pub fn is_juju(&self) -> bool {
        self.variable("JUJU_CONTEXT_ID").is_some()
    }

    /// The unit's name, `hello/0`.
    pub fn unit(&self) -> Option<&str> {
        self.variable("JUJU_UNIT_NAME")
    }

    /// The application that the unit belongs to, `hello`; of a malformed unit name what stands
    /// before the slash, or all of it.
    pub fn application(&self) -> Option<&str> {
        self.unit()?.split('/').next().filter(|application| !application.is_empty())
    }

    /// The unit's number, `0`.
    pub fn unit_number(&self) -> Option<u64> {
        self.unit()?.split_once('/')?.1.parse().ok()
    }

    /// The model's name.
    pub fn model(&self) -> Option<&str> {
        self.variable("JUJU_MODEL_NAME")
    }

    /// The model's UUID.
    pub fn model_uuid(&self) -> Option<&str> {
        self.variable("JUJU_MODEL_UUID")
    }

    /// The charm's directory: what Juju says, else the working directory.
    pub fn charm_dir(&self) -> PathBuf {
        let said = self.variable("JUJU_CHARM_DIR").or_else(|| self.variable("CHARM_DIR"));
        said.map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    /// The version of the Juju agent, `4.0.1`.
    pub fn juju_version(&self) -> Option<&str> {
        self.variable("JUJU_VERSION")
    }

    /// What Juju runs: `hooks/config-changed`, `actions/backup`.
    pub fn dispatch_path(&self) -> Option<&str> {
        self.variable("JUJU_DISPATCH_PATH")
    }

    /// The event that the charm is run for.
    pub fn event(&self) -> Event {
        Event::of(self)
    }

    /// The relation that a relation event is about, `database`.
    pub fn relation(&self) -> Option<&str> {
        self.variable("JUJU_RELATION")
    }

    /// That relation's id, `database:3`.
    pub fn relation_id(&self) -> Option<&str> {
        self.variable("JUJU_RELATION_ID")
    }

    /// The application at the other end of that relation.
    pub fn remote_application(&self) -> Option<&str> {
        self.variable("JUJU_REMOTE_APP")
    }

    /// The unit at the other end of that relation.
    pub fn remote_unit(&self) -> Option<&str> {
        self.variable("JUJU_REMOTE_UNIT")
    }

    /// The unit that leaves the relation, in a `relation-departed` event.
    pub fn departing_unit(&self) -> Option<&str> {
        self.variable("JUJU_DEPARTING_UNIT")
    }

    /// The action that is run.
    pub fn action(&self) -> Option<&str> {
        self.variable("JUJU_ACTION_NAME")
    }

    /// Juju's own trace of this execution, from `TRACEPARENT` and `TRACESTATE`, else from the three
    /// `JUJU_TRACE_ID`, `JUJU_SPAN_ID` and `JUJU_TRACE_FLAGS` (Juju 4).
    pub fn trace_parent(&self) -> Option<TraceParent> {
        let state = self.variable("TRACESTATE").and_then(|state| state.parse().ok());
        let (trace, span, flags) = self
            .variable("TRACEPARENT")
            .and_then(split_traceparent)
            .or_else(|| self.juju_trace_variables())?;
        let state: TraceState = state.unwrap_or_default();
        let context = SpanContext::new(trace, span, flags, true, state);
        context.is_valid().then_some(TraceParent { context })
    }

    fn juju_trace_variables(&self) -> Option<(TraceId, SpanId, TraceFlags)> {
        let trace = hexadecimal(self.variable("JUJU_TRACE_ID")?, 32)?;
        let span = hexadecimal(self.variable("JUJU_SPAN_ID")?, 16)?;
        let flags: u8 = self.variable("JUJU_TRACE_FLAGS").unwrap_or("0").parse().ok()?;
        Some((TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?, TraceFlags::new(flags)))
    }
}

/// Takes a `traceparent` apart as W3C Trace Context says: a later version may carry more fields,
/// version `ff` is invalid.
fn split_traceparent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = text.trim().split('-');
    let version = hexadecimal(fields.next()?, 2)?;
    let trace = TraceId::from_hex(hexadecimal(fields.next()?, 32)?).ok()?;
    let span = SpanId::from_hex(hexadecimal(fields.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(hexadecimal(fields.next()?, 2)?, 16).ok()?;
    let complete = version != "ff" && (version != "00" || fields.next().is_none());
    complete.then_some((trace, span, TraceFlags::new(flags)))
}

/// The field itself if it is `digits` lower-case hexadecimal digits.
fn hexadecimal(field: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (field.len() == digits && field.bytes().all(is_digit)).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Environment {
        Environment::from_pairs([(name, value)])
    }

    #[test]
    fn malformed_unit_names_give_what_is_there() {
        for (unit, application, number) in [
            ("hello/0", Some("hello"), Some(0)),
            ("hello", Some("hello"), None),
            ("hello/x", Some("hello"), None),
            ("/7", None, Some(7)),
            ("a/b/1", Some("a"), None),
            ("", None, None),
        ] {
            let environment = with("JUJU_UNIT_NAME", unit);
            assert_eq!(environment.application(), application, "{unit}");
            assert_eq!(environment.unit_number(), number, "{unit}");
        }
    }

    #[test]
    fn traceparent_is_read_as_w3c_says() {
        const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for (text, flags) in [
            (format!("00-{IDS}-01"), Some(1)),
            (format!("00-{IDS}-00"), Some(0)),
            (format!("01-{IDS}-01-more"), Some(1)),
            (format!("00-{IDS}-01-more"), None),
            (format!("ff-{IDS}-01"), None),
            (format!("00-{}-01", IDS.to_uppercase()), None),
            (format!("00-{IDS}"), None),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01".into(), None),
            ("rubbish".into(), None),
        ] {
            let parent = with("TRACEPARENT", &text).trace_parent();
            let read = parent.map(|parent| parent.context.trace_flags().to_u8());
            assert_eq!(read, flags, "{text}");
        }
    }

    #[test]
    fn jujus_own_three_variables_serve_where_traceparent_does_not() {
        let environment = Environment::from_pairs([
            ("TRACEPARENT", "rubbish"),
            ("JUJU_TRACE_ID", "0af7651916cd43dd8448eb211c80319c"),
            ("JUJU_SPAN_ID", "b7ad6b7169203331"),
            ("JUJU_TRACE_FLAGS", "1"),
        ]);
        let parent = environment.trace_parent().unwrap().context;
        assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent.is_sampled() && parent.is_remote());
    }
}
