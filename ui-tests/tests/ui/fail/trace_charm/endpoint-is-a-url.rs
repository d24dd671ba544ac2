use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(tracing_endpoint = "http://tempo:4318", cert_path = 3)]
impl HelloCharm {}

fn main() {}
