//! The resource: what all spans of an execution have in common, namely who the charm is.

use opentelemetry::KeyValue;

use crate::config::{self, Config};
use crate::juju::{self, Environment};

/// The attributes of one execution's resource, each key once. What Juju says outranks
/// `OTEL_RESOURCE_ATTRIBUTES`, and what stands there later what stands there earlier.
pub(crate) fn resource(config: &Config, environment: &Environment) -> Vec<KeyValue> {
    let mut resource = own(config, environment);
    let added = environment.variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let added: Vec<_> = config::pairs(added).filter(|(key, _)| !key.is_empty()).collect();
    for (key, value) in added.into_iter().rev() {
        if resource.iter().all(|known| known.key.as_str() != key) {
            resource.push(KeyValue::new(key.to_owned(), value));
        }
    }
    resource
}

/// What is known of the charm.
fn own(config: &Config, environment: &Environment) -> Vec<KeyValue> {
    let charm = juju::charm_name(&environment.charm_dir());
    let known = [
        ("service.name", Some(config.service_name.clone())),
        ("service.namespace", owned(environment.model_uuid())),
        ("service.instance.id", environment.unit_number().map(|number| number.to_string())),
        // What Grafana's Juju dashboards select by.
        ("compose_service", Some(config.service_name.clone())),
        ("charm", charm),
        ("charm_type", owned(config.charm_type)),
        ("juju_model", owned(environment.model())),
        ("juju_model_uuid", owned(environment.model_uuid())),
        ("juju_application", owned(environment.application())),
        ("juju_unit", owned(environment.unit())),
        // By the specification only OpenTelemetry's own SDKs call themselves `opentelemetry`.
        ("telemetry.sdk.name", owned(Some(env!("CARGO_PKG_NAME")))),
        ("telemetry.sdk.language", owned(Some("rust"))),
        ("telemetry.sdk.version", owned(Some(env!("CARGO_PKG_VERSION")))),
    ];
    let present = known.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?)));
    present.collect()
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resource of a unit whose environment adds these attributes.
    fn with_added(added: &str) -> Vec<(String, String)> {
        let environment = Environment::from_pairs([
            ("JUJU_UNIT_NAME", "hello/0"),
            ("OTEL_RESOURCE_ATTRIBUTES", added),
        ]);
        let resource = resource(&Config::resolve(None, &environment), &environment);
        let texts =
            resource.iter().map(|KeyValue { key, value, .. }| (key.to_string(), value.to_string()));
        texts.collect()
    }

    #[test]
    fn attributes_are_added_decoded_and_once() {
        let resource =
            with_added("zone=a, team = data%20platform ,zone=b,odd,=nothing,juju_unit=x/9");
        let value_of = |wanted: &str| {
            let mut values = resource.iter().filter(|(key, _)| key == wanted);
            let value = values.next().map(|(_, value)| value.as_str());
            assert!(values.next().is_none(), "{wanted} is there twice");
            value
        };
        assert_eq!(value_of("zone"), Some("b"));
        assert_eq!(value_of("team"), Some("data platform"));
        assert_eq!(value_of("juju_unit"), Some("hello/0"));
        assert_eq!((value_of("odd"), value_of("")), (None, None));
        assert_eq!(with_added("").len() + 2, resource.len());
    }
}
