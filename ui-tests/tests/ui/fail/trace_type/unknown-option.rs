use charm_tracing::trace_type;

struct Workload;

#[trace_type(nam = "x", service_name = "x")]
impl Workload {}

fn main() {}
