//! What Juju says about this execution, as typed values.
//!
//! A missing, empty or malformed variable is an absent value: no charm fails because of what its
//! environment says.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use opentelemetry::trace::SpanContext;

use super::Event;
use crate::trace_context;

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
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
}

/// Where Juju itself wants charms to send their traces (Juju 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceConfig<'a> {
    /// The base URL for OTLP over HTTP; its scheme says whether it is TLS.
    pub http: Option<&'a str>,
    /// The address for OTLP over gRPC.
    pub grpc: Option<&'a str>,
    /// The certificate of the authority that a TLS backend is checked against, in PEM form.
    pub ca_certificate: Option<&'a str>,
}

/// The proxies that a charm is to use, from the model's `juju-http-proxy` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies<'a> {
    /// For `http` URLs.
    pub http: Option<&'a str>,
    /// For `https` URLs.
    pub https: Option<&'a str>,
    /// Hosts that are reached without one, separated by commas.
    pub no_proxy: Option<&'a str>,
}

/// A version of Juju: `3.6.8`, `4.1-beta2`.
///
/// ```
/// use charm_tracing::juju::JujuVersion;
///
/// let version: JujuVersion = "4.1-beta2".parse()?;
/// assert!(version >= JujuVersion { major: 4, minor: 1, patch: 0 });
/// # Ok::<(), charm_tracing::juju::NotAVersion>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JujuVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third; 0 where a tag such as `-beta2` stands in its place.
    pub patch: u32,
}

/// The text is not a version of Juju.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAVersion;

impl fmt::Display for NotAVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a version of Juju")
    }
}

impl std::error::Error for NotAVersion {}

impl std::str::FromStr for JujuVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (numbers, tag) = text.split_once('-').map_or((text, None), |(n, tag)| (n, Some(tag)));
        let mut numbers = numbers.split('.');
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        let (major, minor) = (number().ok_or(NotAVersion)?, number().ok_or(NotAVersion)?);
        let patch = number().or(tag.map(|_| 0)).ok_or(NotAVersion)?;
        Ok(Self { major, minor, patch })
    }
}

