use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(extra_types(Clint))]
impl HelloCharm {
    fn run(&self, text: &str) -> usize {
        text.len()
    }
}

fn main() {}
