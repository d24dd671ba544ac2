use charm_tracing::trace_type;

struct Workload;

#[trace_type(name = 3)]
impl Workload {}

fn main() {}
