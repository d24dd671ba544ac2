use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(buffer_max_size_mib = 4096)]
impl HelloCharm {}

fn main() {}
