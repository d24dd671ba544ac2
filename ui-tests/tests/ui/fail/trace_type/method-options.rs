use charm_tracing::{trace_method, trace_type};

struct Workload;

#[trace_type]
impl Workload {
    #[trace_method(fields(jobs = jobs, jobs = 1, = 2))]
    fn fields(&self, jobs: u8) -> u8 {
        jobs
    }

    #[trace_method(err = 3, skip = true, name = NAME)]
    fn values(&self) {}

    #[trace_method]
    const fn constant(&self) {}
}

fn main() {}
