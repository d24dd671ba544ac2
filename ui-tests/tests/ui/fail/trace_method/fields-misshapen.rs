use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method(fields(), err)]
    fn one(&self) {}

    #[trace_method(fields(jobs))]
    fn two(&self, jobs: u8) -> u8 {
        jobs
    }
}

fn main() {}
