//! What the charm's author and the environment say about tracing, made into one validated `Config`.
//! The one place for defaults.
//!
//! [`Options`] are what the attribute's options say; `resolved.rs` adds the environment. Nothing
//! here reads a file or opens a connection.

#[cfg(feature = "trace")]
mod destination;
#[cfg(feature = "trace")]
mod proxy;
#[cfg(feature = "trace")]
mod resolved;
mod values;

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "trace")]
pub(crate) use self::destination::{Destination, pairs};
#[cfg(feature = "trace")]
pub(crate) use self::resolved::{BufferConfig, Config, is_enabled};
pub use self::values::{ServerCert, ServerCertificate, TracingEndpoint};

/// A type whose executions are traced. `#[trace_charm]` implements it.
///
/// The two functions answer at two moments: what does not need the charm is known before the charm
/// is built, so that a constructor that fails is traced under the right name too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `#[trace_charm]`",
    label = "not a traced charm",
    note = "put `#[charm_tracing::trace_charm]` on the `impl` block that holds the charm's event handlers",
    note = "a constructor returns the charm or a `Result` of it; one that is `async` needs `run_async`"
)]
pub trait Charm {
    /// The options that do not need a charm: names, the buffer, timeouts.
    fn tracing_options() -> Options;

    /// Adds the options that the built charm knows: where its traces go.
    fn complete_tracing_options(&self, options: Options) -> Options {
        options
    }
}

/// What a charm's author says about tracing. Every option is optional.
///
/// ```
/// use charm_tracing::Options;
///
/// let options = Options::new("HelloCharm").service_name("hello").buffer_max_events(42);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    charm_type: &'static str,
    tracing_endpoint: Option<String>,
    server_cert: Option<ServerCertificate>,
    service_name: Option<Cow<'static, str>>,
    buffer_max_events: u64,
    buffer_max_size_mib: u64,
    buffer_path: Option<PathBuf>,
    export_timeout: Option<Duration>,
    name_the_buffer: bool,
}

impl Options {
    /// The defaults, for the charm that is implemented by the Rust type `charm_type`.
    pub fn new(charm_type: &'static str) -> Self {
        Self {
            charm_type,
            tracing_endpoint: None,
            server_cert: None,
            service_name: None,
            buffer_max_events: Self::BUFFER_MAX_EVENTS,
            buffer_max_size_mib: Self::MIN_BUFFER_SIZE_MIB,
            buffer_path: None,
            export_timeout: None,
            name_the_buffer: false,
        }
    }

    /// Says that the charm, once it is built, will change nothing of where its spans wait and of
    /// whom they tell: then they may go there before it is built.
    #[doc(hidden)]
    #[must_use]
    pub fn naming_the_buffer(mut self) -> Self {
        self.name_the_buffer = true;
        self
    }

    pub(crate) fn name_the_buffer(&self) -> bool {
        self.name_the_buffer
    }

    const BUFFER_MAX_EVENTS: u64 = 100;

    pub(crate) fn charm_type(&self) -> &'static str {
        self.charm_type
    }

    /// The least that `buffer_max_size_mib` may be, in MiB.
    const MIN_BUFFER_SIZE_MIB: u64 = 10;

    /// The most that it may be: the buffer's format has 32 bits for a size.
    const MAX_BUFFER_SIZE_MIB: u64 = 4095;

    /// The base URL of the OTLP/HTTP backend, if there is one; `/v1/traces` is appended.
    #[must_use]
    pub fn tracing_endpoint<T: TracingEndpoint + ?Sized>(mut self, endpoint: &T) -> Self {
        self.tracing_endpoint = endpoint.tracing_endpoint();
        self
    }

    /// The certificates that an `https` backend is checked against, if they are there yet.
    #[must_use]
    pub fn server_cert<T: ServerCert + ?Sized>(mut self, certificate: &T) -> Self {
        self.server_cert = certificate.server_cert();
        self
    }

    /// The resource attribute `service.name`. Default: the Juju application's name.
    #[must_use]
    pub fn service_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.service_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// How many executions wait on disk at most. Default: 100; 0 switches the buffer off.
    #[must_use]
    pub fn buffer_max_events(mut self, events: u64) -> Self {
        self.buffer_max_events = events;
        self
    }

    /// How large the buffer file may become, in MiB. Default, and least: 10. Most: 4095.
    #[must_use]
    pub fn buffer_max_size_mib(mut self, size: u64) -> Self {
        self.buffer_max_size_mib = size.clamp(Self::MIN_BUFFER_SIZE_MIB, Self::MAX_BUFFER_SIZE_MIB);
        self
    }

    /// The buffer file. Default: `.charm_tracing_buffer.raw` in the charm's directory.
    #[must_use]
    pub fn buffer_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.buffer_path = Some(path.into());
        self
    }

    /// How long tracing may hold the charm at the end of an execution, all in all. Default:
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` or `OTEL_EXPORTER_OTLP_TIMEOUT` (milliseconds), else
    /// one second.
    #[must_use]
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.export_timeout = Some(timeout);
        self
    }
}
