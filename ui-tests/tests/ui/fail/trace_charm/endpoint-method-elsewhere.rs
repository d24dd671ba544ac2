use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

impl HelloCharm {
    fn endpoint(&self) -> &str {
        "http://tempo:4318"
    }
}

#[trace_charm(tracing_endpoint = endpoint)]
impl HelloCharm {}

fn main() {}
