use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(tracing_endpoint = tracing_endpont)]
impl HelloCharm {}

fn main() {}
