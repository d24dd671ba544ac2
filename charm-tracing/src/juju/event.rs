//! Events as a charm sees them: the one that Juju runs it for, the ones that it emits itself, and
//! the ones that it put off.
//!
//! This file knows their names and kinds; `crate::event` opens their spans.

use std::borrow::Cow;
use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;

use super::Environment;

/// An event that a charm handles.
///
/// The one that Juju runs the charm for is handed to the charm's dispatch by
/// [`charm_tracing::run`](crate::run) and read from Juju's environment. Others the charm makes
/// itself: [`custom`](Self::custom) and [`deferred`](Self::deferred).
///
/// ```
/// use charm_tracing::juju::{Environment, EventKind};
///
/// let environment = Environment::from_pairs([("JUJU_DISPATCH_PATH", "hooks/db-relation-changed")]);
/// let event = environment.event();
/// assert_eq!((event.name(), event.kind()), ("db-relation-changed", EventKind::Hook));
/// assert_eq!(event.relation(), Some("db"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: EventKind,
    dispatch_path: Option<String>,
    secret: Option<String>,
    /// What the event's author adds to its span.
    pub(crate) attributes: Vec<KeyValue>,
    /// What tells it from the others of its name in Juju's log, once that is known.
    pub(crate) number: Option<u32>,
    /// Present where the event was put off and is now handled again.
    pub(crate) deferral: Option<Deferral>,
}

/// Where an event was put off.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Deferral {
    /// The span that put it off; absent where that was not traced.
    pub(crate) by: Option<SpanContext>,
}

/// What sort of event an [`Event`] is.
///
/// ```
/// use charm_tracing::juju::{Environment, EventKind};
///
/// let backup = Environment::from_pairs([("JUJU_DISPATCH_PATH", "actions/backup")]).event();
/// assert_eq!((backup.name(), backup.kind()), ("backup", EventKind::Action));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A hook: `install`, `config-changed`, `database-relation-joined`, …
    Hook,
    /// An action that an operator runs.
    Action,
    /// An event that the charm itself emits.
    Custom,
    /// No event: the charm was started by something other than Juju.
    Absent,
}

impl Event {
    pub(super) fn of(environment: &Environment) -> Self {
        let (kind, name) = named(environment);
        let secret = environment.secret_label().or(environment.secret_id());
        Self {
            dispatch_path: environment.dispatch_path().map(str::to_owned),
            secret: secret.map(str::to_owned),
            ..Self::new(kind, name)
        }
    }

    pub(crate) fn new(kind: EventKind, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            kind,
            dispatch_path: None,
            secret: None,
            attributes: Vec::new(),
            number: None,
            deferral: None,
        }
    }

    /// The event's name as Juju writes it, `config-changed`; `none` where there is no event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What sort of event it is.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// What Juju runs, `hooks/config-changed`.
    pub fn dispatch_path(&self) -> Option<&str> {
        self.dispatch_path.as_deref()
    }

    /// Whether the event was put off by an earlier execution and is now handled again.
    pub fn is_deferred(&self) -> bool {
        self.deferral.is_some()
    }

    /// The relation of a relation event: `database` of `database-relation-changed`.
    pub fn relation(&self) -> Option<&str> {
        let suffixes = ["created", "joined", "changed", "departed", "broken"];
        self.hook_subject("relation", &suffixes)
    }

    /// The storage of a storage event: `data` of `data-storage-attached`.
    pub fn storage(&self) -> Option<&str> {
        self.hook_subject("storage", &["attached", "detaching"])
    }

    /// The container of a Pebble event: `hello` of `hello-pebble-ready`. The workload in it goes by
    /// the same name.
    pub fn container(&self) -> Option<&str> {
        let suffixes = ["ready", "custom-notice", "check-failed", "check-recovered"];
        self.hook_subject("pebble", &suffixes)
    }

    /// The secret of a secret event such as `secret-changed`: its label, else its id. Juju's own
    /// variables say which; an event handled again says nothing of it.
    pub fn secret(&self) -> Option<&str> {
        let is_secret_event = self.kind == EventKind::Hook
            && ["secret-changed", "secret-expired", "secret-remove", "secret-rotate"]
                .contains(&self.name());
        self.secret.as_deref().filter(|_| is_secret_event)
    }

    /// `database` of `database-relation-changed`, for `family` `relation`.
    fn hook_subject(&self, family: &str, suffixes: &[&str]) -> Option<&str> {
        let name = Some(self.name()).filter(|_| self.kind == EventKind::Hook)?;
        let of = |suffix: &&str| {
            let subject = name.strip_suffix(suffix)?.strip_suffix('-')?;
            subject.strip_suffix(family)?.strip_suffix('-')
        };
        suffixes.iter().find_map(of).filter(|subject| !subject.is_empty())
    }
}