impl Environment {
    /// Reads the environment of this process. A variable that is not text is absent.
    ///
    /// Where Juju runs a hook directly, by a link to the charm at `hooks/install`, the program's
    /// own name is the dispatch path.
    pub fn from_process() -> Self {
        let text = |(key, value): (OsString, OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = Self { variables: env::vars_os().filter_map(text).collect() };
        match env::args_os().next() {
            Some(program) => environment.run_as(program),
            None => environment,
        }
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

    /// The environment of a process that was started as `program`, which is how a charm without a
    /// `dispatch` learns what it is run for.
    ///
    /// ```
    /// use charm_tracing::juju::Environment;
    ///
    /// let hook = "/var/lib/juju/agents/unit-hello-0/charm/hooks/install";
    /// let environment = Environment::from_pairs([("JUJU_CONTEXT_ID", "hello/0-install-1")]);
    /// assert_eq!(environment.run_as(hook).dispatch_path(), Some("hooks/install"));
    /// ```
    #[must_use]
    pub fn run_as(mut self, program: impl AsRef<Path>) -> Self {
        if self.is_juju()
            && self.dispatch_path().is_none()
            && let Some(path) = dispatch_path_of(program.as_ref())
        {
            self.variables.insert("JUJU_DISPATCH_PATH".to_owned(), path);
        }
        self
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
        self.unit().and_then(application_of)
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

    /// The version of the Juju agent.
    pub fn juju_version(&self) -> Option<JujuVersion> {
        self.variable("JUJU_VERSION")?.parse().ok()
    }

    /// The version of the cloud's API, where the cloud has one (Kubernetes).
    pub fn cloud_api_version(&self) -> Option<&str> {
        self.variable("CLOUD_API_VERSION")
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
        self.variable("JUJU_REMOTE_APP").or_else(|| self.remote_unit().and_then(application_of))
    }

    /// The unit at the other end of that relation that the event is about.
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

    /// The id of the action's task.
    pub fn action_id(&self) -> Option<&str> {
        self.variable("JUJU_ACTION_UUID")
    }

    /// The storage that a storage event is about, `data/0`.
    pub fn storage_id(&self) -> Option<&str> {
        self.variable("JUJU_STORAGE_ID")
    }

    /// The id of the secret that a secret event is about, `secret:9m4e2mr0ui3e8a215n4g`.
    pub fn secret_id(&self) -> Option<&str> {
        self.variable("JUJU_SECRET_ID")
    }

    /// That secret's label, if it has one.
    pub fn secret_label(&self) -> Option<&str> {
        self.variable("JUJU_SECRET_LABEL")
    }

    /// That secret's revision, in the events that are about one.
    pub fn secret_revision(&self) -> Option<u64> {
        self.variable("JUJU_SECRET_REVISION")?.parse().ok()
    }

    /// The workload that a Pebble event is about: its container's name.
    pub fn workload(&self) -> Option<&str> {
        self.variable("JUJU_WORKLOAD_NAME")
    }

    /// Juju's own trace of this execution, from `TRACEPARENT` and `TRACESTATE`, else from the three
    /// `JUJU_TRACE_ID`, `JUJU_SPAN_ID` and `JUJU_TRACE_FLAGS` (Juju 4).
    pub fn trace_parent(&self) -> Option<SpanContext> {
        let parent = self.variable("TRACEPARENT").and_then(trace_context::parse_traceparent);
        let parent = parent.or_else(|| self.juju_trace_variables())?;
        Some(trace_context::with_state(&parent, self.variable("TRACESTATE")))
    }

    fn juju_trace_variables(&self) -> Option<SpanContext> {
        let flags = self.variable("JUJU_TRACE_FLAGS").unwrap_or("0").parse().ok()?;
        let (trace, span) = (self.variable("JUJU_TRACE_ID")?, self.variable("JUJU_SPAN_ID")?);
        trace_context::remote(trace, span, flags)
    }

    /// Where Juju itself wants charms to send their traces; absent where it wants nothing.
    pub fn trace_config(&self) -> Option<TraceConfig<'_>> {
        let config = TraceConfig {
            http: self.variable("JUJU_CHARM_TRACE_CONFIG_HTTP"),
            grpc: self.variable("JUJU_CHARM_TRACE_CONFIG_GRPC"),
            ca_certificate: self.variable("JUJU_CHARM_TRACE_CONFIG_CA_CERT"),
        };
        (config.http.is_some() || config.grpc.is_some()).then_some(config)
    }

    /// The proxies that the charm is to use.
    pub fn proxies(&self) -> Proxies<'_> {
        Proxies {
            http: self.variable("JUJU_CHARM_HTTP_PROXY"),
            https: self.variable("JUJU_CHARM_HTTPS_PROXY"),
            no_proxy: self.variable("JUJU_CHARM_NO_PROXY"),
        }
    }
}

/// Names only: what the environment says may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.variables.keys().collect();
        names.sort();
        formatter.debug_tuple("Environment").field(&names).finish()
    }
}

/// `hooks/install` of a program that is run as `…/hooks/install`.
fn dispatch_path_of(program: &Path) -> Option<String> {
    let folder = program.parent()?.file_name()?.to_str()?;
    let name = program.file_name()?.to_str()?;
    matches!(folder, "hooks" | "actions").then(|| format!("{folder}/{name}"))
}

