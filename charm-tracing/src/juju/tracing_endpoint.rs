//! The `tracing` relation (version 2) as the one that wants a backend sees it.
//!
//! What a databag holds is read once in an execution. Nothing in it makes a charm fail: what cannot
//! be used is "not ready", and one line in the log.

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value;

use super::hook_tools::Databag;
use super::relation::{NotReady, RelationChange, Relations, json, kind};
use super::{Environment, TraceConfig};

/// A protocol that a tracing backend receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP over HTTP, which is what this crate sends.
    OtlpHttp,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// Zipkin.
    Zipkin,
    /// Jaeger over gRPC.
    JaegerGrpc,
    /// Jaeger's Thrift over HTTP.
    JaegerThriftHttp,
}

impl Protocol {
    const ALL: [Self; 5] =
        [Self::OtlpHttp, Self::OtlpGrpc, Self::Zipkin, Self::JaegerGrpc, Self::JaegerThriftHttp];

    /// The protocol's name in the relation, `otlp_http`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtlpHttp => "otlp_http",
            Self::OtlpGrpc => "otlp_grpc",
            Self::Zipkin => "zipkin",
            Self::JaegerGrpc => "jaeger_grpc",
            Self::JaegerThriftHttp => "jaeger_thrift_http",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where a backend receives one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receiver {
    /// The protocol.
    pub protocol: Protocol,
    /// The base URL; of a gRPC receiver host and port alone.
    pub url: String,
}

/// The end of a `tracing` relation that asks for a backend and is told where it is.
///
/// The leader asks for the protocols, once: afterwards the databag is written only when it would
/// change. What the backend answers is read when it is first wanted, and once in an execution; on a
/// settled unit that is three calls of hook tools at most.
///
/// ```
/// use charm_tracing::juju::{Protocol, TracingEndpointRequirer};
///
/// let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
/// if let Some(url) = tracing.endpoint(Protocol::OtlpHttp) {
///     println!("traces go to {url}");
/// }
/// ```
///
/// # Juju's own configuration
///
/// Juju 4.1 may itself know a backend for its charms. A requirer that is given no relation name,
/// [`TracingEndpointRequirer::default`], takes that one and then calls no hook tool at all; without
/// it, it is the relation `tracing` with OTLP over HTTP.
#[derive(Debug)]
pub struct TracingEndpointRequirer {
    relations: Relations,
    protocols: Vec<Protocol>,
    /// What Juju itself offers to a requirer without a relation name.
    from_juju: Option<Vec<Receiver>>,
    receivers: OnceLock<Result<Vec<Receiver>, NotReady>>,
}

impl TracingEndpointRequirer {
    /// The requirer of the relation that `charmcraft.yaml` calls `relation`, for `protocols`.
    ///
    /// In an event of that relation it asks at once, as the leader has to.
    pub fn new(relation: impl Into<String>, protocols: impl IntoIterator<Item = Protocol>) -> Self {
        Self::with(Relations::new(relation.into(), Environment::from_process()), protocols, None)
    }

    fn with(
        relations: Relations,
        protocols: impl IntoIterator<Item = Protocol>,
        from_juju: Option<Vec<Receiver>>,
    ) -> Self {
        let protocols = protocols.into_iter().collect();
        let requirer = Self { relations, protocols, from_juju, receivers: OnceLock::new() };
        if requirer.relations.is_concerned() {
            requirer.is_ready();
        }
        requirer
    }

    /// Whether there is one backend and it has said what it receives, which need not be what was
    /// asked for.
    pub fn is_ready(&self) -> bool {
        self.receivers().is_ok()
    }

    /// The base URL for `protocol`, if the backend receives it.
    pub fn endpoint(&self, protocol: Protocol) -> Option<&str> {
        let receivers = self.receivers().ok()?;
        let receiver = receivers.iter().find(|receiver| receiver.protocol == protocol);
        receiver.map(|receiver| receiver.url.as_str())
    }

    /// All that the backend receives and this crate knows of.
    ///
    /// # Errors
    ///
    /// Says why there is nothing to go on; where that is not as it should be, so does the log.
    pub fn receivers(&self) -> Result<&[Receiver], &NotReady> {
        let receivers = self
            .receivers
            .get_or_init(|| self.read().inspect_err(|why| self.relations.explain(why)));
        receivers.as_deref()
    }

    /// What the event that the charm is run for did to the endpoint, if it was about it.
    pub fn change(&self) -> Option<RelationChange> {
        self.relations.change(|| self.is_ready())
    }

    /// Whether Juju's own configuration is what is answered here.
    pub(super) fn is_jujus(&self) -> bool {
        self.from_juju.is_some()
    }

    pub(super) fn relations(&self) -> &Relations {
        &self.relations
    }

    fn read(&self) -> Result<Vec<Receiver>, NotReady> {
        if let Some(receivers) = &self.from_juju {
            return Ok(receivers.clone());
        }
        let id = self.only_relation()?;
        let receivers = Self::answered(&id, self.relations.answer(&id)?);
        if self.is_request_due(&id, &receivers) {
            self.relations.request(&id, "receivers", &self.wanted());
        }
        receivers
    }

