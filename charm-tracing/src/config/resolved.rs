//! Options and environment together: everything that tracing needs to know about one execution.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Options;
use super::destination::{self, Destination};
use crate::juju::Environment;

/// Whether this execution is traced at all: `CHARM_TRACING_ENABLED`, and OpenTelemetry's own
/// switches, for everything and for traces.
pub(crate) fn is_enabled(environment: &Environment) -> bool {
    let says = |name, words: &[&str]| {
        let value = environment.variable(name).map(str::trim);
        value.is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
    };
    // The OpenTelemetry specification knows no other spelling of its own switches.
    !says("CHARM_TRACING_ENABLED", &["0", "false", "no", "off"])
        && !says("OTEL_SDK_DISABLED", &["true"])
        && !says("OTEL_TRACES_EXPORTER", &["none"])
}

/// Where and how the buffer is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BufferConfig {
    pub(crate) path: PathBuf,
    /// 0 switches it off.
    pub(crate) max_events: u64,
    pub(crate) max_bytes: u64,
    /// How long one operation waits for other processes.
    pub(crate) lock_timeout: Duration,
}

/// Everything that tracing needs to know about one execution.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) charm_type: Option<&'static str>,
    pub(crate) service_name: String,
    /// Where spans go, if there is a backend; or why what was named cannot be one.
    pub(crate) destination: Result<Option<Destination>, String>,
    pub(crate) buffer: BufferConfig,
    pub(crate) export_timeout: Duration,
}

impl Config {
    const EXPORT_TIMEOUT: Duration = Duration::from_secs(1);
    /// Whoever asks for more means "as long as it takes".
    const LONGEST_EXPORT_TIMEOUT: Duration = Duration::from_secs(3600);
    /// The name that the Python library gave it: a charm that moves to Rust keeps its traces.
    const BUFFER_FILE: &str = ".charm_tracing_buffer.raw";
    const BUFFER_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

    /// Adds the environment to the options, which are absent where no charm was ever asked.
    pub(crate) fn resolve(options: Option<&Options>, environment: &Environment) -> Self {
        let export_timeout = export_timeout(options, environment);
        Self {
            charm_type: options.map(|options| options.charm_type),
            service_name: service_name(options, environment),
            destination: destination::resolve(options, environment),
            buffer: buffer(options, environment, export_timeout),
            export_timeout,
        }
    }
}

/// The buffer lies in the charm's directory unless the charm says where. A charm that is not run by
/// Juju and does not say has none: it would be left behind wherever somebody tried the charm.
fn buffer(
    options: Option<&Options>,
    environment: &Environment,
    export_timeout: Duration,
) -> BufferConfig {
    let said = options.and_then(|options| options.buffer_path.as_deref());
    let max_events =
        options.map_or(Options::BUFFER_MAX_EVENTS, |options| options.buffer_max_events);
    let max_size_mib =
        options.map_or(Options::MIN_BUFFER_SIZE_MIB, |options| options.buffer_max_size_mib);
    let is_wanted = said.is_some() || environment.is_juju();
    BufferConfig {
        path: environment.charm_dir().join(said.unwrap_or(Path::new(Config::BUFFER_FILE))),
        max_events: if is_wanted { max_events } else { 0 },
        max_bytes: max_size_mib.saturating_mul(1024 * 1024),
        lock_timeout: Config::BUFFER_LOCK_TIMEOUT.min(export_timeout / 10),
    }
}

fn export_timeout(options: Option<&Options>, environment: &Environment) -> Duration {
    options
        .and_then(|options| options.export_timeout)
        .or_else(|| timeout_of(environment))
        .unwrap_or(Config::EXPORT_TIMEOUT)
        .min(Config::LONGEST_EXPORT_TIMEOUT)
}

/// The option, else OpenTelemetry's own variable, else the application, else the charm's type.
fn service_name(options: Option<&Options>, environment: &Environment) -> String {
    options
        .and_then(|options| options.service_name.as_deref())
        .or_else(|| environment.variable("OTEL_SERVICE_NAME"))
        .or_else(|| environment.application())
        .or_else(|| options.map(|options| options.charm_type))
        .unwrap_or("unknown_service")
        .to_owned()
}

fn timeout_of(environment: &Environment) -> Option<Duration> {
    ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
        .iter()
        .find_map(|name| environment.variable(name)?.trim().parse().ok())
        .map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn each_switch_turns_tracing_off() {
        for (name, value, enabled) in [
            ("CHARM_TRACING_ENABLED", "0", false),
            ("CHARM_TRACING_ENABLED", "False", false),
            ("CHARM_TRACING_ENABLED", "1", true),
            ("CHARM_TRACING_ENABLED", "", true),
            ("OTEL_SDK_DISABLED", "TRUE", false),
            ("OTEL_SDK_DISABLED", "1", true),
            ("OTEL_TRACES_EXPORTER", "none", false),
            ("OTEL_TRACES_EXPORTER", "otlp", true),
        ] {
            assert_eq!(is_enabled(&environment(&[(name, value)])), enabled, "{name}={value}");
        }
    }

    #[test]
    fn service_name_comes_from_the_first_that_says_one() {
        let options = Options::new("HelloCharm");
        let named = options.clone().service_name("hello");
        let unit = environment(&[("JUJU_UNIT_NAME", "app/0")]);
        let otel = environment(&[("JUJU_UNIT_NAME", "app/0"), ("OTEL_SERVICE_NAME", "otel")]);
        assert_eq!(service_name(Some(&named), &otel), "hello");
        assert_eq!(service_name(Some(&options), &otel), "otel");
        assert_eq!(service_name(Some(&options), &unit), "app");
        assert_eq!(service_name(Some(&options), &environment(&[])), "HelloCharm");
        assert_eq!(service_name(None, &environment(&[])), "unknown_service");
    }

    #[test]
    fn timeout_comes_from_the_option_then_the_environment() {
        let variables = environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "250")]);
        let options = Options::new("HelloCharm").export_timeout(Duration::from_secs(3));
        let timeout = |options, environment| Config::resolve(options, environment).export_timeout;
        assert_eq!(timeout(Some(&options), &variables), Duration::from_secs(3));
        assert_eq!(timeout(None, &variables), Duration::from_millis(250));
        assert_eq!(timeout(None, &environment(&[])), Duration::from_secs(1));
    }
}
