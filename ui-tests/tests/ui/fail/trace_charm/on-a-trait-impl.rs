use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm()]
impl Default for HelloCharm {
    fn default() -> Self {
        Self { tracing_endpoint: None, server_cert: None }
    }
}

fn main() {}
