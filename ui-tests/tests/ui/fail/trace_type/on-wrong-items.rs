use charm_tracing::trace_type;

#[trace_type]
struct Struct;

#[trace_type]
enum Enum {}

#[trace_type]
trait Trait {}

#[trace_type]
fn function() {}

fn main() {}
