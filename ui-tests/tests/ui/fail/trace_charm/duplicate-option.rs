use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(service_name = "a", service_name = "b")]
impl HelloCharm {}

fn main() {}
