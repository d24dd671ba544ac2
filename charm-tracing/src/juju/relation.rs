//! What the two relations of this crate have in common: which ones there are, what the other end
//! says, and asking it for something.
//!
//! Every call of a hook tool counts, so what Juju's variables say of the event's own relation is
//! not asked for. Nothing of this runs outside a hook.

use std::fmt;

use serde_json::Value;

use super::Environment;
use super::hook_tools::{self, Databag, HookToolError, Unanswered};
use super::log::{Level, log};
use crate::span::current_span;

/// Why a relation has nothing to offer, yet or any more.
///
/// ```
/// use charm_tracing::juju::{NotReady, Protocol, TracingEndpointRequirer};
///
/// let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
/// match tracing.receivers() {
///     Ok(receivers) => println!("{} receivers", receivers.len()),
///     Err(NotReady::NoRelation { relation }) => println!("integrate something with {relation}"),
///     Err(why) => println!("traces wait: {why}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum NotReady {
    /// Juju does not run this process: there is nobody to ask.
    NotInJuju,
    /// There is no relation by that name.
    NoRelation {
        /// The relation's name.
        relation: String,
    },
    /// There is more than one relation, and no way to tell which is meant.
    Ambiguous {
        /// The relation's name.
        relation: String,
        /// The ids of all that there are.
        ids: Vec<String>,
    },
    /// The relation is being broken.
    Broken {
        /// The relation's id.
        id: String,
    },
    /// The other end has said nothing yet.
    Unanswered {
        /// The relation's id.
        id: String,
    },
    /// What the other end says cannot be understood.
    Malformed {
        /// The relation's id.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A hook tool failed: permission is denied, the relation is gone, there is no agent.
    Failed(HookToolError),
    /// A hook tool answered what cannot be read.
    Unreadable {
        /// The hook tool.
        tool: &'static str,
    },
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInJuju => formatter.write_str("not run by Juju"),
            Self::NoRelation { relation } => write!(formatter, "there is no relation `{relation}`"),
            Self::Ambiguous { relation, ids } => {
                let ids = ids.join(", ");
                write!(
                    formatter,
                    "relation `{relation}` is ambiguous, there are {ids}: remove all but one, or give it `limit: 1`"
                )
            }
            Self::Broken { id } => write!(formatter, "relation {id} is being broken"),
            Self::Unanswered { id } => {
                write!(formatter, "the other end of relation {id} has not answered yet")
            }
            Self::Malformed { id, problem } => {
                write!(
                    formatter,
                    "the other end of relation {id} says what cannot be understood: {problem}"
                )
            }
            Self::Failed(error) => error.fmt(formatter),
            Self::Unreadable { tool } => write!(formatter, "`{tool}` answers what cannot be read"),
        }
    }
}

impl std::error::Error for NotReady {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Unanswered> for NotReady {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Failed(error) => Self::Failed(error),
            Unanswered::Malformed { tool } => Self::Unreadable { tool },
        }
    }
}

impl NotReady {
    /// How much it matters to who reads the log; `None` where all is as it should be.
    fn level(&self) -> Option<Level> {
        match self {
            Self::NotInJuju | Self::NoRelation { .. } => None,
            Self::Broken { .. } | Self::Unanswered { .. } => Some(Level::Debug),
            Self::Ambiguous { .. }
            | Self::Malformed { .. }
            | Self::Failed(_)
            | Self::Unreadable { .. } => Some(Level::Warning),
        }
    }
}

/// What the event that the charm is run for did to a relation's offer.
///
/// Tracing itself needs none of this. It is for a charm that gives its workload the same backend:
///
/// ```
/// use charm_tracing::juju::{Protocol, RelationChange, TracingEndpointRequirer};
///
/// let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
/// match tracing.change() {
///     Some(RelationChange::Updated) => { /* write the endpoint into the workload's configuration */ }
///     Some(RelationChange::Removed) => { /* take it out again */ }
///     None => { /* the event is not about the endpoint */ }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationChange {
    /// The other end has said something new, and it can be used.
    Updated,
    /// The other end, or the relation, has gone, or no longer says anything that can be used.
    Removed,
}

/// All relations of one name, as this execution sees them.
#[derive(Debug)]
pub(super) struct Relations {
    pub(super) name: String,
    pub(super) environment: Environment,
}

impl Relations {
    pub(super) fn new(name: String, environment: Environment) -> Self {
        Self { name, environment }
    }

    /// Whether the event is about one of these relations.
    pub(super) fn is_concerned(&self) -> bool {
        self.environment.is_juju()
            && self.environment.event().relation() == Some(self.name.as_str())
    }

