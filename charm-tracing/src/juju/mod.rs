//! What a charm needs from Juju in order to be traced.

mod environment;
mod event;
mod hook_tools;
mod log;
mod metadata;
mod redact;

pub use environment::{Environment, JujuVersion, NotAVersion, Proxies, TraceConfig};
pub use event::{Event, EventKind};
pub use hook_tools::{HookTool, HookToolError, hook_tool};

pub(crate) use event::Deferral;
pub(crate) use log::{Level, announce, finish as finish_log, log};
pub(crate) use metadata::charm_name;
