use charm_tracing::trace_charm;

struct HelloCharm {
    jobs: Vec<u8>,
}

#[trace_charm(extra_types(String))]
impl HelloCharm {
    fn no_value(&self) -> Result<u8, String> {
        self.jobs.len();
    }

    fn wrong_value(&self) -> Result<u8, String> {
        Ok("text")
    }

    fn wrong_argument(&mut self) {
        self.jobs.push("text");
    }

    fn no_such_method(&self) {
        self.jobs.lenght();
    }

    fn no_such_name(&self) -> Result<u8, String> {
        Ok(job)
    }

    async fn wrong_future(&self) -> Result<u8, String> {
        self.jobs.len()
    }
}

fn main() {}
