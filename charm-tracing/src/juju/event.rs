//! The event that Juju runs the charm for.

use std::fmt;

use super::Environment;

/// The event that this execution is about, read from Juju's environment.
///
/// ```
/// use charm_tracing::juju::{Environment, EventKind};
///
/// let environment = Environment::from_pairs([("JUJU_DISPATCH_PATH", "actions/backup")]);
/// let event = environment.event();
/// assert_eq!((event.name(), event.kind()), ("backup", EventKind::Action));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    name: String,
    kind: EventKind,
    dispatch_path: Option<String>,
}

/// What sort of event an [`Event`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A hook: `install`, `config-changed`, `database-relation-joined`, …
    Hook,
    /// An action that an operator runs.
    Action,
    /// No event: the charm was started by something other than Juju.
    Absent,
}

impl Event {
    pub(super) fn of(environment: &Environment) -> Self {
        let path = environment.dispatch_path();
        let named = |kind, name: &str| Self {
            name: name.to_owned(),
            kind,
            dispatch_path: path.map(str::to_owned),
        };
        let last = |path: &str| path.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
        if let Some(action) = environment.action() {
            return named(EventKind::Action, action);
        }
        match (path, path.and_then(last)) {
            (Some(path), Some(name)) if path.starts_with("actions/") => {
                named(EventKind::Action, &name)
            }
            (_, Some(name)) => named(EventKind::Hook, &name),
            _ => match environment.variable("JUJU_HOOK_NAME") {
                Some(hook) => named(EventKind::Hook, hook),
                None => named(EventKind::Absent, "none"),
            },
        }
    }

    /// The event's name as Juju writes it, `config-changed`; `none` where there is no event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a hook or an action.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// What Juju runs, `hooks/config-changed`.
    pub fn dispatch_path(&self) -> Option<&str> {
        self.dispatch_path.as_deref()
    }
}

impl EventKind {
    /// The value of the attribute `event_type`, as `ops[tracing]` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Action => "action",
            Self::Absent => "none",
        }
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
}
