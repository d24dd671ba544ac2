use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method(feilds(a = 1), level = "info")]
    fn tidy(&self) {}
}

fn main() {}
