use charm_tracing::trace_type;

struct Workload;

#[trace_type(name = "")]
impl Workload {}

fn main() {}
