use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method]
    fn port() -> u16 {
        4318
    }
}

fn main() {}
