//! What a charm needs from Juju in order to be traced.

mod environment;
mod event;
mod log;
mod metadata;

pub use environment::{Environment, TraceParent};
pub use event::{Event, EventKind};

pub(crate) use log::{Level, finish as finish_log, log};
pub(crate) use metadata::charm_name;
