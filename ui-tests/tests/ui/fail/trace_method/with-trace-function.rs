use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method]
    #[charm_tracing::trace_function]
    fn tidy(&self) {}
}

fn main() {}
