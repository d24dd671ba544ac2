//! The spans of events, the events that a charm emits itself, and the lines about both in Juju's
//! log.
//!
//! What the lines say, and in which order, is what `jhack tail -t` reads from `juju debug-log`: the
//! trace's id before the first event.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{PoisonError, RwLock};

use opentelemetry::trace::{FutureExt, Link, SpanContext, TraceContextExt};
use opentelemetry::{Key, KeyValue, Value};

use crate::call_site::Name;
use crate::collector::Detail;
use crate::juju::{Deferral, Event, EventKind, announce};
use crate::span::{CurrentSpan, SpanHandle, current_span};
use crate::trace_context;

/// Runs `handle` in the span of a custom event: one that the charm itself emits.
///
/// ```
/// charm_tracing::event("database-ready", || {
///     // handle it
/// });
/// ```
///
/// [`Event::custom`] is the same with attributes, and for events that may be put off.
pub fn event<R>(name: impl Into<Cow<'static, str>>, handle: impl FnOnce() -> R) -> R {
    Event::custom(name).emit(|_| handle())
}

impl Event {
    /// An event that the charm itself emits.
    ///
    /// ```
    /// use charm_tracing::juju::Event;
    ///
    /// let ready = Event::custom("database-ready").attribute("database.version", 16);
    /// let endpoints = ready.emit(|event| {
    ///     assert_eq!(event.name(), "database-ready");
    ///     3
    /// });
    /// assert_eq!(endpoints, 3);
    /// ```
    pub fn custom(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(EventKind::Custom, name)
    }

    /// The event that an earlier execution put off with [`defer`](Self::defer), to be handled now.
    ///
    /// It has its name and kind again, and its span is linked to the one that put it off. A token
    /// that is malformed is an event of the name `unknown`, with no link.
    pub fn deferred(token: &str) -> Self {
        let mut event = read_token(token).unwrap_or_else(|| Self::custom("unknown"));
        event.deferral.get_or_insert_default();
        event
    }

    /// Adds an attribute to the event's span, in the place of an earlier value of that key.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        let attribute = KeyValue::new(key, value);
        self.attributes.retain(|known| known.key != attribute.key);
        self.attributes.push(attribute);
        self
    }

    /// Opens the event's span and runs `handle` in it. What `handle` returns is returned.
    pub fn emit<R>(mut self, handle: impl FnOnce(&Self) -> R) -> R {
        let span = self.begin();
        let _attached = span.attach();
        handle(&self)
    }

    /// [`emit`](Self::emit) for a handler that is `async`.
    ///
    /// ```
    /// use charm_tracing::juju::Event;
    ///
    /// # async fn restart() -> u32 { 3 }
    /// # async fn handler() {
    /// let restarted: u32 = Event::custom("database-ready").emit_async(async |_| restart().await).await;
    /// # }
    /// ```
    pub async fn emit_async<R>(mut self, handle: impl AsyncFnOnce(&Self) -> R) -> R {
        let span = self.begin();
        handle(&self).with_context(span.context()).await
    }

    /// Puts the event off: returns a token for the charm to store, which
    /// [`deferred`](Self::deferred) makes an event of in a later execution.
    ///
    /// The token is a line of text, W3C trace context in form, that holds the event's name and
    /// where it was put off, and nothing else of it. It is returned whether or not anything is
    /// traced. What the event was about, its relation or its secret, is for the charm to store.
    ///
    /// ```
    /// use charm_tracing::juju::{Environment, Event};
    ///
    /// let environment = Environment::from_pairs([("JUJU_DISPATCH_PATH", "hooks/config-changed")]);
    /// let token: String = environment.event().defer();
    ///
    /// // In a later execution:
    /// let event = Event::deferred(&token);
    /// assert_eq!(event.name(), "config-changed");
    /// assert!(event.is_deferred());
    /// event.emit(|event| { /* dispatch it as ever */ });
    /// ```
    pub fn defer(&self) -> String {
        let here = current_span();
        let by = here.as_ref().map_or(SpanContext::NONE, CurrentSpan::span_context);
        let number = self.number.unwrap_or_else(|| number_of(&by));
        if let Some(span) = here {
            span.add_event("deferred", [KeyValue::new("event_name", self.name.clone())]);
            announce(format!("Deferring {}.", in_log(self, number)));
        }
        write_token(self, number, &by)
    }

    /// Opens the span of an event that the charm emits, and says so.
    fn begin(&mut self) -> SpanHandle {
        let span = self.open_span();
        let context = span.context().span().span_context().clone();
        let number = *self.number.get_or_insert_with(|| number_of(&context));
        if context.is_valid() {
            let what = if self.is_deferred() {
                "Re-emitting deferred event"
            } else {
                "Emitting custom event"
            };
            announce(format!("{what} {}.", in_log(self, number)));
        }
        span
    }

    /// Opens the event's span, and makes it current nowhere.
    pub(crate) fn open_span(&self) -> SpanHandle {
        let mut attributes = vec![
            KeyValue::new("event_name", self.name.clone()),
            KeyValue::new("event_type", self.kind.as_str()),
            KeyValue::new("deferred", self.is_deferred()),
        ];
        attributes.extend(self.attributes.iter().cloned());
        let deferred_by = self.deferral.as_ref().and_then(|deferral| deferral.by.clone());
        let links = deferred_by.map(Link::with_context).into_iter().collect();
        let name = Name::Text(format!("event: {}", self.name).into());
        let span = SpanHandle::named(name, Detail { attributes, links, ..Detail::default() });
        span.add_event(self.name.clone());
        span
    }
}

