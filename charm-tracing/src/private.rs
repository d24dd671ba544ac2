//! What the attributes' expansions call. Nobody else may: it changes without notice.

pub use crate::collector::CallSite;
pub use crate::span::{Failure, SpanGuard, SpanHandle, enter};