fn application_of(unit: &str) -> Option<&str> {
    unit.split('/').next().filter(|application| !application.is_empty())
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
    fn versions_are_numbers_and_maybe_a_tag() {
        for (text, version) in [
            ("3.6.8", Some((3, 6, 8))),
            ("4.1-beta2", Some((4, 1, 0))),
            ("4.0.1-rc1.5", Some((4, 0, 1))),
            ("3.6.8.1", Some((3, 6, 8))),
            ("4.1", None),
            ("four", None),
            ("", None),
        ] {
            let read = with("JUJU_VERSION", text).juju_version();
            let read = read.map(|version| (version.major, version.minor, version.patch));
            assert_eq!(read, version, "{text}");
        }
    }

    #[test]
    fn jujus_own_three_variables_serve_where_traceparent_does_not() {
        let environment = Environment::from_pairs([
            ("TRACEPARENT", "rubbish"),
            ("TRACESTATE", "juju=1"),
            ("JUJU_TRACE_ID", "0af7651916cd43dd8448eb211c80319c"),
            ("JUJU_SPAN_ID", "b7ad6b7169203331"),
            ("JUJU_TRACE_FLAGS", "1"),
        ]);
        let parent = environment.trace_parent().unwrap();
        assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent.is_sampled() && parent.is_remote());
        assert_eq!(parent.trace_state().header(), "juju=1");
    }

    #[test]
    fn malformed_trace_variables_are_absent() {
        for (name, value) in [
            ("JUJU_TRACE_ID", "0AF7651916CD43DD8448EB211C80319C"),
            ("JUJU_SPAN_ID", "b7ad"),
            ("JUJU_TRACE_FLAGS", "yes"),
            ("JUJU_TRACE_FLAGS", "256"),
        ] {
            let mut environment = Environment::from_pairs([
                ("JUJU_TRACE_ID", "0af7651916cd43dd8448eb211c80319c"),
                ("JUJU_SPAN_ID", "b7ad6b7169203331"),
                ("JUJU_TRACE_FLAGS", "1"),
            ]);
            environment.variables.insert(name.into(), value.into());
            assert_eq!(environment.trace_parent(), None, "{name}={value}");
        }
    }

    #[test]
    fn an_empty_trace_configuration_is_none() {
        let empty = Environment::from_pairs([
            ("JUJU_CHARM_TRACE_CONFIG_HTTP", ""),
            ("JUJU_CHARM_TRACE_CONFIG_GRPC", ""),
            ("JUJU_CHARM_TRACE_CONFIG_CA_CERT", ""),
        ]);
        assert_eq!(empty.trace_config(), None);
        let set = with("JUJU_CHARM_TRACE_CONFIG_HTTP", "http://juju");
        let config = TraceConfig { http: Some("http://juju"), grpc: None, ca_certificate: None };
        assert_eq!(set.trace_config(), Some(config));
    }

    #[test]
    fn only_a_link_among_the_hooks_names_an_event() {
        let juju = || with("JUJU_CONTEXT_ID", "1");
        for (program, path) in [
            ("/charm/hooks/install", Some("hooks/install")),
            ("hooks/update-status", Some("hooks/update-status")),
            ("/charm/actions/backup", Some("actions/backup")),
            ("/charm/dispatch", None),
            ("install", None),
            ("/", None),
        ] {
            assert_eq!(juju().run_as(program).dispatch_path(), path, "{program}");
        }
        assert_eq!(Environment::default().run_as("/charm/hooks/install").dispatch_path(), None);
        let said = Environment::from_pairs([
            ("JUJU_CONTEXT_ID", "1"),
            ("JUJU_DISPATCH_PATH", "hooks/start"),
        ]);
        assert_eq!(said.run_as("/charm/hooks/install").dispatch_path(), Some("hooks/start"));
    }

    #[test]
    fn the_remote_application_is_said_or_in_the_units_name() {
        let unit = with("JUJU_REMOTE_UNIT", "tempo/3");
        assert_eq!(unit.remote_application(), Some("tempo"));
    }

    #[test]
    fn values_are_not_shown_by_debug() {
        let shown = format!("{:?}", with("PASSWORD", "hunter2"));
        assert_eq!(shown, r#"Environment(["PASSWORD"])"#);
    }
}
