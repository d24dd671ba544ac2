use charm_tracing::trace_charm;

struct HelloCharm {
    jobs: Vec<String>,
}

#[trace_charm(extra_types(String))]
impl HelloCharm {
    fn moved(&mut self, job: String) -> Result<usize, String> {
        self.jobs.push(job);
        Ok(job.len())
    }

    fn borrowed_twice(&mut self) -> Result<usize, String> {
        let first = &self.jobs[0];
        self.jobs.clear();
        Ok(first.len())
    }
}

fn main() {}