    /// What the event did, where afterwards the relation `is_ready`.
    pub(super) fn change(&self, is_ready: impl FnOnce() -> bool) -> Option<RelationChange> {
        let event = self.environment.event();
        let what = event.name().strip_prefix(&self.name)?;
        let is_change = matches!(what, "-relation-changed" | "-relation-broken");
        let after = || if is_ready() { RelationChange::Updated } else { RelationChange::Removed };
        is_change.then(after)
    }

    /// The ids of the relations that there are, without one that is being broken.
    pub(super) fn ids(&self) -> Result<Vec<String>, NotReady> {
        if !self.environment.is_juju() {
            return Err(NotReady::NotInJuju);
        }
        let mut ids = hook_tools::relation_ids(&self.name)?;
        let broken = self.own_event("broken");
        ids.retain(|id| Some(id.as_str()) != broken);
        match broken {
            _ if !ids.is_empty() => Ok(ids),
            Some(id) => Err(NotReady::Broken { id: id.to_owned() }),
            None => Err(NotReady::NoRelation { relation: self.name.clone() }),
        }
    }

    /// What the application at the other end says; absent where it says nothing.
    pub(super) fn answer(&self, id: &str) -> Result<Option<Databag>, NotReady> {
        let Some(application) = self.remote_application(id)? else {
            return Ok(None);
        };
        let databag = hook_tools::application_databag(id, &application)?;
        Ok(Some(databag).filter(|databag| !databag.is_empty()))
    }

    fn remote_application(&self, id: &str) -> Result<Option<String>, NotReady> {
        let environment = &self.environment;
        match environment.remote_application() {
            Some(application) if environment.relation_id() == Some(id) => {
                Ok(Some(application.to_owned()))
            }
            _ => Ok(hook_tools::remote_application(id)?),
        }
    }

    /// Whether the event is that the relation has just been made.
    pub(super) fn is_new(&self, id: &str) -> bool {
        self.own_event("created") == Some(id)
    }

    /// Whether the event is one after which the request may be missing: the relation has changed,
    /// another unit leads, the charm is another version.
    pub(super) fn may_need_a_request(&self) -> bool {
        let event = self.environment.event();
        self.is_concerned() || matches!(event.name(), "leader-elected" | "upgrade-charm")
    }

    /// Says `value` under `key` in this application's own databag, if this unit is the leader and
    /// something else stands there. That is two calls for the leader and one for everybody else,
    /// so it is for who has a reason to think so.
    pub(super) fn request(&self, id: &str, key: &str, value: &Value) {
        if let Err(problem) = self.try_request(id, key, value) {
            let what = format!("nothing could be asked of relation {id}: {problem}");
            self.say(Level::Warning, &what);
        }
    }

    fn try_request(&self, id: &str, key: &str, value: &Value) -> Result<(), NotReady> {
        let Some(application) = self.environment.application() else {
            return Ok(());
        };
        if !hook_tools::is_leader()? {
            return Ok(());
        }
        let own = hook_tools::application_databag(id, application)?;
        if json(&own, key).is_ok_and(|said| said.as_ref() == Some(value)) {
            return Ok(());
        }
        let value = value.to_string();
        hook_tools::set_in_own_databag(id, key, &value).map_err(NotReady::Failed)
    }

    /// The id of the relation, if the event is its `…-relation-<what>`.
    fn own_event(&self, what: &str) -> Option<&str> {
        let event = self.environment.event();
        let is_it = event.relation() == Some(self.name.as_str()) && event.name().ends_with(what);
        self.environment.relation_id().filter(|_| is_it)
    }

    /// One line in the log about why there is nothing.
    pub(super) fn explain(&self, why: &NotReady) {
        if let Some(level) = why.level() {
            self.say(level, &why.to_string());
        }
    }

    /// Where nothing is traced, nothing is said: a charm that switches tracing off wants silence.
    pub(super) fn say(&self, level: Level, message: &str) {
        if current_span().is_some() {
            log(&self.environment, level, message);
        }
    }
}

/// A databag's value as the text that it is; absent where it is empty.
pub(super) fn text<'a>(databag: &'a Databag, key: &str) -> Result<Option<&'a str>, String> {
    match databag.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{key}` is not text")),
    }
}

/// A databag's value as the JSON document that its text is.
pub(super) fn json(databag: &Databag, key: &str) -> Result<Option<Value>, String> {
    let document = text(databag, key)?.map(serde_json::from_str);
    document.transpose().map_err(|_not_json| format!("`{key}` is not JSON"))
}

/// What a JSON value is, for a message that may not say what is in it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
