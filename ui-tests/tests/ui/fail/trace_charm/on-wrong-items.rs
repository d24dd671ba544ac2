use charm_tracing::trace_charm;

#[trace_charm]
enum Enum {}

#[trace_charm]
trait Trait {}

#[trace_charm]
mod module {}

#[trace_charm]
const CONSTANT: u8 = 1;

#[trace_charm]
static STATIC: u8 = 1;

#[trace_charm]
type Alias = u8;

#[trace_charm]
fn function() {}

#[trace_charm]
extern crate core as renamed;

fn main() {}
