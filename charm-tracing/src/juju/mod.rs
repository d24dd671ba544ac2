//! What a charm needs from Juju in order to be traced.

mod environment;
mod event;
mod log;
mod metadata;

pub use environment::{Environment, JujuVersion, NotAVersion, Proxies, TraceConfig};
pub use event::{Event, EventKind};

pub(crate) use event::Deferral;
pub(crate) use log::{Level, announce, finish as finish_log, log};
pub(crate) use metadata::charm_name;