/// What Juju runs the charm for: an action outranks a path, a path outranks a hook's name.
fn named(environment: &Environment) -> (EventKind, String) {
    let path = environment.dispatch_path();
    let last = path.and_then(|path| path.rsplit('/').find(|part| !part.is_empty()));
    if let Some(action) = environment.action() {
        (EventKind::Action, action.to_owned())
    } else if let Some(name) = last {
        let is_action = path.is_some_and(|path| path.starts_with("actions/"));
        (if is_action { EventKind::Action } else { EventKind::Hook }, name.to_owned())
    } else if let Some(hook) = environment.variable("JUJU_HOOK_NAME") {
        (EventKind::Hook, hook.to_owned())
    } else {
        (EventKind::Absent, "none".to_owned())
    }
}

impl EventKind {
    /// The value of the attribute `event_type`, as `ops[tracing]` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Action => "action",
            Self::Custom => "custom",
            Self::Absent => "none",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Hook, Self::Action, Self::Custom, Self::Absent];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatch_path_decides_name_and_kind() {
        for (path, name, kind) in [
            ("hooks/config-changed", "config-changed", EventKind::Hook),
            ("actions/backup", "backup", EventKind::Action),
            ("config-changed", "config-changed", EventKind::Hook),
            ("hooks//install/", "install", EventKind::Hook),
            ("///", "none", EventKind::Absent),
            ("", "none", EventKind::Absent),
        ] {
            let event = Environment::from_pairs([("JUJU_DISPATCH_PATH", path)]).event();
            assert_eq!((event.name(), event.kind()), (name, kind), "{path:?}");
        }
    }

    #[test]
    fn action_name_outranks_the_path() {
        let pairs = [("JUJU_DISPATCH_PATH", "hooks/odd"), ("JUJU_ACTION_NAME", "backup")];
        let event = Environment::from_pairs(pairs).event();
        assert_eq!((event.name(), event.kind()), ("backup", EventKind::Action));
    }

    #[test]
    fn hook_name_serves_where_there_is_no_path() {
        let event = Environment::from_pairs([("JUJU_HOOK_NAME", "install")]).event();
        assert_eq!((event.name(), event.kind()), ("install", EventKind::Hook));
        assert_eq!(event.dispatch_path(), None);
    }

    #[test]
    fn subjects_are_split_out_of_hooks_names() {
        for (name, relation, storage, container) in [
            ("database-relation-changed", Some("database"), None, None),
            ("relation-relation-broken", Some("relation"), None, None),
            ("a-relation-b-relation-joined", Some("a-relation-b"), None, None),
            ("data-storage-attached", None, Some("data"), None),
            ("my-data-storage-detaching", None, Some("my-data"), None),
            ("hello-pebble-ready", None, None, Some("hello")),
            ("hello-pebble-custom-notice", None, None, Some("hello")),
            ("hello-pebble-check-recovered", None, None, Some("hello")),
            ("relation-changed", None, None, None),
            ("-relation-changed", None, None, None),
            ("database-relation", None, None, None),
            ("config-changed", None, None, None),
        ] {
            let event = Event::new(EventKind::Hook, name);
            let found = (event.relation(), event.storage(), event.container());
            assert_eq!(found, (relation, storage, container), "{name}");
        }
        assert_eq!(Event::new(EventKind::Action, "db-relation-joined").relation(), None);
    }

    #[test]
    fn a_secret_has_a_label_or_an_id() {
        let secret = |pairs: &[(&str, &str)]| {
            let path = [("JUJU_DISPATCH_PATH", "hooks/secret-changed")];
            let event = Environment::from_pairs(path.iter().chain(pairs).copied()).event();
            event.secret().map(str::to_owned)
        };
        let (id, label) = (("JUJU_SECRET_ID", "secret:9m4e"), ("JUJU_SECRET_LABEL", "password"));
        assert_eq!(secret(&[id, label]).as_deref(), Some("password"));
        assert_eq!(secret(&[id, ("JUJU_SECRET_LABEL", "")]).as_deref(), Some("secret:9m4e"));
        assert_eq!(secret(&[]), None);
    }
}
