use charm_tracing::trace_type;

struct Workload;

#[trace_type]
#[trace_type]
impl Workload {}

fn main() {}
