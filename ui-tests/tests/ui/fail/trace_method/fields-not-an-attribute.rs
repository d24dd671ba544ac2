use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method(fields(job = job))]
    fn update(&self, job: &Opaque) {
        let _ = job;
    }
}

fn main() {}

struct Opaque;
