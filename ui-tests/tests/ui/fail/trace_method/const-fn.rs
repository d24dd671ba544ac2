use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method]
    const fn id(&self) -> u8 {
        1
    }
}

fn main() {}
