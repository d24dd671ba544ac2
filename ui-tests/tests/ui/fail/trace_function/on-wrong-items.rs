use charm_tracing::trace_function;

struct Workload;

#[trace_function]
impl Workload {}

impl Workload {
    #[trace_function]
    fn method(&self) {}
}

#[trace_function]
struct Struct;

fn main() {}