/// What marks the charm's part of a token, in the form of a `tracestate`.
const TOKEN_KEY: &str = "charm-tracing";

/// `<traceparent> charm-tracing=<kind>:<number>:<name>`
fn write_token(event: &Event, number: u32, by: &SpanContext) -> String {
    let (by, kind, name) = (trace_context::traceparent(by), event.kind, &event.name);
    format!("{by} {TOKEN_KEY}={kind}:{number}:{name}")
}

fn read_token(token: &str) -> Option<Event> {
    let (by, event) = token.trim().split_once(' ')?;
    let event = event.strip_prefix(TOKEN_KEY)?.strip_prefix('=')?;
    let mut fields = event.splitn(3, ':');
    let (kind, number) = (EventKind::named(fields.next()?)?, fields.next()?);
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut event = Event::new(kind, name.to_owned());
    event.number = number.parse().ok();
    event.deferral = Some(Deferral { by: trace_context::parse_traceparent(by) });
    Some(event)
}

/// A number for an event that began in the span at `context`.
fn number_of(context: &SpanContext) -> u32 {
    let [a, b, c, d, ..] = context.span_id().to_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The Rust type of the charm that this process runs, once it is known.
static CHARM_TYPE: RwLock<&str> = RwLock::new("Charm");

/// Says which charm this process runs.
pub(crate) fn charm_is(charm_type: &'static str) {
    *CHARM_TYPE.write().unwrap_or_else(PoisonError::into_inner) = charm_type;
}

/// Says in Juju's log which trace the execution is, and then which event it is for.
pub(crate) fn announce_execution(event: &Event, trace: &SpanContext) {
    if event.kind != EventKind::Absent {
        announce(format!("Starting root trace with id='{}'.", trace.trace_id()));
        announce(format!("Emitting Juju event {}.", name_in_log(event)));
    }
}

/// `<DatabaseReadyEvent via HelloCharm/on/database_ready[7]>`
fn in_log(event: &Event, number: u32) -> String {
    let name = name_in_log(event);
    let charm = *CHARM_TYPE.read().unwrap_or_else(PoisonError::into_inner);
    format!("<{}Event via {charm}/on/{name}[{number}]>", in_camel_case(&name))
}

/// The event's name as the Python frameworks write it: `config_changed`, `backup_action`.
fn name_in_log(event: &Event) -> String {
    let sane = |character: char| if character.is_alphanumeric() { character } else { '_' };
    let mut name: String = event.name.chars().map(sane).collect();
    if event.kind == EventKind::Action {
        name.push_str("_action");
    }
    name
}

/// `DatabaseReady` of `database_ready`.
fn in_camel_case(name: &str) -> String {
    name.split('_').fold(String::new(), |mut all, word| {
        let mut characters = word.chars();
        all.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        // Writing to a string does not fail.
        let _ = all.write_str(characters.as_str());
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_token_is_the_event_again() {
        let event = Event::deferred(&format!("{BY} charm-tracing=hook:7:db-relation-changed"));
        assert_eq!((event.name(), event.kind()), ("db-relation-changed", EventKind::Hook));
        assert_eq!((event.relation(), event.number), (Some("db"), Some(7)));
        let by = event.deferral.unwrap().by.unwrap();
        assert_eq!(trace_context::traceparent(&by), BY);
    }

    #[test]
    fn names_of_every_form_survive_a_token() {
        for name in ["config-changed", "with space", "a:b=c,d", "ünï"] {
            let token = Event::custom(name).defer();
            let event = Event::deferred(&token);
            assert_eq!((event.name(), event.kind()), (name, EventKind::Custom), "{token}");
        }
    }

    #[test]
    fn untraced_events_can_be_put_off_too() {
        let event = Event::deferred(&Event::new(EventKind::Action, "backup").defer());
        assert_eq!((event.name(), event.kind()), ("backup", EventKind::Action));
        assert_eq!(event.deferral, Some(Deferral { by: None }));
    }

    #[test]
    fn malformed_tokens_are_unknown_events() {
        for token in [
            "",
            "rubbish",
            BY,
            &format!("{BY} charm-tracing=hook"),
            &format!("{BY} charm-tracing=other:1:x"),
            &format!("{BY} charm-tracing=hook:1:"),
            &format!("{BY} other=hook:1:x"),
        ] {
            let event = Event::deferred(token);
            assert_eq!((event.name(), event.is_deferred()), ("unknown", true), "{token}");
            assert!(event.emit(Event::is_deferred));
        }
    }

    #[test]
    fn events_are_named_in_the_log_as_the_python_frameworks_do() {
        for (event, named) in [
            (
                Event::custom("database-ready"),
                "<DatabaseReadyEvent via Charm/on/database_ready[7]>",
            ),
            (
                Event::new(EventKind::Action, "backup"),
                "<BackupActionEvent via Charm/on/backup_action[7]>",
            ),
            (Event::custom("odd name>"), "<OddNameEvent via Charm/on/odd_name_[7]>"),
        ] {
            assert_eq!(in_log(&event, 7), named);
        }
    }

    #[test]
    fn a_later_attribute_takes_the_place_of_an_earlier() {
        let event = Event::custom("x").attribute("a", 1).attribute("b", 2).attribute("a", 3);
        assert_eq!(event.attributes, [KeyValue::new("b", 2), KeyValue::new("a", 3)]);
    }
}