    /// A settled relation pays nothing for the request: once the other end has answered, nobody
    /// looks whether it was asked before there is a reason to.
    fn is_request_due(&self, id: &str, receivers: &Result<Vec<Receiver>, NotReady>) -> bool {
        let Ok(receivers) = receivers else { return true };
        let is_received = |wanted| receivers.iter().any(|receiver| receiver.protocol == wanted);
        let is_granted = self.protocols.iter().copied().all(is_received);
        self.relations.is_new(id) || (!is_granted && self.relations.may_need_a_request())
    }

    fn only_relation(&self) -> Result<String, NotReady> {
        let mut ids = self.relations.ids()?;
        match (ids.pop(), ids.is_empty()) {
            (Some(id), true) => Ok(id),
            (last, _) => {
                ids.extend(last);
                Err(NotReady::Ambiguous { relation: self.relations.name.clone(), ids })
            }
        }
    }

    fn answered(id: &str, databag: Option<Databag>) -> Result<Vec<Receiver>, NotReady> {
        let unanswered = || NotReady::Unanswered { id: id.to_owned() };
        let malformed = |problem| NotReady::Malformed { id: id.to_owned(), problem };
        let databag = databag.ok_or_else(unanswered)?;
        let receivers = json(&databag, "receivers").map_err(malformed)?.ok_or_else(unanswered)?;
        parse_receivers(&receivers).map_err(malformed)
    }

    /// The request as it stands in the databag.
    fn wanted(&self) -> Value {
        self.protocols.iter().map(|protocol| protocol.as_str()).collect()
    }
}

impl Default for TracingEndpointRequirer {
    fn default() -> Self {
        let environment = Environment::from_process();
        let config = environment.trace_config().filter(|config| config.http.is_some());
        let from_juju = config.map(|config| receivers_of(&config));
        let relations = Relations::new("tracing".to_owned(), environment);
        Self::with(relations, [Protocol::OtlpHttp], from_juju)
    }
}

fn receivers_of(config: &TraceConfig<'_>) -> Vec<Receiver> {
    let offered = [(Protocol::OtlpHttp, config.http), (Protocol::OtlpGrpc, config.grpc)];
    let receiver =
        |(protocol, url): (_, Option<&str>)| Some(Receiver { protocol, url: url?.to_owned() });
    offered.into_iter().filter_map(receiver).collect()
}

/// What a provider says it receives. A protocol that nobody knew when this was written is passed
/// over; anything else unknown stands in no place that is looked at.
fn parse_receivers(receivers: &Value) -> Result<Vec<Receiver>, String> {
    let Value::Array(receivers) = receivers else {
        return Err(format!("`receivers` is {}, not a list", kind(receivers)));
    };
    let known = receivers.iter().map(parse_receiver).filter_map(Result::transpose);
    known.collect()
}

/// `{"protocol": {"name": "otlp_http", "type": "http"}, "url": "http://tempo:4318"}`
fn parse_receiver(receiver: &Value) -> Result<Option<Receiver>, String> {
    let text_at = |pointer: &str, called: &str| match receiver.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(format!("{called} of a receiver is {}, not text", kind(other))),
        None => Err(format!("a receiver has no {called}")),
    };
    let (name, url) = (text_at("/protocol/name", "protocol")?, text_at("/url", "`url`")?);
    let receiver = |protocol| Receiver { protocol, url: url.trim().to_owned() };
    Ok(Protocol::named(name).map(receiver))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Vec<Receiver>, String> {
        parse_receivers(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn receivers_are_read_and_unknown_protocols_passed_over() {
        let json = r#"[
            {"protocol": {"name": "otlp_http", "type": "http"}, "url": "http://tempo:4318", "new": 1},
            {"protocol": {"name": "otlp_grpc", "type": "grpc"}, "url": "tempo:4317"},
            {"protocol": {"name": "otlp_quic", "type": "quic"}, "url": "tempo:1"}
        ]"#;
        let expected = [
            Receiver { protocol: Protocol::OtlpHttp, url: "http://tempo:4318".into() },
            Receiver { protocol: Protocol::OtlpGrpc, url: "tempo:4317".into() },
        ];
        assert_eq!(parse(json).unwrap(), expected);
        assert_eq!(parse("[]").unwrap(), []);
    }

    #[test]
    fn another_type_in_any_place_is_malformed_and_says_where() {
        for (json, problem) in [
            ("{}", "`receivers` is an object, not a list"),
            ("\"http://tempo\"", "`receivers` is text, not a list"),
            ("null", "`receivers` is null, not a list"),
            ("[1]", "a receiver has no protocol"),
            ("[[]]", "a receiver has no protocol"),
            (r#"[{"url": "http://tempo"}]"#, "a receiver has no protocol"),
            (r#"[{"protocol": "otlp_http", "url": "x"}]"#, "a receiver has no protocol"),
            (
                r#"[{"protocol": {"name": 1}, "url": "x"}]"#,
                "protocol of a receiver is a number, not text",
            ),
            (r#"[{"protocol": {"name": "otlp_http"}}]"#, "a receiver has no `url`"),
            (
                r#"[{"protocol": {"name": "otlp_http"}, "url": ["x"]}]"#,
                "`url` of a receiver is a list, not text",
            ),
        ] {
            assert_eq!(parse(json), Err(problem.to_owned()), "{json}");
        }
    }

    #[test]
    fn protocols_are_named_as_the_relation_has_them() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::named(protocol.as_str()), Some(protocol));
        }
        assert_eq!(Protocol::named("OTLP_HTTP"), None);
    }
}
