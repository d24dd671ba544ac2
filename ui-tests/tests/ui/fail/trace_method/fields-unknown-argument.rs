use charm_tracing::trace_method;

struct Workload;

impl Workload {
    #[trace_method(fields(jobs = jobz.len()))]
    fn update(&self, jobs: &[u8]) -> Result<usize, String> {
        Ok(jobs.len())
    }
}

fn main() {}
