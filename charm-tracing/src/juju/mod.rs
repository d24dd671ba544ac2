//! What a charm needs from Juju in order to be traced.
//!
//! | what | by |
//! | --- | --- |
//! | what Juju says about this execution | [`Environment`], [`Event`] |
//! | a backend, from the relation `tracing` | [`TracingEndpointRequirer`] |
//! | whom to trust, from the relation `certificate_transfer` | [`CertificateTransferRequirer`] |
//! | both as `#[trace_charm]` takes them | [`charm_tracing_config`] |
//! | hook tools, each call a span | [`hook_tool`] |

mod certificate_transfer;
mod charm_tracing_config;
mod environment;
mod event;
mod hook_tools;
mod log;
#[cfg(feature = "trace")]
mod metadata;
mod redact;
mod relation;
mod tracing_endpoint;

pub use certificate_transfer::{CaBundle, CertificateTransferRequirer};
pub use charm_tracing_config::{Authorities, charm_tracing_config};
pub use environment::{Environment, JujuVersion, NotAVersion, Proxies, TraceConfig};
pub use event::{Event, EventKind};
pub use hook_tools::{HookTool, HookToolError, hook_tool};
pub use relation::{NotReady, RelationChange};
pub use tracing_endpoint::{Protocol, Receiver, TracingEndpointRequirer};

pub(crate) use event::Deferral;
#[cfg(feature = "trace")]
pub(crate) use log::finish as finish_log;
pub(crate) use log::{Level, announce, log};
#[cfg(feature = "trace")]
pub(crate) use metadata::charm_name;
