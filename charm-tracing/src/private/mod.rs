//! What the attributes' expansions call. Nobody else may: it changes without notice.

mod call;
mod extra_types;
mod field;
mod future;
mod method;
mod outcome;

pub use self::call::*;
pub use self::extra_types::{
    AwaitedCall, Depth, ExtraTypes, TypeOf, await_call, awaited, awaited_value, depth, enter_call,
    same_type_as, through, through_awaited, through_part, through_part_awaited, type_behind,
    type_of, type_of_place,
};
pub use self::field::{AttributeValue, Displayed, Field, Fields, Impossible, set_field};
pub use self::future::{CollectedFields, cover, unreachable};
pub use self::method::{enter_method, open, open_method};
pub use self::outcome::{Outcome, Recorder};
pub use crate::call_site::CallSite;
pub use crate::failure::Failure;
pub use crate::span::{SpanGuard, SpanHandle, enter};
