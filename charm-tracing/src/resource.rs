//! The resource: what all spans of an execution have in common, namely who the charm is.

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;

use crate::config::Config;
use crate::juju::{self, Environment};

/// The resource of one execution. What Juju says outranks `OTEL_RESOURCE_ATTRIBUTES`.
pub(crate) fn resource(config: &Config, environment: &Environment) -> Resource {
    Resource::builder_empty()
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(attributes(config, environment))
        .build()
}

fn attributes(config: &Config, environment: &Environment) -> Vec<KeyValue> {
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
    let present = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
    present
        .map(|(key, value)| KeyValue::new(Key::from_static_str(key), Value::from(value)))
        .collect()
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
